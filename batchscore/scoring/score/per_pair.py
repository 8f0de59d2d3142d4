"""A part of a plan whose tuples hardly recur: computed for the pairs of each call of the head, and not kept.

What a tuple gives is the same to the bit as from a table that is kept, so this is a question of speed alone: to
find equal tuples would cost time and gain nothing, and the threads of the head's calls compute side by side.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from batchscore.engine.fed_table import FedTable
from batchscore.scoring.score.part_calls import PartCalls


class PerPair:
    """Where n pairs find a part: nowhere yet. For several threads at once.

    `failures` says for a pair why it has none; it is filled by the calls.
    """

    def __init__(self, calls: PartCalls, feeds: Mapping[str, pa.Array], table_rows: int) -> None:
        """A table has `table_rows` rows, at least as many as a call of the head has pairs."""
        self._calls = calls
        self._values = [feeds[item.name] for item in calls.part.inputs]
        self._table_rows = table_rows
        self.failures: dict[int, str] = {}

    def for_call(self, rows: np.ndarray) -> tuple[np.ndarray, tuple[FedTable, ...]]:
        """The part for `rows` of the pairs: a table row for each, and the tables."""
        tables = tuple(FedTable(self._table_rows, table.width, table.dtype) for table in self._calls.part.tables)
        found = np.zeros(int(rows.max()) + 1, np.int32)
        filled = 0
        for computed in self._calls.compute(self._values, rows):
            if computed.failure is not None:
                self.failures[int(computed.rows[0])] = computed.failure
                continue
            found[computed.rows] = np.arange(filled, filled + len(computed.rows), dtype=np.int32)
            filled = computed.write(tables, filled)
        return found[rows], tables
