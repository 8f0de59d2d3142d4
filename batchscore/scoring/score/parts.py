"""A part of a plan: what depends on a few inputs only, computed once per distinct tuple of their values, and kept.

The results lie in tables that the head reads by row number. They stay across batches, as far as the memory goes
that they are given: a full table is doubled, and at its limit started again. Calls under way keep the tables that
they were given, and nothing that they read is ever overwritten.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from batchscore.arrays.distinct import Distinct, find_distinct, find_used, is_same_array
from batchscore.arrays.keys import find_order_of
from batchscore.columns import is_text
from batchscore.engine.fed_table import FedTable
from batchscore.engine.session import Call
from batchscore.planning.plan import Part
from batchscore.scoring.bind.casts import FLOATS, INTEGERS
from batchscore.scoring.score.part_calls import PartCalls, unusable_part
from batchscore.scoring.score.per_pair import PerPair

FIRST_ROWS = 262_144
"""Rows of a new table, where its budget allows them: what is not written takes no memory, and a larger table means
that the head is compiled again."""

_CACHED_BYTES = 2**20
"""What the head can gather from in any order, since it stays in the processor's second-level cache."""

KEY_BYTES = 200
"""What it takes to know which row a tuple has: its key and the row's number, in a dictionary."""

WATCHED_ROWS = 262_144
"""Rows after which it is known whether tuples recur: if nine in ten were new, a part is computed once per pair."""

_MAX_NEW_SHARE = 0.9

_UNPLACED = -2
_DTYPES = {"bool", *INTEGERS, *FLOATS} - {"bfloat16"}


@dataclass(frozen=True)
class Placed:
    """Where n pairs find a part: int32 [n] row numbers in `tables`. `failures` says for a pair why it has none."""

    rows: np.ndarray
    tables: tuple[FedTable, ...]
    failures: Mapping[int, str]

    def for_call(self, rows: np.ndarray) -> tuple[np.ndarray, tuple[FedTable, ...]]:
        """The part for `rows` of the pairs: a table row for each, and the tables."""
        return np.maximum(self.rows[rows], 0), self.tables

    def count_bytes(self) -> int:
        """Bytes of the rows that the pairs point at, or of what they read in their own order, if that is cached."""
        row_bytes = sum(table.values[:1].nbytes for table in self.tables)
        in_order = (1 + int(np.count_nonzero(self.rows[1:] != self.rows[:-1]))) * row_bytes
        if in_order <= _CACHED_BYTES:
            return in_order
        rows = np.maximum(self.rows, 0)
        return int(np.count_nonzero(find_used(rows, int(rows.max()) + 1))) * row_bytes


def find_order(placed: Sequence[Placed]) -> np.ndarray:
    """The pairs [n] in the order in which the head gathers best: by the row in the part of which most is read.

    Rows that do not fit into the cache are then read once, one after another, and not once per pair.
    """
    sizes = [part.count_bytes() for part in placed]
    largest = placed[int(np.argmax(sizes))].rows
    if max(sizes) <= _CACHED_BYTES:
        return np.arange(len(largest))
    return find_order_of(np.maximum(largest, 0))


@dataclass
class _Kept:
    """What has been computed: the row of each tuple, or why the model failed on it."""

    tables: tuple[FedTable, ...]
    row_of: dict[Any, int] = field(default_factory=dict)
    failure_of: dict[Any, str] = field(default_factory=dict)
    filled: int = 0
    dictionary: pa.Array | None = None
    dictionary_rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))

    @property
    def capacity(self) -> int:
        return len(self.tables[0].values)


