"""A least score: who stays, how the others are counted, and what figures and guards make of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import batchscore
from batchscore.errors import RefusedError
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.rank.min_score import MinScore


def scored(scores, dtype=np.float32):
    ids = pa.array([f"u{row}" for row in range(len(scores))])
    return ScoredPairs(ScorablePairs("f", np.arange(len(scores)), ids, ids, [], {}, {}), np.array(scores, dtype))


def test_without_a_least_score_the_batches_are_the_very_same():
    batches = iter(())
    assert MinScore(None).apply(batches) is batches


@given(st.lists(st.lists(st.floats(-2, 2, width=32), max_size=6), max_size=4), st.floats(-2, 2))
def test_who_stays_has_the_least_score_or_more_and_the_others_are_counted(batches, least):
    rule = MinScore(least)
    found = [score for batch in rule.apply(map(scored, batches)) for score in batch.scores.tolist()]
    scores = [score for batch in batches for score in batch]
    assert found == [score for score in scores if score >= float(np.float32(least))]
    assert rule.left_out.count == len(scores) - len(found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint64])
def test_a_score_that_equals_it_stays_whatever_the_dtype(dtype):
    least = 0.7 if np.dtype(dtype).kind == "f" else 7
    rule = MinScore(least)
    (batch,) = rule.apply(iter([scored([0, least, 9], dtype)]))
    assert batch.pairs.user.to_pylist() == ["u1", "u2"]
    assert rule.left_out.describe() == f"score below --min-score {least}: 1"


@pytest.fixture
def run_echo(echo, tmp_path):
    """Runs (user, item, score) by a model that gives the score back."""

    def run(rows, **settings):
        columns = [pa.array(column) for column in zip(*rows, strict=True)]
        pq.write_table(pa.table(columns, ["user_id", "item_id", "value"]), tmp_path / "pairs.parquet")
        return batchscore.run(
            input=tmp_path / "pairs.parquet", output=tmp_path / "ranked.parquet", model=echo, top_n=30,
            max_unknown_users="off", max_unknown_candidates="off", max_identical_lists="off", **settings,
        )  # fmt: skip

    return run


@pytest.mark.tensorflow
def test_figures_are_those_of_all_pairs_and_guards_count_who_is_served(run_echo):
    rows = [(f"u{user}", f"i{item}", float(user)) for user in range(10) for item in range(20)]
    report = run_echo(rows, min_score=8.5)
    assert (report.users, report.users_none, report.users_served) == (10, 9, 1)
    assert report.left_out == {"score below --min-score 8.5": 180}
    assert (report.pairs_ranked, report.pairs_with_scores) == (20, 200)
    assert (report.scores.minimum, report.scores.mean) == (0.0, pytest.approx(4.5))
    assert {guard.name: guard.figure for guard in report.guards}["min_users"] == 1


@pytest.mark.tensorflow
def test_scores_that_are_equal_above_it_are_no_equal_scores(run_echo):
    report = run_echo([("a", "x", 1.0), ("a", "y", 5.0), ("b", "x", 5.0)], min_score=5)
    assert (report.status, report.rows_written) == ("published", 2)


@pytest.mark.tensorflow
def test_a_night_of_which_nothing_is_left_is_refused(run_echo):
    with pytest.raises(RefusedError, match="none of the input's 2 pairs is ranked") as caught:
        run_echo([("a", "x", 1.0), ("a", "y", 2.0)], min_score=3)
    assert caught.value.error_id == "E-NOTHING-RANKED"
    assert "found:    score below --min-score 3: 2" in str(caught.value)
    assert "next:     lower --min-score (the highest score is 2)" in str(caught.value)


@pytest.mark.tensorflow
def test_users_that_it_costs_are_told_of_it_and_not_of_bad_rows(run_echo):
    with pytest.raises(RefusedError, match="1 users of the input's 2 get a list") as caught:
        run_echo([("a", "x", 1.0), ("b", "y", 5.0)], min_score=3, min_users=2)
    assert "next:     lower --min-score (the highest score is 5), or accept once with" in str(caught.value)
