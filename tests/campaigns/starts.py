"""Many starts of the command under load: none may die of a signal.

    python tests/campaigns/starts.py --starts 2000 --load 2

Each start is a whole `batchscore run` of 1,000 pairs, started while `--load` processes keep cores busy, so that its
threads are interrupted anywhere. Appends one line of JSON to `--record`; exits 1 where a start did not publish.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_data"
PAIRS = 1_000
START = "import sys; from batchscore.cli import main; sys.argv[0] = 'batchscore'; main()"
HANG_SECONDS = 120
TOLD = 10


def start_once(folder: Path, number: int) -> tuple[int, str]:
    """Exit code (-N: died of signal N; 124: hung) and stderr of one run."""
    output = folder / f"{number}.parquet"
    flags = ["--input", folder / "pairs.parquet", "--model", SAMPLE / "model", "--output", output]
    command = [sys.executable, "-X", "faulthandler", "-c", START, "run", "--quiet", *map(str, flags)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "_RJEM"))}
    try:
        done = subprocess.run(
            command, env=environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
            timeout=HANG_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, "hung"
    return done.returncode, done.stderr


def start_many(folder: Path, starts: int, at_once: int) -> Counter[int]:
    """The exit codes; what the first starts that failed said is printed."""
    codes: Counter[int] = Counter()
    with ThreadPoolExecutor(at_once) as pool:
        for done, (code, told) in enumerate(pool.map(lambda number: start_once(folder, number), range(starts)), 1):
            codes[code] += 1
            if code and codes.total() - codes[0] <= TOLD:
                print(f"start {done} exits {code}:\n{told}", flush=True)
            if done % 100 == 0:
                print(f"{done} starts: {dict(codes)}", flush=True)
    return codes


def burn() -> None:
    while True:
        sum(range(10_000))


@contextmanager
def loaded(processes: int) -> Iterator[None]:
    """Keep so many cores busy within the block."""
    burning = [multiprocessing.Process(target=burn, daemon=True) for _ in range(processes)]
    for process in burning:
        process.start()
    try:
        yield
    finally:
        for process in burning:
            process.kill()


def commit() -> str:
    told = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=2_000)
    parser.add_argument("--load", type=int, default=2, metavar="N", help="processes that keep cores busy")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="starts at one time")
    parser.add_argument("--record", type=Path, default=Path("starts.jsonl"), metavar="FILE")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="batchscore-starts-") as workspace, loaded(options.load):
        folder = Path(workspace)
        pq.write_table(pq.read_table(SAMPLE / "pairs.parquet").slice(0, PAIRS), folder / "pairs.parquet")
        codes = start_many(folder, options.starts, options.at_once)
    record = {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "starts": options.starts,
        "load": options.load,
        "at_once": options.at_once,
        "seconds": round(time.monotonic() - began),
        "signal_deaths": sum(count for code, count in codes.items() if code < 0 or code > 128),
        "exit_codes": {str(code): count for code, count in sorted(codes.items())},
    }
    print(json.dumps(record), flush=True)
    with options.record.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    sys.exit(0 if set(codes) == {0} else 1)


if __name__ == "__main__":
    main()
