"""Interactions that are larger than the memory that the process may use."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.process

ROWS = 900_000
TITLE = "a title that says much about the film " * 12
PROGRAM = """
import resource, sys
from pathlib import Path
import pyarrow
from batchscore.settings.train import TrainSettings
from batchscore.interactions import prepared
from batchscore.interactions.read import read_interactions
from batchscore.interactions.splits import split_interactions

folder, name, how, in_memory_bytes = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
prepared.IN_MEMORY_BYTES = in_memory_bytes
pyarrow.set_cpu_count(2)  # a thread's stack counts as its memory
pyarrow.set_io_thread_count(2)
settings = TrainSettings(
    input=folder / name, output=folder / "model", timestamp_column="at", split=how, patience=1,
    features={"title": {"role": "candidate", "kind": "text"}},
)
(used,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmData")]
limit = int(used) * 1024 + 224 * 1024 * 1024
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    interactions = read_interactions(settings, folder / "work")
    split = split_interactions(interactions, settings)
    rows = characters = 0
    for part in (split.training, split.validation, split.held_out):
        for batch in part.to_batches():
            rows += batch.num_rows
            characters += sum(map(len, batch["title"].to_pylist()))
except MemoryError:
    print("out of memory")
else:
    print(interactions.rows.nbytes > limit, rows, characters)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same rows as Parquet, which is small, and as CSV, which is not."""
    folder = tmp_path_factory.mktemp("large")
    numbers = np.arange(100_000)
    columns = {"user_id": numbers % 1000, "movie_id": numbers % 7, "user_rating": numbers % 5}
    titles = pa.DictionaryArray.from_arrays(pa.array(numbers % 7, pa.int32()), [f"{TITLE}{n}" for n in range(7)])
    moments = [pa.array(numbers + begin) for begin in range(0, ROWS, len(numbers))]
    blocks = [pa.table(columns | {"title": titles.cast(pa.string()), "at": block}) for block in moments]
    with pq.ParquetWriter(folder / "rows.parquet", blocks[0].schema) as parquet:
        for block in blocks:
            parquet.write_table(block)
    lines = [f"{n % 1000},{n % 7},{n % 5},{TITLE}{n % 7},{n}\n" for n in range(1000)]
    with (folder / "rows.csv").open("w") as csv:
        csv.write("user_id,movie_id,user_rating,title,at\n")
        for _ in range(ROWS // len(lines)):
            csv.writelines(lines)
    return folder


def run(folder, name, how, in_memory_bytes):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path), "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, name, how, str(in_memory_bytes)],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "how"), [("rows.parquet", "time"), ("rows.parquet", "last"), ("rows.csv", "random")]
)
def test_they_are_read_split_and_walked_with_far_less_memory(folder, name, how):
    characters = ROWS * (len(TITLE) + 1)
    assert run(folder, name, how, 2**24) == f"True {ROWS} {characters}"


def test_in_memory_they_would_not_fit(folder):
    assert run(folder, "rows.parquet", "time", 2**40) == "out of memory"
