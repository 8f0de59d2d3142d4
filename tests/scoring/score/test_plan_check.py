"""Scores of a plan against those of the signature: how far apart they may lie."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batchscore.scoring.pairs import ScorablePairs
from batchscore.scoring.score.plan_check import Compared, check_scores


def compared(signature_scores, plan_scores):
    rows = len(signature_scores)
    ids = pa.array(range(rows), pa.int64())
    return Compared(ScorablePairs("f", np.arange(rows), ids, ids, [], {}, {}), signature_scores, plan_scores)


@pytest.mark.parametrize(
    ("dtype", "ok"), [("float32", True), ("float64", False), ("int64", False), ("uint64", False)]
)
def test_scores_wider_than_float32_are_not_compared_as_if_they_were_float32(dtype, ok):
    """Steps of 1 on scores of 2 ** 40, of which float32 knows every 131,072nd: a plan of float32 ranks anything."""
    scores = (2**40 + np.arange(50)).astype(dtype)
    found = check_scores([compared(scores, scores.astype(np.float32))])
    assert found.ok == ok
    assert check_scores([compared(scores, scores.copy())]).ok


def test_the_largest_difference_of_all_pairs_is_named():
    scores = np.arange(10, dtype=np.float64)
    moved = scores.copy()
    moved[7] += 0.5
    found = check_scores([compared(scores[:5], moved[:5]), compared(scores[5:], moved[5:])])
    assert (found.ok, found.worst, found.signature_score, found.plan_score) == (False, 0.5, 7.0, 7.5)
    assert found.user == "2", "the third of the second batch"