class PartTables:
    """All that has been computed of one part. For one thread at a time; the calls that read it may be many."""

    def __init__(self, call: Call, part: Part, *, head_rows: int, budget_bytes: int) -> None:
        """`call` computes the part's tables from its inputs. `head_rows` are the pairs of a call of the head.

        A table has at least as many rows, so that they fit.

        `most_pairs` is then how many may be placed at once.
        Raises ModelError (E-MODEL-PLAN) if a table holds what cannot be kept.
        """
        self.part = part
        self._calls = PartCalls(call, part)
        self._asked = self._new = 0
        for table in part.tables:
            if table.dtype not in _DTYPES:
                raise unusable_part(part, f"a table of {table.dtype}", "numbers that NumPy has")
        table_bytes = sum(table.width * np.dtype(table.dtype).itemsize for table in part.tables)
        self._most_rows = max(head_rows, budget_bytes // (table_bytes + KEY_BYTES))
        self._head_rows = first_rows = head_rows
        while first_rows * 2 <= min(self._most_rows, FIRST_ROWS):
            first_rows *= 2
        self.most_pairs = first_rows
        self._kept = self._begin(first_rows)

    @property
    def positions_left_out(self) -> int:
        """How many positions of a call give other bits than the rest, and stay empty."""
        return self._calls.positions_left_out

    @property
    def tables(self) -> tuple[FedTable, ...]:
        """The tables as they are now, with the capacity that most calls will see."""
        return self._kept.tables

    def take(self, feeds: Mapping[str, pa.Array]) -> Placed | PerPair:
        """The rows of `feeds` placed, or to be computed where they are needed, if most tuples so far were new."""
        if self._asked >= WATCHED_ROWS and self._new > _MAX_NEW_SHARE * self._asked:
            return PerPair(self._calls, feeds, self._head_rows)
        return self.place(feeds)

    def place(self, feeds: Mapping[str, pa.Array]) -> Placed:
        """Row numbers for the rows of `feeds` (an array of each input of the part), computing what is missing.

        At most `most_pairs` rows. Raises ModelError: E-MODEL-RUN if the model fails on everything, E-MODEL-PLAN
        if the part gives something else than it should.
        """
        distinct = find_distinct([feeds[item.name] for item in self.part.inputs])
        known = self._new
        row_of_code = self._place(distinct)
        if row_of_code is None:
            self._kept = self._begin(self._kept.capacity)
            row_of_code = self._place(distinct)
        assert row_of_code is not None, "an empty table holds a call's tuples"  # noqa: S101 - sized for it
        rows = row_of_code[distinct.codes]
        if self._new > known:  # pairs that are placed again, for a comparison, say nothing
            self._asked += len(rows)
        return Placed(rows, self._kept.tables, self._failures(distinct, rows))

    def _place(self, distinct: Distinct) -> np.ndarray | None:
        """The row of each code that is used, or None if the table has no room for all."""
        kept = self._kept
        rows = self._known_rows(distinct)
        unplaced = rows == _UNPLACED
        if unplaced.any():
            unplaced &= distinct.used()
        new = np.flatnonzero(unplaced)
        if not len(new):
            return rows
        keys = _keys(distinct, new)
        missing = [i for i, row in enumerate(map(kept.row_of.get, keys)) if row is None]
        if kept.filled + len(missing) > kept.capacity and not self._grow(kept.filled + len(missing)):
            return None
        self._new += len(missing)
        if missing:
            chosen = pa.array(new[missing])
            self._compute([values.take(chosen) for values in distinct.values], [keys[i] for i in missing])
        rows[new] = list(map(kept.row_of.__getitem__, keys))
        return rows

    def _known_rows(self, distinct: Distinct) -> np.ndarray:
        """What is known of the codes' rows: of a dictionary that came last time too, what was found then."""
        if len(distinct.values) > 1 or not is_text(distinct.values[0].type):
            return np.full(len(distinct), _UNPLACED, np.int32)
        kept = self._kept
        if not is_same_array(kept.dictionary, distinct.values[0]):
            kept.dictionary = distinct.values[0]
            kept.dictionary_rows = np.full(len(distinct), _UNPLACED, np.int32)
        return kept.dictionary_rows

    def _grow(self, rows: int) -> bool:
        capacity = self._kept.capacity
        while capacity < rows:
            capacity *= 2
        if capacity > self._most_rows:
            return False
        grown = self._make_tables(capacity)
        for old, new in zip(self._kept.tables, grown, strict=True):
            new.values[: self._kept.filled] = old.values[: self._kept.filled]
        self._kept.tables = grown
        return True

    def _begin(self, capacity: int) -> _Kept:
        return _Kept(self._make_tables(capacity))

    def _make_tables(self, capacity: int) -> tuple[FedTable, ...]:
        return tuple(FedTable(capacity, table.width, table.dtype) for table in self.part.tables)

    def _compute(self, values: list[pa.Array], keys: list[Any]) -> None:
        kept = self._kept
        for computed in self._calls.compute(values, np.arange(len(keys))):
            their_keys = [keys[row] for row in computed.rows.tolist()]
            if computed.failure is not None:
                kept.row_of[their_keys[0]] = -1
                kept.failure_of[their_keys[0]] = computed.failure
                continue
            kept.row_of.update(zip(their_keys, itertools.count(kept.filled), strict=False))
            kept.filled = computed.write(kept.tables, kept.filled)

    def _failures(self, distinct: Distinct, rows: np.ndarray) -> dict[int, str]:
        failed = np.flatnonzero(rows < 0) if self._kept.failure_of else np.empty(0, np.int64)
        if not len(failed):
            return {}
        keys = _keys(distinct, distinct.codes[failed])
        return {int(row): self._kept.failure_of[key] for row, key in zip(failed, keys, strict=True)}


def _keys(distinct: Distinct, codes: np.ndarray) -> list[Any]:
    """Hashable keys of the tuples at `codes`; floats by their bits."""
    chosen = pa.array(codes)
    columns = [_key_values(values.take(chosen)) for values in distinct.values]
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _key_values(values: pa.Array) -> list[Any]:
    if pa.types.is_floating(values.type):
        return [item.tobytes() for item in values.to_numpy(zero_copy_only=False)]
    return values.to_pylist()  # type: ignore[no-any-return]
