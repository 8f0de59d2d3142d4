"""A set of ids that grows batch by batch, in Arrow's memory: no Python object for an id."""

from __future__ import annotations

from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

_MIN_PENDING = 1_000_000


class DistinctIds:
    """Ids of one type, each once, without nulls; states of parts merge to that of the whole."""

    def __init__(self) -> None:
        self._parts: list[pa.Array] = []
        self._pending, self._known = 0, 0

    def add(self, ids: pa.Array) -> None:
        """Add ids, [n], plain or a dictionary of one."""
        if isinstance(ids, pa.DictionaryArray):
            ids = ids.dictionary.take(ids.indices.unique())
        distinct = ids.unique().drop_null()
        if len(distinct):
            self._parts.append(distinct)
            self._pending += len(distinct)
            if self._pending > max(_MIN_PENDING, self._known):
                self._join()

    def merge(self, other: Self) -> None:
        """Add what `other` was given."""
        for part in other._parts:
            self.add(part)

    def values(self) -> pa.Array | None:
        """The ids in no order, [m]; None before the first."""
        self._join()
        return self._parts[0] if self._parts else None

    def __len__(self) -> int:
        values = self.values()
        return 0 if values is None else len(values)

    def _join(self) -> None:
        if len(self._parts) > 1:
            first = self._parts[0].type
            self._parts = [pc.unique(pa.chunked_array([part.cast(first) for part in self._parts]))]
        self._known, self._pending = len(self._parts[0]) if self._parts else 0, 0
