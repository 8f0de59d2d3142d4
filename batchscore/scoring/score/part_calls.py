"""The calls of a part of a plan: one shape, whatever is computed, so that a tuple's results depend on it alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from batchscore.engine.fed_table import FedTable
from batchscore.engine.session import Call
from batchscore.errors import ModelError
from batchscore.planning.plan import Part
from batchscore.scoring.score.positions import find_positions, row_bytes

CALL_ROWS = 1024
"""Rows of every call of a part: one shape, as for the scorer's calls."""


@dataclass(frozen=True)
class Computed:
    """What a call gave for `rows`, at its `places`; or `failure`: why the model fails on the one row."""

    rows: np.ndarray
    places: np.ndarray
    results: list[np.ndarray]
    failure: str | None = None

    def write(self, tables: Sequence[FedTable], first: int) -> int:
        """Put the results into `tables`, from row `first` on; gives the row after them."""
        end = first + len(self.rows)
        for table, result in zip(tables, self.results, strict=True):
            np.take(result, self.places, axis=0, out=table.values[first:end], mode="clip")
        return end


class PartCalls:
    """Computes a part for rows of values. Once its positions have been tested it may be used by several threads."""

    def __init__(self, call: Call, part: Part) -> None:
        self.part = part
        self._call = call
        self._positions: np.ndarray | None = None

    @property
    def positions_left_out(self) -> int:
        """How many positions of a call give other bits than the rest, and stay empty."""
        return 0 if self._positions is None else CALL_ROWS - len(self._positions)

    def compute(self, values: Sequence[pa.Array], rows: np.ndarray) -> Iterator[Computed]:
        """The tables' rows for `rows` of `values`, some of them at a time.

        Raises ModelError: E-MODEL-RUN if the model fails on everything, E-MODEL-PLAN if the part gives
        something else than it should.
        """
        if self._positions is None:
            tested = [column.take(pa.array(rows)) for column in values]
            self._positions = find_positions(
                lambda chosen: row_bytes(*self._run(tested, chosen)), len(rows), CALL_ROWS, what="input"
            )
        size = len(self._positions)
        for start in range(0, len(rows), size):
            yield from self._compute(values, rows[start : start + size], self._positions)

    def _compute(self, values: Sequence[pa.Array], rows: np.ndarray, positions: np.ndarray) -> Iterator[Computed]:
        """One call; if the model fails, the rows on which it fails are found by bisection."""
        places = positions[: len(rows)]
        padded = np.full(CALL_ROWS, rows[0])
        padded[places] = rows
        try:
            results = self._run(values, padded)
        except ModelError as error:
            if error.error_id != "E-MODEL-RUN":
                raise
            if len(rows) == 1:
                yield Computed(rows, places, [], str(error))
            else:
                for half in np.array_split(rows, 2):
                    yield from self._compute(values, half, positions)
            return
        yield Computed(rows, places, results)

    def _run(self, values: Sequence[pa.Array], rows: np.ndarray) -> list[np.ndarray]:
        chosen = pa.array(rows)
        results = self._call(*(array.take(chosen) for array in values))
        for table, result in zip(self.part.tables, results, strict=True):
            if result.shape != (len(rows), table.width):
                raise unusable_part(self.part, f"a table {list(result.shape)}", f"[{len(rows)}, {table.width}]")
        return results


def unusable_part(part: Part, found: str, expected: str) -> ModelError:
    """The error of a part that gives something else than the plan says."""
    return ModelError(
        "E-MODEL-PLAN",
        f"part {part.name!r} of the plan cannot be used",
        found=found,
        expected=expected,
        next_step="run with --plan off, and report this with the model",
    )
