"""Rows of a table that may be larger than memory, picked by their numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


class TableRows:
    """The batches of `table` with the number of the first row of each, so that rows can be picked one by one.

    Nothing of a memory-mapped table is read before it is picked.
    """

    def __init__(self, table: pa.Table) -> None:
        self.schema: pa.Schema = table.schema
        self._batches: list[pa.RecordBatch] = table.to_batches()
        self._ends = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)

    def take(self, rows: np.ndarray) -> pa.Table:
        """The rows with the numbers `rows` (int64, from 0, repeated or not), in this order, copied."""
        if not len(rows):
            return self.schema.empty_table()
        ascending = np.argsort(rows, kind="stable")
        found = rows[ascending]
        parts = []
        ends = np.searchsorted(found, self._ends)
        for batch, begin, end, last in zip(self._batches, [0, *ends[:-1]], ends, self._ends, strict=True):
            if begin < end:
                parts.append(batch.take(pa.array(found[begin:end] - (last - batch.num_rows))))
        places = np.empty(len(rows), np.int64)
        places[ascending] = np.arange(len(rows))
        return pa.Table.from_batches(parts, self.schema).combine_chunks().take(pa.array(places))
