"""Values from data in messages: ids of half a megabyte are told, and never whole."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.engine.session import run_failure
from batchscore.errors import BatchscoreError, InputError, RefusedError, format_value
from batchscore.evaluation.coded_files import Ids, read_coded
from batchscore.interactions.input_files import open_table_file
from batchscore.outputs.difference_text import describe_lists, describe_shift
from batchscore.outputs.rows import open_ranked
from batchscore.scoring.bind.badrows import BadRows
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.settings.limits import Limit

LONG = "ü" * 500_000
MOST = 3000


def is_short(text):
    assert "üüü" in text
    return len(text) < MOST


def test_a_value_is_spelled_short():
    assert format_value("a'b") == '"a\'b"'
    assert format_value(LONG) == f"'{'ü' * 56}..."
    assert format_value(12) == "12"


def test_what_nobody_shortened_is_cut_in_the_message_itself():
    error = RefusedError("E-USERS-DROPPED", LONG, where=LONG, found=LONG, details=[LONG], next_step=LONG)
    lines = str(error).splitlines()
    assert len(lines) == 5
    assert all(len(line) < 20_100 and line.endswith("characters)") for line in lines)


def test_lists_that_differ():
    row = {"user": LONG, "a": LONG, "b": LONG, "rank": 1, "near": False, "a_new_rank": None, "b_old_rank": None,
           "a_old": 1.0, "b_new": 1.0, "a_new": None, "b_old": None}  # fmt: skip
    assert is_short(describe_lists(row))
    assert is_short(describe_shift({"user": LONG, "candidate": LONG, "score": 1.0, "score_new": 2.0, "shift": 1.0}))


def test_a_ranked_file_that_breaks_a_law(tmp_path):
    path = tmp_path / "ranked.parquet"
    columns = {"user_id": [LONG], "item_id": [LONG], "score": pa.array([1.0], pa.float32())}
    pq.write_table(pa.table(columns | {"rank": pa.array([2], pa.int32())}), path)
    with pytest.raises(InputError) as caught:
        list(open_ranked(path).read())
    assert is_short(str(caught.value))


def test_a_label_that_is_no_number_in_a_csv_file(tmp_path):
    ranked, truth = tmp_path / "ranked.parquet", tmp_path / "truth.csv"
    columns = {"user_id": ["u"], "item_id": ["i"], "score": pa.array([1.0], pa.float32())}
    pq.write_table(pa.table(columns | {"rank": pa.array([1], pa.int32())}), ranked)
    truth.write_text(f"user_id,item_id,label\nu,i,{LONG}\n")
    with pytest.raises(InputError) as caught:
        read_coded(truth, Ids.of(open_ranked(ranked)), "label")
    assert is_short(str(caught.value))


def test_an_id_that_a_side_table_lacks(write, read, tmp_path):
    users = tmp_path / "users.parquet"
    pq.write_table(pa.table({"user_id": ["a", "b"], "age": [1.0, 2.0]}), users)
    settings = write({"user_id": ["a", LONG], "movie_id": ["x", "y"], "user_rating": [1.0, 2.0]}, users=users,
                     features={"age": {"kind": "number", "role": "user"}})  # fmt: skip
    with pytest.raises(InputError) as caught:
        read(settings)
    assert is_short(str(caught.value))


def test_what_the_model_says_of_a_row(tmp_path):
    failure = str(run_failure(tmp_path, "signature 'serving_default'", f"could not convert string: {LONG}"))
    assert is_short(failure)
    ids = pa.array(["u"])
    pairs = ScorablePairs("pairs.parquet", np.arange(1), ids, ids, [], {}, {})
    bad = BadRows(Limit.parse("0"), 1)
    with pytest.raises(BatchscoreError):
        list(bad.drop_unranked(iter([ScoredPairs(pairs, np.array([np.nan]), {0: LONG})])))
    assert len(bad.rejects.rows[0].value) <= 200


def test_columns_that_are_called_so(tmp_path):
    path = tmp_path / "interactions.parquet"
    pq.write_table(pa.table([[1], [2]], names=[LONG, LONG]), path)
    with open_table_file(path, "interactions", "--input") as file, pytest.raises(InputError) as caught:
        file.require_once([LONG])
    assert is_short(str(caught.value))
