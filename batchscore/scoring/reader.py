"""Parquet to record batches: only the columns needed, never the whole file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from batchscore.columns import plain_type
from batchscore.scoring.inputs import PairFile, Pairs, corrupt

BATCH_ROWS = 65_536
"""Rows read at a time. It decides memory and progress, never a result."""


@dataclass(frozen=True)
class PairBatch:
    """Consecutive rows of one file. `first_row` is the 0-based number of the first within the file."""

    path: str
    first_row: int
    table: pa.RecordBatch


def read_batches(pairs: Pairs, columns: Sequence[str]) -> Iterator[PairBatch]:
    """The rows of `pairs`, file after file, at most BATCH_ROWS at a time, with `columns` only.

    Each column has the type that it has in the first file, without its dictionary where other files have another
    layout. Raises InputError (E-INPUT-CORRUPT) where a page does not decode or fails its checksum, TryLaterError
    (E-INPUT-CHANGED) where a file is another one now.
    """
    wanted = pa.schema([pairs.schema.field(name) for name in columns])
    for file in pairs.files:
        yield from _read_file(file, wanted)


def _read_file(file: PairFile, wanted: pa.Schema) -> Iterator[PairBatch]:
    row = 0
    try:
        with file.open() as parquet:
            # threads would only prefetch columns; the scorer has its own use for the cores
            for table in parquet.iter_batches(BATCH_ROWS, columns=wanted.names, use_threads=False):
                yield PairBatch(str(file.path), row, _conform(table.select(wanted.names), wanted))
                row += table.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, MemoryError):
            raise
        file.require_unchanged()
        raise corrupt(file.path, f"or after row {row:,}", error) from error
    if row != file.rows:
        raise corrupt(file.path, f"row {row:,}", ValueError(f"{row:,} rows decoded, the footer says {file.rows:,}"))


def _conform(table: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """Text of one layout; dictionaries stay, since the stages that follow take both."""
    arrays = [
        column if _same_layout(column.type, field.type) else column.cast(plain_type(field.type))
        for column, field in zip(table.columns, wanted, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=wanted.names)


def _same_layout(one: pa.DataType, other: pa.DataType) -> bool:
    return bool(plain_type(one) == plain_type(other))
