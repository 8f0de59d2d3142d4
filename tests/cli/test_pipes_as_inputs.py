"""A named pipe, a device or a folder in the place of an input file: told at once, by every command."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COMMANDS = {
    "train --input": ["train", "--input", "ODD.parquet", "--output", "m"],
    "train --input, CSV": ["train", "--input", "ODD.csv", "--output", "m"],
    "train --users": ["train", "--input", "rows.parquet", "--users", "ODD.parquet", "--output", "m"],
    "train --candidates": ["train", "--input", "rows.parquet", "--candidates", "ODD.csv", "--output", "m"],
    "evaluate RANKED": ["evaluate", "ODD.parquet", "rows.parquet"],
    "evaluate TRUTH": ["evaluate", "ranked.parquet", "ODD.parquet"],
    "evaluate TRUTH, CSV": ["evaluate", "ranked.parquet", "ODD.csv"],
    "evaluate --training": ["evaluate", "ranked.parquet", "rows.parquet", "--training", "ODD.parquet"],
    "diff OLD": ["diff", "ODD.parquet", "ranked.parquet"],
    "diff NEW": ["diff", "ranked.parquet", "ODD.parquet"],
    "run --input": ["run", "--input", "ODD.parquet", "--output", "o.parquet", "--model", "MODEL"],
    "adopt --probes": ["adopt", "MODEL", "--output", "m", "--probes", "ODD.parquet"],
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = {"user_id": ["u", "v"], "item_id": ["a", "b"], "movie_id": ["a", "b"], "user_rating": [1.0, 2.0]}
    pq.write_table(pa.table(rows), "rows.parquet")
    ranked = {"user_id": ["u", "v"], "item_id": ["a", "b"], "score": pa.array([1.0, 2.0], pa.float32())}
    pq.write_table(pa.table(ranked | {"rank": pa.array([1, 1], pa.int32())}), "ranked.parquet")
    return tmp_path


@pytest.mark.timeout(60)  # opening a pipe that nobody writes to would wait for ever
@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_what_is_no_file_is_told_at_once(place, batchscore, echo, arguments, kind):
    name = next(argument for argument in arguments if argument.startswith("ODD"))
    if kind == "pipe":
        os.mkfifo(name)
    else:
        (place / name).symlink_to("/dev/zero")
    told = batchscore(*(str(echo) if argument == "MODEL" else argument for argument in arguments))
    assert told.exit_code in (3, 75), told.err
    assert name in told.err
    assert any(words in told.err for words in ("regular file", "named pipe", "device", "pipe or device")), told.err
