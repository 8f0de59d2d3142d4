"""Parquet to record batches: only the columns needed, never the whole file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from batchscore.scoring.inputs import PairFile, corrupt

BATCH_ROWS = 65_536
"""Rows read at a time. It decides memory and progress, never a result."""


@dataclass(frozen=True)
class PairBatch:
    """Consecutive rows of one file. `first_row` is the 0-based number of the first within the file."""

    path: str
    first_row: int
    table: pa.RecordBatch


def read_batches(pairs: PairFile, columns: Sequence[str]) -> Iterator[PairBatch]:
    """The rows of `pairs` in file order, at most BATCH_ROWS at a time, with `columns` only.

    Raises InputError (E-INPUT-CORRUPT) where a page does not decode or fails its checksum.
    """
    row = 0
    try:
        # threads would only prefetch columns; the scorer has its own use for the cores
        for table in pairs.parquet.iter_batches(BATCH_ROWS, columns=list(columns), use_threads=False):
            yield PairBatch(str(pairs.path), row, table.select(list(columns)))
            row += table.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, MemoryError):
            raise
        raise corrupt(pairs.path, f"or after row {row:,}", error) from error
    if row != pairs.rows:
        raise corrupt(
            pairs.path, f"row {row:,}", ValueError(f"{row:,} rows decoded, the footer says {pairs.rows:,}")
        )
