"""batchscore against a loop over the SavedModel, whole processes in turn. By hand: it takes a while.

    python tests/benchmarks/speed.py --work DIR --peer ../shared/peers/plain_tf.py 1k 3m shuffled dcn int64 30m

The peer is called `python PEER PAIRS MODEL OUTPUT` and ranks the same pairs the way one writes it today: batches of
8,192 through `serving_default`, top 10 with polars. Data and models are made once under --work. Each workload runs
batchscore and the peer in turn, --pairs times, bytecode compiled and files in the page cache. Printed are the
median seconds, the median of the ratios, the peak memory of either, and what the machine can do: pairs a second if
nothing but the head's multiplications had to be done (NumPy's float32 on all cores, best of 5, in the same run).
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HEAD_FLOPS = 2 * (256 * 64 + 64)
EMBEDDING = 32


@dataclass(frozen=True)
class Workload:
    """Pairs of `users` x `each` out of `candidates`, and the model that scores them."""

    users: int
    each: int
    candidates: int
    model: str = "tutorial"
    ids: str = "string"
    shuffled: bool = False
    features: bool = False
    rows: int | None = None


WORKLOADS = {
    "1k": Workload(6_040, 500, 3_706, rows=1_000),
    "3m": Workload(6_040, 500, 3_706),
    "shuffled": Workload(6_040, 500, 3_706, shuffled=True),
    "dcn": Workload(6_040, 500, 3_706, model="dcn", features=True),
    "int64": Workload(6_040, 500, 3_706, ids="int64"),
    "30m": Workload(60_000, 500, 100_000),
    "8m": Workload(8_000_000, 10, 100_000, ids="int64"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    for package in ("batchscore", "tensorflow", "pyarrow", "polars", "numpy", "pydantic", "keras"):
        compileall.compile_dir(Path(__import__(package).__path__[0]), quiet=2)
    print(f"limit {limit() / 1e6:.1f} M pairs/s (tutorial's head), {os.cpu_count()} cores")
    for name in given.workloads:
        measure(name, WORKLOADS[name], given.work, given.peer, given.pairs)


def measure(name: str, workload: Workload, work: Path, peer: Path | None, times: int) -> None:
    pairs, model = make_pairs(name, workload, work), make_model(workload, work)
    ours = command(name, workload, pairs, model, work)
    theirs = [sys.executable, str(peer), str(pairs), str(model / "1"), str(work / f"{name}.peer.parquet")]
    run(ours)  # the plan is made, the files are in the page cache
    nothing = float("nan"), float("nan")
    rows = [(run(ours), run(theirs) if peer else nothing) for _ in range(times)]
    seconds = statistics.median(ours for (ours, _), _ in rows)
    peers = statistics.median(theirs for _, (theirs, _) in rows)
    ratio = statistics.median(theirs / ours for (ours, _), (theirs, _) in rows)
    total = pq.read_metadata(pairs).num_rows
    print(
        f"{name:<9} {total:>11,} pairs  batchscore {seconds:6.2f} s {max(m for (_, m), _ in rows) / 1e6:6.2f} GB  "
        f"peer {peers:6.2f} s {max(m for _, (_, m) in rows) / 1e6:6.2f} GB  ratio {ratio:.2f}  "
        f"{total / seconds / 1e6:.2f} M pairs/s",
        flush=True,
    )


def command(name: str, workload: Workload, pairs: Path, model: Path, work: Path) -> list[str]:
    """What scores the workload with batchscore."""
    ours = [
        sys.executable,
        "-c",
        "from batchscore.cli import main; main()",
        "run",
        "--quiet",
        "--input",
        str(pairs),
    ]
    ours += ["--model", str(model), "--output", str(work / f"{name}.ranked.parquet")]
    ours += ["--plan-cache", str(work / "plans"), "--user-column", "user"]
    return ours + ([] if workload.model == "tutorial" else ["--candidate-column", "item"])


def run(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak kilobytes of a whole process."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with status {status}")
    return seconds, float(usage.ru_maxrss)


def limit() -> float:
    """Pairs a second if the head's multiplications were all: [4096, 256] x [256, 64] on all cores, best of 5."""
    one, two = np.ones((4096, 256), np.float32), np.ones((256, 64), np.float32)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(200):
            one @ two
        best = max(best, 200 * 2 * 4096 * 256 * 64 / (time.perf_counter() - began))
    return best / HEAD_FLOPS


def make_pairs(name: str, workload: Workload, work: Path) -> Path:
    path = work / f"{name}.pairs.parquet"
    if path.exists():
        return path
    draw = np.random.default_rng(1)
    spell: Callable[[np.ndarray], pa.Array] = (
        (lambda ids: pa.array(ids).cast(pa.string())) if workload.ids == "string" else pa.array
    )
    schema_rows = workload.rows or workload.users * workload.each
    with pq.ParquetWriter(path, pair_schema(workload)) as writer:
        for start in range(0, workload.users, 2_000 if workload.each > 100 else 200_000):
            users = np.arange(start, min(start + (2_000 if workload.each > 100 else 200_000), workload.users))
            user = np.repeat(users, workload.each)
            item = ((draw.integers(workload.candidates, size=len(users))[:, None]
                     + np.arange(workload.each) * 7) % workload.candidates).ravel()  # fmt: skip
            columns = [spell(user + 1), spell(item + 1)]
            if workload.features:
                columns += [
                    pa.array(user % 2),
                    pa.array((user % 60 + 18).astype(np.float32)),
                    pa.array(user % 21),
                    pa.array(item % 18),
                    pa.array((item % 90 + 1930).astype(np.float32)),
                ]
            table = pa.table(columns, schema=pair_schema(workload)).slice(0, schema_rows)
            writer.write_table(table, row_group_size=1_048_576)
            if workload.rows:
                break
    if workload.shuffled:
        table = pq.read_table(path)
        pq.write_table(table.take(pa.array(draw.permutation(table.num_rows))), path, row_group_size=1_048_576)
    return path


def pair_schema(workload: Workload) -> pa.Schema:
    ids = pa.string() if workload.ids == "string" else pa.int64()
    fields = [("user", ids), ("item", ids)]
    if workload.features:
        fields += [("gender", pa.int64()), ("age", pa.float32()), ("job", pa.int64()), ("genre", pa.int64()),
                   ("year", pa.float32())]  # fmt: skip
    return pa.schema(fields)


def make_model(workload: Workload, work: Path) -> Path:
    path = work / f"model-{workload.model}-{workload.ids}-{workload.users}-{workload.candidates}"
    if not path.exists():
        script = Path(__file__).with_name("speed_model.py")
        arguments = [workload.model, workload.ids, workload.users, workload.candidates, path / "1"]
        subprocess.run([sys.executable, str(script), *map(str, arguments)], check=True)
    return path


if __name__ == "__main__":
    main()
