from __future__ import annotations

import numpy as np
import pytest

from batchscore.arrays.tolerance import score_tolerance


def test_it_is_a_share_of_the_spread():
    scores = np.array([0.0, 1000.0], np.float32)
    assert score_tolerance(scores) == pytest.approx(1e-4 * 500)


def test_it_is_at_least_eight_ulps_of_the_largest():
    scores = np.full(5, -3.5, np.float32)
    assert score_tolerance(scores) == 8 * 2.0**-22


def test_it_does_not_shrink_around_zero():
    assert score_tolerance(np.array([-1.0, 0.0, 1.0])) == score_tolerance(np.array([9.0, 10.0, 11.0]))


def test_scores_that_are_not_finite_do_not_count():
    assert score_tolerance(np.array([1.0, np.nan, 3.0, np.inf])) == score_tolerance(np.array([1.0, 3.0]))
    assert score_tolerance(np.array([np.nan])) == score_tolerance(np.array([])) == 0.0


def test_ulps_are_those_of_the_width():
    scores = np.full(5, 2.0**40)
    assert score_tolerance(scores) == 8 * 2.0**17
    assert score_tolerance(scores, width=np.float64) == 8 * 2.0**-12


def test_scores_beyond_float32_do_not_count():
    assert score_tolerance(np.array([1.0, 1e300, 3.0])) == score_tolerance(np.array([1.0, 3.0]))
