"""What a model has to beat: the mean, biases of users and candidates, popularity. Fitted on training rows alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from batchscore.arrays.codes import MISSING, Codes
from batchscore.evaluation.prediction_metrics import is_binary

USER_DAMPING, CANDIDATE_DAMPING, SWEEPS = 15.0, 10.0, 10
_MIN_RATE = 0.01


@dataclass(frozen=True)
class Biases:
    """The model label = mean + bias of the user + bias of the candidate.

    `users` and `candidates` are float64, a bias a code. Predictions stay between `lowest` and `highest`, which are
    those of the training labels (for labels 0 and 1: 0.01 and 0.99, or half of a mean that is rarer, so that no
    probability is certain).
    """

    mean: float
    users: np.ndarray
    candidates: np.ndarray
    lowest: float
    highest: float

    def predict(self, users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Predicted labels, float64 `[rows]`, of pairs of codes; an unknown one (MISSING, or later) has no bias."""
        predicted = self.mean + look_up(self.users, users) + look_up(self.candidates, candidates)
        clipped: np.ndarray = np.clip(predicted, self.lowest, self.highest)
        return clipped


def fit_biases(users: np.ndarray, candidates: np.ndarray, labels: np.ndarray) -> Biases:
    """Biases from codes (int32 `[rows]`, at least one row) and finite labels, by alternating ridge regression.

    Ten sweeps from 0 of

        bias of a candidate = sum(label - mean - bias of the user) / (its rows + 10)
        bias of a user      = sum(label - mean - bias of the candidate) / (its rows + 15)

    which minimise squared error + 10 * squared candidate biases + 15 * squared user biases. A code that has no
    rows gets 0.
    """
    labels = labels.astype(np.float64)
    mean = float(labels.mean())
    left = labels - mean
    of_users, of_candidates = np.zeros(int(users.max()) + 1), np.zeros(int(candidates.max()) + 1)
    user_rows, candidate_rows = np.bincount(users), np.bincount(candidates)
    for _ in range(SWEEPS):
        rest = np.bincount(candidates, weights=left - of_users[users])
        of_candidates = rest / (candidate_rows + CANDIDATE_DAMPING)
        rest = np.bincount(users, weights=left - of_candidates[candidates])
        of_users = rest / (user_rows + USER_DAMPING)
    lowest, highest = float(labels.min()), float(labels.max())
    if is_binary(labels):
        lowest, highest = min(_MIN_RATE, mean / 2), max(1 - _MIN_RATE, (1 + mean) / 2)
    return Biases(mean, of_users, of_candidates, lowest, highest)


def look_up(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The value of each code; 0 for a code that has none (MISSING, or one given later)."""
    known = (codes >= 0) & (codes < len(values))
    found = np.zeros(len(codes), values.dtype)
    found[known] = values[codes[known]]
    return found


def count_popularity(candidates: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """How popular each candidate's code is, int64: its rows; if labels are 0 and 1, its rows of 1."""
    chosen = candidates if labels is None or not is_binary(labels) else candidates[labels == 1]
    counts: np.ndarray = np.bincount(chosen, minlength=int(candidates.max(initial=-1)) + 1)
    return counts


def popularity_percentiles(counts: np.ndarray) -> np.ndarray:
    """How popular each candidate is among all, float64 from 0 to 1: the share with fewer rows, equals half."""
    _, place, equals = np.unique(counts, return_inverse=True, return_counts=True)
    below = np.cumsum(equals) - equals
    return ((below + 0.5 * equals) / max(1, len(counts)))[place]


class Baselines:
    """All baselines, fitted on a training table and ready for any table with the same id columns.

    `label_column` may be None (every row is an interaction): then there are no mean and biases. Labels are finite
    numbers, ids text or whole numbers, and nothing is null. Popularity is that of `count_popularity`.
    """

    def __init__(
        self, training: pa.Table, *, user_column: str, candidate_column: str, label_column: str | None = None
    ) -> None:
        self.user_column, self.candidate_column, self.label_column = user_column, candidate_column, label_column
        self._users = Codes(_id_type(training, user_column))
        self._candidates = Codes(_id_type(training, candidate_column))
        users = self._users.add(training.column(user_column))
        candidates = self._candidates.add(training.column(candidate_column))
        self.biases: Biases | None = None
        labels = None
        if label_column is not None and training.num_rows:
            labels = numbers(training.column(label_column))
            self.biases = fit_biases(users, candidates, labels)
        self._counts = count_popularity(candidates, labels)

    def predict_mean(self, table: pa.Table) -> np.ndarray:
        """The mean training label for every row, float64 `[rows]`."""
        return np.full(table.num_rows, self._labelled().mean)

    def predict_biases(self, table: pa.Table) -> np.ndarray:
        """The label that the biases predict for each row, float64 `[rows]`; unknown ids have no bias."""
        return self._labelled().predict(
            self._users.find(table.column(self.user_column)), self._find_candidates(table)
        )

    def score_candidate_biases(self, table: pa.Table) -> np.ndarray:
        """The bias of each row's candidate, float64 `[rows]`, 0 for an unknown one: its order is the biases'."""
        return look_up(self._labelled().candidates, self._find_candidates(table))

    def score_popularity(self, table: pa.Table) -> np.ndarray:
        """How popular each row's candidate is, float64 `[rows]`; 0 for an unknown one."""
        return look_up(self._counts, self._find_candidates(table)).astype(np.float64)

    def find_percentiles(self, candidates: pa.Array) -> np.ndarray:
        """How popular each id is among the training candidates (`popularity_percentiles`); 0 for others."""
        return look_up(popularity_percentiles(self._counts), self._candidates.find(candidates))

    def count_catalogue(self, candidates: pa.Array) -> int:
        """The number of distinct candidates of the training rows and of these distinct ids together."""
        return len(self._candidates) + int((self._candidates.find(candidates) == MISSING).sum())

    def _find_candidates(self, table: pa.Table) -> np.ndarray:
        return self._candidates.find(table.column(self.candidate_column))

    def _labelled(self) -> Biases:
        if self.biases is None:
            raise ValueError("baselines that were fitted without labels predict none")
        return self.biases


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """The values of a column of numbers or booleans (no nulls) as float64, chunk by chunk."""
    parts = [chunk.cast(pa.float64()).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty(0)


def _id_type(table: pa.Table, column: str) -> pa.DataType:
    type_ = table.schema.field(column).type
    return type_.value_type if pa.types.is_dictionary(type_) else type_
