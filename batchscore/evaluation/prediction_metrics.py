"""How close predictions come to labels: errors of ratings, quality of probabilities, calibration.

Intervals are over users: rows of one user are drawn together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchscore.evaluation.bootstrap import Measure, make_measure, resample

MIN_PROBABILITY = 1e-7
"""Log loss takes probabilities as at least this far from 0 and 1, so that no single row costs more than 16."""


@dataclass(frozen=True)
class CalibrationBin:
    """Rows with neighbouring predictions: how many, and the means of prediction and label."""

    rows: int
    """Rows of the group."""
    prediction: float
    """Their mean prediction."""
    label: float
    """Their mean label."""


def measure_ratings(
    labels: np.ndarray, predictions: np.ndarray, users: np.ndarray, *, replicates: int = 1000, seed: int = 42
) -> dict[str, Measure]:
    """`RMSE` and `MAE` over rows, in units of the label; `users` are codes (int from 0) `[rows]`."""
    error = predictions.astype(np.float64) - labels
    sums = _by_user(users, np.square(error), np.abs(error), np.ones(len(error)))
    resampled = resample(sums[:, :2], sums[:, [2, 2]], replicates=replicates, seed=seed)
    return {"RMSE": resampled.measure(0, np.sqrt), "MAE": resampled.measure(1)}


def measure_clicks(
    labels: np.ndarray, probabilities: np.ndarray, users: np.ndarray, *, replicates: int = 1000, seed: int = 42
) -> dict[str, Measure]:
    """`AUC` and `log loss` (natural logarithm) over rows of labels 0 and 1.

    AUC is the probability that a row with label 1 has the higher prediction than one with label 0, equal ones
    counting half; None if one of the labels is missing. Its interval takes each row's share of won comparisons
    as fixed (the first-order term, as DeLong's variance does), so that no resample is sorted again.
    """
    labels = labels.astype(bool)
    auc, placements = _auc(labels, probabilities)
    clipped = np.clip(probabilities.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    loss = -np.log(np.where(labels, clipped, 1 - clipped))
    sums = _by_user(
        users, np.where(labels, placements, 0), np.where(labels, 0, placements), loss,
        labels.astype(np.float64), (~labels).astype(np.float64), np.ones(len(labels)),
    )  # fmt: skip
    resampled = resample(sums[:, :3], sums[:, 3:], replicates=replicates, seed=seed)
    samples = np.clip(resampled.samples[:, 0] + resampled.samples[:, 1] - auc, 0, 1)
    return {"AUC": make_measure(auc, samples), "log loss": resampled.measure(2)}


def is_binary(labels: np.ndarray) -> bool:
    """Whether every label is 0 or 1."""
    return bool(((labels == 0) | (labels == 1)).all())


def to_probabilities(logits: np.ndarray) -> np.ndarray:
    """The logistic function of `logits`, float64."""
    return 0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))


def calibrate(labels: np.ndarray, predictions: np.ndarray, bins: int = 10) -> list[CalibrationBin]:
    """At most `bins` bins of about equally many rows, in ascending order of prediction.

    Equal predictions are never parted, so coarse ones give fewer bins.
    """
    if not len(labels):
        return []
    predictions = predictions.astype(np.float64)
    edges = np.unique(np.quantile(predictions, np.arange(1, bins) / bins, method="inverted_cdf"))
    place = np.searchsorted(edges, predictions)
    rows = np.bincount(place, minlength=len(edges) + 1)
    of_predictions, of_labels = (
        np.bincount(place, weights=values, minlength=len(rows)) for values in (predictions, labels)
    )
    return [
        CalibrationBin(int(rows[i]), float(of_predictions[i] / rows[i]), float(of_labels[i] / rows[i]))
        for i in np.flatnonzero(rows)
    ]


def _auc(labels: np.ndarray, predictions: np.ndarray) -> tuple[float, np.ndarray]:
    """The AUC, and the share of the other label's rows against which each row wins (half for equal ones)."""
    _, place = np.unique(predictions, return_inverse=True)
    with_1, with_0 = np.bincount(place[labels], minlength=1), np.bincount(place[~labels], minlength=1)
    size = max(len(with_1), len(with_0))
    with_1, with_0 = (np.pad(counts, (0, size - len(counts))) for counts in (with_1, with_0))
    below = np.cumsum(with_0) - 0.5 * with_0
    above = with_1.sum() - np.cumsum(with_1) + 0.5 * with_1
    with np.errstate(invalid="ignore"):
        placements = np.where(labels, (below / with_0.sum())[place], (above / with_1.sum())[place])
    if not with_1.sum() or not with_0.sum():
        return float("nan"), np.zeros(len(labels))
    return float(placements[labels].mean()), placements


def _by_user(users: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """The sums of each column over the rows of each user, `[users, columns]`."""
    return np.stack([np.bincount(users, weights=column) for column in columns], axis=1)
