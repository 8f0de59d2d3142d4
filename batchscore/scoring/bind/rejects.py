"""The bad rows that are told one by one, in a file and in the message of a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from batchscore.system.durable import replacing

REJECTS_CAP = 10_000
"""Rejects written to the file; all are counted."""


@dataclass(frozen=True)
class Reject:
    """A row that was left out. `row` is 0-based within `file`."""

    file: str
    row: int
    column: str
    reason: str
    value: str | None

    @property
    def kind(self) -> tuple[str, str]:
        """Column and reason."""
        return self.column, self.reason

    @property
    def place(self) -> tuple[str, int]:
        """Rejects are in the order of their places."""
        return self.file, self.row


@dataclass(frozen=True)
class Found:
    """Rows of one batch, ascending, that are bad for one reason; `format_value` gives the value in one of them."""

    positions: np.ndarray
    column: str
    reason: str
    format_value: Callable[[int], str | None]


@dataclass
class Rejects:
    """The first bad rows by file and row, as many as the cap, and the first one of each column and reason.

    States of parts merge to that of the whole.
    """

    rows: list[Reject] = field(default_factory=list)
    first: dict[tuple[str, str], Reject] = field(default_factory=dict)

    def add(self, file: str, numbers: np.ndarray, found: Sequence[Found]) -> None:
        """Take the bad rows of a batch, each in one of `found`; `numbers` [n] are the batch's rows in `file`."""
        positions = np.concatenate([item.positions for item in found])
        kinds = np.repeat(np.arange(len(found)), [len(item.positions) for item in found])
        order = np.argsort(positions)
        told = set(order[: self._room(file, numbers[positions[order]])].tolist())
        firsts = np.unique(kinds, return_index=True)[1].tolist()
        for index in order[np.isin(order, [*told, *firsts])].tolist():
            item, position = found[kinds[index]], int(positions[index])
            reject = Reject(file, int(numbers[position]), item.column, item.reason, item.format_value(position))
            self._note_first(reject)
            if index in told:
                self.rows.append(reject)
        self._keep_first()

    def merge(self, other: Self) -> None:
        """Add what `other` was given."""
        for reject in other.first.values():
            self._note_first(reject)
        self.rows += other.rows
        self._keep_first()

    def in_order(self) -> list[Reject]:
        """The first of each column and reason, by file and row."""
        return sorted(self.first.values(), key=lambda reject: reject.place)

    def write(self, path: Path, total: int) -> None:
        """Write JSON Lines (file, row, column, reason, value) by row; a last line tells if there are more."""
        with replacing(path) as temporary, temporary.open("x", encoding="utf-8") as file:
            for reject in self.rows:
                file.write(json.dumps(reject.__dict__, ensure_ascii=False) + "\n")
            if total > len(self.rows):
                file.write(json.dumps({"written": len(self.rows), "total": total}) + "\n")

    def _room(self, file: str, rows: np.ndarray) -> int:
        """How many of `rows`, ascending, of `file` can be among the first ones."""
        if not self.rows or len(self.rows) < REJECTS_CAP:
            return REJECTS_CAP
        last_file, last_row = self.rows[-1].place
        if file == last_file:
            return min(int(np.searchsorted(rows, last_row)), REJECTS_CAP)
        return REJECTS_CAP if file < last_file else 0

    def _note_first(self, reject: Reject) -> None:
        first = self.first.get(reject.kind)
        if first is None or reject.place < first.place:
            self.first[reject.kind] = reject

    def _keep_first(self) -> None:
        self.rows.sort(key=lambda reject: reject.place)
        del self.rows[REJECTS_CAP:]
