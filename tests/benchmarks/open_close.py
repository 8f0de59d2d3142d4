"""Open, run and close a SavedModel many times, and print the memory of the process as it goes.

    python tests/benchmarks/open_close.py MODEL [CYCLES]

Growth after the first cycles is a leak. What is fed is made up from the signature: numbers, or their text.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa

from batchscore.engine.opening import open_session
from batchscore.savedmodel.saved_model import choose_signature, read_saved_model

ROWS = 1_000
PAGE_BYTES = 4096


def main(model: Path, cycles: int) -> None:
    signature, _ = choose_signature(read_saved_model(model))
    feeds = {
        name: pa.array(range(ROWS)).cast(pa.string() if spec.dtype == "string" else spec.dtype)
        for name, spec in signature.inputs.items()
    }
    for cycle in range(cycles):
        session = open_session(model, threads=2, api="c")
        session.run(signature, feeds, list(signature.outputs))
        session.close()
        if cycle % (cycles // 10) == cycles // 10 - 1:
            memory = f"{resident_bytes() / 1e6:8.1f} MB, {thread_count()} threads"
            print(f"{cycle + 1:6} cycles: {memory}")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def thread_count() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_000)
