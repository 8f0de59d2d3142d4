"""Pairs that were read and stand in no list: bad rows, and what a rule leaves out."""

from __future__ import annotations

from collections import Counter
from typing import Self

import pyarrow as pa

from batchscore.arrays.distinct_ids import DistinctIds


class LeftOut:
    """How many pairs were left out, and whose, by reason; states of parts merge to that of the whole."""

    def __init__(self) -> None:
        self.pairs: Counter[str] = Counter()
        self._users: dict[str, DistinctIds] = {}

    @classmethod
    def of(cls, *parts: LeftOut) -> Self:
        """What was left out by all of `parts`."""
        whole = cls()
        for part in parts:
            whole.merge(part)
        return whole

    def add(self, reason: str, users: pa.Array) -> None:
        """Count the pairs of these `users`, [n], of which some may be null: no one's, and counted as pairs."""
        self.pairs[reason] += len(users)
        self._users.setdefault(reason, DistinctIds()).add(users)

    def merge(self, other: LeftOut) -> None:
        """Add what `other` was given."""
        self.pairs.update(other.pairs)
        for reason, users in other._users.items():
            self._users.setdefault(reason, DistinctIds()).merge(users)

    def describe(self) -> str:
        """The reasons with their pairs, in alphabetical order."""
        return "; ".join(f"{reason}: {pairs:,}" for reason, pairs in sorted(self.pairs.items()))

    @property
    def count(self) -> int:
        """The pairs, whatever the reason."""
        return self.pairs.total()

    def users(self) -> DistinctIds:
        """Every user of whom a pair was left out; most of them have others that were not."""
        users = DistinctIds()
        for some in self._users.values():
            users.merge(some)
        return users
