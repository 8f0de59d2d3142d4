"""`batchscore evaluate` as it is typed: whole texts and exit codes."""

from __future__ import annotations

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.usefixtures("files")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """`ranked.parquet`, `truth.csv` and `training.csv` in the working directory."""
    monkeypatch.chdir(tmp_path)
    pq.write_table(
        pa.table({
            "user_id": ["u", "u", "u", "v", "v"],
            "item_id": ["a", "b", "c", "b", "a"],
            "score": pa.array([4.5, 3, 1, 5, 2], pa.float32()),
            "rank": pa.array([1, 2, 3, 1, 2], pa.int32()),
        }),
        "ranked.parquet",
    )  # fmt: skip
    (tmp_path / "truth.csv").write_text("user_id,item_id,stars\nu,b,5\nu,b,4\nu,c,2\nv,b,4\nw,a,5\n")
    (tmp_path / "training.csv").write_text("user_id,item_id,stars\nu,a,5\nv,a,4\nv,c,1\nw,c,2\nw,b,5\n")
    return tmp_path


def test_the_whole_text(batchscore):
    told = batchscore(
        "evaluate", "ranked.parquet", "truth.csv", "--label-column", "stars", "--relevant", 4, "--training",
        "training.csv", "--k", 2, "--bootstrap", 0,
    )  # fmt: skip
    assert (told.exit_code, told.err) == (0, "")
    assert (
        told.out
        == """\
RANKED    ranked.parquet  2 users, 5 rows
TRUTH     truth.csv       3 users, 4 pairs, 1 repeated rows left out
TRAINING  training.csv

3 relevant pairs (stars >= 4) of 3 users, 1 of them without a list (counted as 0)
3 of 5 listed pairs are in TRUTH
3 pairs have a score and a label; scores are read as ratings

                RMSE     MAE  NDCG@2   MAP@2     MRR  recall@2  coverage@2  popularity bias@2
model         1.4142  1.3333  0.5013  0.5000  0.5000    0.6667      0.6667             0.2500
mean          1.2754  1.2000       -       -       -         -           -                  -
biases        1.0905  1.0337  0.3782  0.3333  0.3333    0.6667      0.6667             0.2500
popularity         -       -  0.2775  0.1667  0.2778    0.3333      1.0000             0.3750

NDCG with linear gain; coverage of 3 candidates in these files
baselines order the same lists; the mean has no order
"""
    )


def test_json_and_a_configuration(files, batchscore):
    (files / "evaluate.toml").write_text(
        '[evaluate]\nranked = "ranked.parquet"\ntruth = "truth.csv"\nlabel_column = "stars"\nk = [1, 2]\nseed = 7\n'
    )
    told = batchscore("evaluate", "--config", "evaluate.toml", "--json", "--k", "2")
    assert (told.exit_code, told.err) == (0, "")
    document = json.loads(told.out)
    assert document["command"] == "evaluate"
    assert document["settings"]["k"] == [2]
    assert document["settings"]["seed"] == 7
    assert document["table"]["model"]["recall@2"]["value"] == pytest.approx(1 / 2)
    assert document["table"]["model"]["coverage@2"] == {"value": pytest.approx(2 / 3), "low": None, "high": None}
    told = batchscore("evaluate", "--config", "evaluate.toml", "--print-config")
    assert re.search(r"^seed +7  \(evaluate.toml\)$", told.out, re.MULTILINE)


def test_intervals_stand_beside_the_figures(batchscore):
    told = batchscore("evaluate", "ranked.parquet", "truth.csv", "--bootstrap", 50, "--seed", 3)
    assert told.exit_code == 0
    assert re.search(r"^model    0\.\d{4} ±0\.\d{4}  ", told.out, re.MULTILINE)
    assert "\n± is half of the 95 % interval over users (50 resamples, seed 3)\n" in told.out


def test_what_is_missing_is_said(batchscore):
    told = batchscore("evaluate", "ranked.parquet")
    assert (told.exit_code, told.out) == (2, "")
    assert told.err == ("ERROR E-CONFIG: Missing argument 'TRUTH'.\n  next:     see `batchscore evaluate --help`\n")


def test_columns_that_do_not_fit(files, batchscore):
    told = batchscore("evaluate", "ranked.parquet", "training.csv", "--label-column", "rating")
    assert (told.exit_code, told.out) == (3, "")
    assert (
        told.err
        == f"""\
ERROR E-TRUTH-COLUMNS: the columns are not those of the ranked file
  where:    {files / "training.csv"}
  found:    user_id large_string, item_id large_string, stars int64
  expected: the ids of ranked.parquet: user_id, item_id, and the label rating
    there is no column rating
  next:     cast them or name them: --truth-user-column, --truth-candidate-column, --label-column
"""
    )


def test_nobody_in_common(files, batchscore):
    (files / "others.csv").write_text("user_id,item_id\nU,a\n")
    told = batchscore("evaluate", "ranked.parquet", "others.csv")
    assert (told.exit_code, told.out) == (3, "")
    assert (
        told.err
        == f"""\
ERROR E-TRUTH-USERS: ranked file and truth have no user in common
  where:    {files / "others.csv"}
  found:    5 ranked rows, and none of a user of the truth (1 users)
  expected: users of ranked.parquet
  next:     check that both files write user ids the same way and are of the same night
"""
    )
