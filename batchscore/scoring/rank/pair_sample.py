"""A sample of pairs that is the same in whatever order, batches or parts the pairs come.

Pairs are sampled by one of their ids: those of the few ids with the smallest hashes, and of each at most so many of
the pairs with the smallest hashes. What is in the sample at the end was in it from its first row on, so repeats are
counted exactly. Samples of parts merge to that of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from batchscore.arrays.sketches import BottomK

PAIR = np.dtype([(name, np.uint64) for name in ("group", "pair", "member", "fed", "score", "count")])
"""A distinct pair: hashes of the id that it is sampled by, of the pair, of its other id and of what else the model
was fed; its score's bits (the highest, if the pair is repeated); how many rows have it."""

_NO_LIMIT = np.uint64(2**64 - 1)
_NO_GROUP = np.uint16(2**16 - 1)
_TURN = np.uint64(32)
_CHUNK_ROWS = 16_384
"""Rows that are looked at before the limits of what can still be sampled are drawn closer."""

HashFed = Callable[[np.ndarray], np.ndarray]
"""Gives hashes, uint64 [n], of what else the model was fed in n rows."""


@dataclass(frozen=True)
class HashedIds:
    """n ids: `codes` [n] say which of the `hashes` (uint64 [m]) each has. Some may be no row's."""

    codes: np.ndarray
    hashes: np.ndarray


class PairSample:
    """The pairs of `groups` ids, at most `members` of each; `rows` has them by group, then pair."""

    def __init__(self, groups: int, members: int) -> None:
        self._members = members
        self._groups = BottomK(groups)
        self._limits = np.empty(0, np.uint64)
        """For each group the largest hash of a pair that can still be sampled."""
        self.rows = np.empty(0, PAIR)

    def add(self, ids: HashedIds, new: np.ndarray, others: HashedIds, scores: np.ndarray, fed: HashFed) -> None:
        """Add n pairs, sampled by `ids`, of which `new` (hashes, uint64) have at least those not added before."""
        self._add_groups(new)
        chosen = np.flatnonzero(ids.hashes <= self._groups.threshold)
        numbers = np.full(len(ids.hashes), _NO_GROUP)
        numbers[chosen] = np.searchsorted(self._groups.hashes, ids.hashes[chosen])
        numbers = np.take(numbers, ids.codes, mode="clip")
        rows = np.flatnonzero(numbers != _NO_GROUP)
        numbers = numbers[rows]
        for start in range(0, len(rows), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            self._add_rows(rows[chunk], numbers[chunk], others, scores, fed)

    def merge(self, other: PairSample) -> None:
        """Add what `other`, of the same sizes, was given."""
        self._add_groups(other._groups.hashes)
        rows = other.rows.compress(other.rows["group"] <= self._groups.threshold)
        self._put(rows, self._number(rows))

    def _add_rows(
        self, rows: np.ndarray, numbers: np.ndarray, others: HashedIds, scores: np.ndarray, fed: HashFed
    ) -> None:
        groups = self._groups.hashes[numbers]
        members = others.hashes[others.codes[rows]]
        pairs = groups + (members << _TURN | members >> _TURN)
        kept = np.flatnonzero(pairs <= self._limits[numbers])
        if not len(kept):
            return
        added, rows = np.empty(len(kept), PAIR), rows[kept]
        added["group"], added["pair"], added["member"] = groups[kept], pairs[kept], members[kept]
        added["fed"], added["score"], added["count"] = fed(rows), _bits(scores[rows]), 1
        self._put(added, numbers[kept])

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
        self.rows = self.rows.compress(self.rows["group"] <= self._groups.threshold)

    def _put(self, added: np.ndarray, numbers: np.ndarray) -> None:
        """Add rows of the groups of these numbers: one row a distinct pair stays, the smallest of each group."""
        numbers = np.concatenate([self._number(self.rows), numbers])
        rows = _concatenate(self.rows, added)
        order = np.argsort(rows["pair"])
        order = order[np.argsort(numbers[order], kind="stable")]
        rows, numbers = _join_repeats(rows.take(order), numbers[order])
        starts = np.searchsorted(numbers, np.arange(len(self._groups.hashes) + 1, dtype=np.uint16))
        places = np.arange(len(rows)) - starts[numbers]
        last = np.flatnonzero(places == self._members - 1)
        self._limits[numbers[last]] = rows["pair"][last]
        self.rows = rows if len(last) == 0 else rows.compress(places < self._members)

    def _number(self, rows: np.ndarray) -> np.ndarray:
        """The number of each row's group among the groups; the rows are in the order of these."""
        starts = np.searchsorted(rows["group"], self._groups.hashes)
        counts = np.diff(starts, append=len(rows))
        return np.repeat(np.arange(len(counts), dtype=np.uint16), counts)


def _join_repeats(rows: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One row for each distinct pair of rows ordered by group, then pair; and the numbers of their groups."""
    pairs = rows["pair"]
    first = np.ones(len(rows), bool)
    first[1:] = (pairs[1:] != pairs[:-1]) | (numbers[1:] != numbers[:-1])
    if first.all():
        return rows, numbers
    starts = np.flatnonzero(first)
    distinct = rows.take(starts)
    for name in ("fed", "score"):
        distinct[name] = np.maximum.reduceat(rows[name], starts)
    distinct["count"] = np.add.reduceat(rows["count"], starts)
    return distinct, numbers[starts]


def _concatenate(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rows of PAIR, one after another; as plain numbers, since NumPy copies records field by field."""
    return np.concatenate([one.view(np.uint64), other.view(np.uint64)]).view(PAIR)


def find_starts(groups: np.ndarray) -> np.ndarray:
    """Where each group begins in ordered `groups`."""
    return np.flatnonzero(np.append(len(groups) > 0, groups[1:] != groups[:-1])[: len(groups)])


def _bits(scores: np.ndarray) -> np.ndarray:
    """Equal numbers for equal scores, also for 0.0 and -0.0."""
    scores = scores + scores.dtype.type(0)
    return scores.view(f"u{scores.dtype.itemsize}").astype(np.uint64)
