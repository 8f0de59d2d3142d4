"""Parquet to record batches: only the columns needed, never the whole file."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from batchscore.columns import plain_type
from batchscore.scoring.inputs import PairFile, Pairs, corrupt
from batchscore.scoring.recurring import RecurringValues

BATCH_ROWS = 262_144
"""Rows read at a time. It decides memory and progress, never a result."""

_BATCHES_AHEAD = 2
_STOP_SECONDS = 0.1
_JOIN_SECONDS = 0.5


@dataclass(frozen=True)
class PairBatch:
    """Consecutive rows of one file. `first_row` is the 0-based number of the first within the file."""

    path: str
    first_row: int
    table: pa.RecordBatch


def read_batches(pairs: Pairs, columns: Sequence[str]) -> Iterator[PairBatch]:
    """The rows of `pairs`, file after file, at most BATCH_ROWS at a time, with `columns` only.

    Each column has the type that it has in the first file; text comes as a dictionary, which costs nothing where
    the file has it so, and saves every later stage from looking at the same text twice. Raises InputError
    (E-INPUT-CORRUPT) where a page does not decode or fails its checksum, TryLaterError (E-INPUT-CHANGED) where a
    file is another one now.
    """
    wanted = pa.schema([pairs.schema.field(name) for name in columns])
    recurring = {name: RecurringValues() for name in columns}
    for file in pairs.files:
        for batch in _read_file(file, wanted):
            arrays = [
                recurring[name].recode(column) if isinstance(column, pa.DictionaryArray) else column
                for name, column in zip(columns, batch.table.columns, strict=True)
            ]
            yield replace(batch, table=pa.RecordBatch.from_arrays(arrays, names=wanted.names))


def _read_file(file: PairFile, wanted: pa.Schema) -> Iterator[PairBatch]:
    row = 0
    try:
        texts = [field.name for field in wanted if _is_text(plain_type(field.type))]
        with file.open(as_dictionaries=texts) as parquet:
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
    """Text of one layout, with or without dictionaries: the stages that follow take both."""
    arrays = [
        _as_layout(column, plain_type(field.type)) for column, field in zip(table.columns, wanted, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=wanted.names)


def _as_layout(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if isinstance(column, pa.DictionaryArray):
        _require_in_dictionary(column)
    if plain_type(column.type) == wanted:
        return column
    if isinstance(column, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(wanted))
    return column.cast(wanted)


def _require_in_dictionary(column: pa.DictionaryArray) -> None:
    """ValueError where a row points beyond the dictionary: pyarrow believes the pages, and would read anything."""
    used = pc.min_max(column.indices).as_py()
    if used["min"] is not None and not 0 <= used["min"] <= used["max"] < len(column.dictionary):
        raise ValueError(f"entry {used['max']} of a dictionary of {len(column.dictionary)}")


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def read_ahead(batches: Iterator[PairBatch]) -> Generator[PairBatch, None, None]:
    """Pass `batches` on, reading the next ones in a thread while the last ones are worked on.

    What the reading raises is raised here, at its place. Close it to end the reading: that waits half a second for
    a read that is under way, not for a storage that hangs.
    """
    ready: queue.Queue[PairBatch | BaseException | None] = queue.Queue(_BATCHES_AHEAD)
    stop = threading.Event()

    def put(item: PairBatch | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=_STOP_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for batch in batches:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the batches
            put(error)

    thread = threading.Thread(target=read, name="reader", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join(_JOIN_SECONDS)
