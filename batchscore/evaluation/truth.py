"""What users really did: labelled pairs, and which of them are relevant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa

from batchscore.arrays.codes import MISSING, pair_keys

Gain = Literal["linear", "exponential", "binary"]
"""What a row is worth to NDCG: its label (at least 0), 2 ** label - 1, or 1 where it is relevant."""


@dataclass(frozen=True)
class Truth:
    """Labelled pairs, each once, in ascending order of `keys` (`codes.pair_keys`).

    `users` (codes below `user_count`, int32), `candidates` (int32) and `labels` (float64, finite) have a value a
    pair; `relevant` (bool) says which pairs a good list should hold, `gains` (float64, at least 0) what they are
    worth to NDCG. `duplicates` counts the rows that were left out, because another row of the pair had a label at
    least as high.
    """

    keys: np.ndarray
    labels: np.ndarray
    relevant: np.ndarray
    gains: np.ndarray
    user_count: int
    duplicates: int

    @property
    def users(self) -> np.ndarray:
        """The user of each pair."""
        return (self.keys >> 32).astype(np.int32)

    @property
    def candidates(self) -> np.ndarray:
        """The candidate of each pair."""
        return (self.keys & 0xFFFF_FFFF).astype(np.int32)

    @cached_property
    def relevant_counts(self) -> np.ndarray:
        """Relevant pairs of each user, int64 `[user_count]`."""
        return np.bincount(self.users[self.relevant], minlength=self.user_count)

    def find(self, users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """The position of each pair in the truth, int64 `[pairs]`; MISSING if it is not there."""
        if not len(self.keys):
            return np.full(len(users), MISSING)
        keys = pair_keys(users, candidates)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, MISSING)


def least_label(relevant: float | None, labels: pa.DataType) -> float | None:
    """`relevant` rounded as labels of this type are: a label of 0.7 in float32 is not below 0.7."""
    if relevant is None or labels not in (pa.float16(), pa.float32()):
        return relevant
    with np.errstate(over="ignore"):
        return float(np.float64(relevant).astype(labels.to_pandas_dtype()))


def make_truth(
    users: np.ndarray,
    candidates: np.ndarray,
    labels: np.ndarray | None,
    *,
    user_count: int,
    relevant: float | None = None,
    gain: Gain = "linear",
) -> Truth:
    """The truth from codes of users and candidates (int32 `[rows]`) and finite labels (None: every row is a 1).

    A pair is relevant if its label is at least `relevant`; without it, where its label is above 0. Of several
    rows of one pair the highest label counts.
    """
    keys = pair_keys(users, candidates)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.empty(0, np.int64)
    if labels is None or not len(keys):
        highest = np.ones(len(first))
    else:
        highest = np.maximum.reduceat(labels.astype(np.float64)[order], first)
    chosen = highest > 0 if relevant is None else highest >= relevant
    if gain == "binary":
        gains = chosen.astype(np.float64)
    else:
        gains = np.maximum(highest, 0) if (highest < 0).any() else highest
    return Truth(
        keys=keys[first],
        labels=highest,
        relevant=chosen,
        gains=np.exp2(gains) - 1 if gain == "exponential" else gains,
        user_count=user_count,
        duplicates=len(keys) - len(first),
    )
