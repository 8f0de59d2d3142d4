"""A sample of pairs that is the same in whatever order, batches or parts the pairs come.

Pairs are sampled by one of their ids: those of the few ids with the smallest hashes, and of each at most so many of
the pairs with the smallest hashes. What is in the sample at the end was in it from its first row on, so repeats are
counted exactly. Samples of parts merge to that of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from batchscore.scoring.sketches import BottomK

PAIR = np.dtype([(name, np.uint64) for name in ("group", "pair", "member", "fed", "score", "count")])
"""A distinct pair: hashes of the id that it is sampled by, of the pair, of its other id and of what else the model
was fed; its score's bits (the highest, if the pair is repeated); how many rows have it."""

_NO_LIMIT = np.uint64(2**64 - 1)
_TURN = np.uint64(32)
_CHUNK_ROWS = 16_384
"""Rows that are looked at before the limits of what can still be sampled are drawn closer."""

HashFed = Callable[[np.ndarray], np.ndarray]
"""Gives hashes, uint64 [n], of what else the model was fed in n rows."""


@dataclass(frozen=True)
class HashedIds:
    """n ids: `codes` [n] say which of the `hashes` (uint64 [m]) each has; `new` are those not given before."""

    codes: np.ndarray
    hashes: np.ndarray
    new: np.ndarray


class PairSample:
    """The pairs of `groups` ids, at most `members` of each; `rows` has them by group, then pair."""

    def __init__(self, groups: int, members: int) -> None:
        self._members = members
        self._groups = BottomK(groups)
        self._limits = np.empty(0, np.uint64)
        """For each group the largest hash of a pair that can still be sampled."""
        self.rows = np.empty(0, PAIR)

    def add(self, ids: HashedIds, others: HashedIds, scores: np.ndarray, fed: HashFed) -> None:
        """Add n pairs, sampled by `ids`."""
        self._add_groups(ids.new)
        chosen = ids.hashes <= self._groups.threshold
        rows = np.flatnonzero(np.take(chosen, ids.codes))
        for start in range(0, len(rows), _CHUNK_ROWS):
            self._add_rows(rows[start : start + _CHUNK_ROWS], ids, others, scores, fed)

    def _add_rows(
        self, rows: np.ndarray, ids: HashedIds, others: HashedIds, scores: np.ndarray, fed: HashFed
    ) -> None:
        groups = ids.hashes[ids.codes[rows]]
        members = others.hashes[others.codes[rows]]
        pairs = groups + (members << _TURN | members >> _TURN)
        kept = pairs <= self._limits[np.searchsorted(self._groups.hashes, groups)]
        rows = rows[kept]
        if not len(rows):
            return
        added = np.empty(len(rows), PAIR)
        added["group"], added["pair"], added["member"] = groups[kept], pairs[kept], members[kept]
        added["fed"], added["score"], added["count"] = fed(rows), _bits(scores[rows]), 1
        self._put(added)

    def merge(self, other: PairSample) -> None:
        """Add what `other`, of the same sizes, was given."""
        self._add_groups(other._groups.hashes)
        self._put(other.rows)

    def _add_groups(self, hashes: np.ndarray) -> None:
        """Take smaller ids in; limits of ids that stay are kept."""
        before = self._groups.hashes
        self._groups.add(hashes)
        now = self._groups.hashes
        if now is before:
            return
        limits = np.full(len(now), _NO_LIMIT)
        _, places, old_places = np.intersect1d(now, before, assume_unique=True, return_indices=True)
        limits[places] = self._limits[old_places]
        self._limits = limits
        self.rows = self.rows[self.rows["group"] <= self._groups.threshold]

    def _put(self, added: np.ndarray) -> None:
        """One row a distinct pair, the smallest of each group."""
        rows = np.concatenate([self.rows, added[added["group"] <= self._groups.threshold]])
        rows = rows[np.argsort(rows["pair"])]
        numbers = np.searchsorted(self._groups.hashes, rows["group"]).astype(np.uint16)
        rows = rows[np.argsort(numbers, kind="stable")]
        first = np.ones(len(rows), bool)
        first[1:] = (rows["pair"][1:] != rows["pair"][:-1]) | (rows["group"][1:] != rows["group"][:-1])
        starts = np.flatnonzero(first)
        distinct = rows[starts]
        if len(starts) < len(rows):
            for name in ("fed", "score"):
                distinct[name] = np.maximum.reduceat(rows[name], starts)
            distinct["count"] = np.add.reduceat(rows["count"], starts)
        places = find_starts(distinct["group"])
        numbers = np.arange(len(distinct)) - np.repeat(places, np.diff(places, append=len(distinct)))
        self.rows = distinct[numbers < self._members]
        last = distinct[numbers == self._members - 1]
        self._limits[np.searchsorted(self._groups.hashes, last["group"])] = last["pair"]


def find_starts(groups: np.ndarray) -> np.ndarray:
    """Where each group begins in ordered `groups`."""
    return np.flatnonzero(np.append(len(groups) > 0, groups[1:] != groups[:-1])[: len(groups)])


def _bits(scores: np.ndarray) -> np.ndarray:
    """Equal numbers for equal scores, also for 0.0 and -0.0."""
    scores = scores + scores.dtype.type(0)
    return scores.view(f"u{scores.dtype.itemsize}").astype(np.uint64)
