from __future__ import annotations

import math

import numpy as np
import pytest

from batchscore.evaluation import bootstrap
from batchscore.evaluation.bootstrap import Measure, make_measure, resample


def mean_of(values, **options) -> Measure:
    values = np.asarray(values, float)
    defined = ~np.isnan(values)
    return resample(np.where(defined, values, 0)[:, None], defined.astype(float)[:, None], **options).measure(0)


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(1).normal(3, 2, 2_000)
    measure = mean_of(values, replicates=2_000)
    error = values.std() / math.sqrt(len(values))
    assert measure.value == pytest.approx(values.mean())
    assert measure.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert measure.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_many_units_are_drawn_in_groups_with_the_same_width(monkeypatch):
    values = np.random.default_rng(2).exponential(1, 4_000)
    whole = mean_of(values, replicates=2_000)
    monkeypatch.setattr(bootstrap, "_GROUPS", 500)
    grouped = mean_of(values, replicates=2_000)
    assert grouped.value == whole.value
    assert grouped.high - grouped.low == pytest.approx(whole.high - whole.low, rel=0.15)


def test_intervals_cover_the_truth_as_often_as_they_say():
    random = np.random.default_rng(3)
    covered = 0
    for seed in range(200):
        measure = mean_of(random.exponential(1, 150), replicates=200, seed=seed)
        covered += measure.low <= 1 <= measure.high
    assert 175 <= covered <= 199


def test_rows_of_one_unit_stay_together():
    """A ratio of sums: ten rows of one user say less than ten rows of ten."""
    values = np.random.default_rng(4).normal(0, 1, 100)
    together = resample(10 * values[:, None], np.full((100, 1), 10.0)).measure(0)
    apart = resample(np.repeat(values, 10)[:, None], np.ones((1_000, 1))).measure(0)
    assert together.value == pytest.approx(apart.value)
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_units_without_a_value_do_not_count():
    assert mean_of([1.0, math.nan, 3.0, math.nan]).value == 2.0


def test_the_same_seed_draws_the_same_and_another_one_does_not():
    values = np.random.default_rng(5).normal(0, 1, 50)
    assert mean_of(values, seed=7) == mean_of(values, seed=7)
    assert mean_of(values, seed=7) != mean_of(values, seed=8)


def test_one_draw_serves_all_ratios():
    values = np.random.default_rng(6).normal(0, 1, (50, 1))
    resampled = resample(np.hstack([values, values + 1]), np.ones((50, 2)))
    assert np.allclose(resampled.samples[:, 0] + 1, resampled.samples[:, 1])


def test_a_transform_is_applied_to_value_and_bounds():
    values = np.random.default_rng(7).uniform(1, 4, (100, 1))
    resampled = resample(values, np.ones((100, 1)))
    plain, root = resampled.measure(0), resampled.measure(0, np.sqrt)
    assert root.value == pytest.approx(math.sqrt(plain.value))
    assert root.low == pytest.approx(math.sqrt(plain.low), rel=1e-3)


def test_what_is_not_defined_has_no_value_and_no_interval():
    assert mean_of([math.nan, math.nan]) == Measure(None)
    assert mean_of([1.0, 2.0], replicates=0) == Measure(1.5)
    assert make_measure(1.0, np.array([math.nan])) == Measure(1.0)
