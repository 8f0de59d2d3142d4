from __future__ import annotations

import math

import numpy as np
import pytest

from batchscore.evaluation.prediction_metrics import (
    CalibrationBin,
    calibrate,
    is_binary,
    measure_clicks,
    measure_ratings,
    to_probabilities,
)


def test_errors_of_ratings_by_hand():
    measured = measure_ratings(np.array([4.0, 2.0, 5.0]), np.array([3.0, 2.0, 3.0]), np.array([0, 0, 1]))
    assert measured["RMSE"].value == pytest.approx(math.sqrt(5 / 3))
    assert measured["MAE"].value == pytest.approx(1.0)
    assert measured["MAE"].low == pytest.approx(0.5)  # the first user drawn twice
    assert measured["MAE"].high == pytest.approx(2.0)  # the second


def test_auc_and_log_loss_by_hand():
    labels, predictions = np.array([1, 0, 1, 0]), np.array([0.8, 0.8, 0.6, 0.1])
    measured = measure_clicks(labels, predictions, np.arange(4))
    # of four comparisons: a tie, a win, a loss, a win
    assert measured["AUC"].value == pytest.approx(2.5 / 4)
    loss = -(math.log(0.8) + math.log(0.2) + math.log(0.6) + math.log(0.9)) / 4
    assert measured["log loss"].value == pytest.approx(loss)


def test_auc_is_the_share_of_comparisons_won():
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 300)
    predictions = np.round(random.normal(labels, 2), 1)
    ones, zeros = predictions[labels == 1][:, None], predictions[labels == 0]
    won = ((ones > zeros) + 0.5 * (ones == zeros)).mean()
    measured = measure_clicks(labels, to_probabilities(predictions), np.arange(300))["AUC"]
    assert measured.value == pytest.approx(won)
    assert measured.low < won < measured.high


def test_the_interval_of_auc_is_that_of_computing_it_anew():
    random = np.random.default_rng(2)
    users = np.repeat(np.arange(100), 5)
    labels = random.integers(0, 2, 500)
    predictions = to_probabilities(random.normal(labels, 1.5) + 0.5 * random.normal(0, 1, 100)[users])
    measured = measure_clicks(labels, predictions, users)["AUC"]
    anew = []
    for _ in range(400):
        rows = (random.integers(0, 100, 100)[:, None] * 5 + np.arange(5)).ravel()
        anew.append(measure_clicks(labels[rows], predictions[rows], users, replicates=0)["AUC"].value)
    low, high = np.percentile(anew, [2.5, 97.5])
    assert measured.low == pytest.approx(low, abs=0.012)
    assert measured.high == pytest.approx(high, abs=0.012)


@pytest.mark.parametrize("label", [0, 1])
def test_auc_of_one_label_is_not_defined(label):
    measured = measure_clicks(np.full(3, label), np.array([0.2, 0.5, 0.9]), np.arange(3))
    assert measured["AUC"].value is None
    assert measured["log loss"].value > 0


def test_certain_and_wrong_is_expensive_but_finite():
    measured = measure_clicks(np.array([1, 0]), np.array([0.0, 0.0]), np.arange(2))
    assert measured["log loss"].value == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)


def test_logits_far_out_become_probabilities_without_overflow():
    with np.errstate(all="raise"):
        found = to_probabilities(np.array([-800, 0, 800], np.float32))
    assert found.tolist() == [0.0, 0.5, 1.0]


def test_labels_of_clicks():
    assert is_binary(np.array([0.0, 1.0, 1.0]))
    assert not is_binary(np.array([0.0, 0.5, 1.0]))


def test_calibration_bins_hold_equally_many_rows_and_never_part_equal_predictions():
    predictions = np.array([0.1, 0.1, 0.1, 0.2, 0.3, 0.4])
    labels = np.array([0, 1, 0, 1, 1, 1])
    assert calibrate(labels, predictions, bins=3) == [
        CalibrationBin(3, pytest.approx(0.1), pytest.approx(1 / 3)),
        CalibrationBin(1, pytest.approx(0.2), pytest.approx(1.0)),
        CalibrationBin(2, pytest.approx(0.35), pytest.approx(1.0)),
    ]
    spread = np.random.default_rng(1).normal(size=1_000)
    assert [part.rows for part in calibrate(spread, spread)] == [100] * 10
    assert calibrate(np.ones(5), np.ones(5)) == [CalibrationBin(5, 1.0, 1.0)]
    assert calibrate(np.empty(0), np.empty(0)) == []
