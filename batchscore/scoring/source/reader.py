"""Parquet to record batches: only the columns needed, never the whole file."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Self

import pyarrow as pa

from batchscore.columns import is_text, plain_type
from batchscore.scoring.source.pair_files import PairFile, corrupt
from batchscore.scoring.source.pair_source import PairBatch
from batchscore.scoring.source.recurring import RecurringValues
from batchscore.tables.parquet_files import READ_ERRORS

BATCH_ROWS = 262_144
"""Rows read at a time. It decides memory and progress, never a result."""

_MIN_BATCHES_AHEAD = 2
_MAX_BYTES_AHEAD = 64 * 2**20
_JOIN_SECONDS = 0.5


def read_batches(files: Sequence[PairFile], wanted: pa.Schema) -> Iterator[PairBatch]:
    """The rows of `files`, file after file, at most BATCH_ROWS at a time, with the columns of `wanted` only.

    Each column has the type that it has there; text comes as a dictionary, which costs nothing if
    the file has it so, and saves every later stage from looking at the same text twice. Raises InputError
    (E-INPUT-CORRUPT, E-INPUT-UNSUPPORTED) where a page does not decode or fails its checksum, TryLaterError
    (E-INPUT-CHANGED) if a file is another one now.
    """
    recurring = {name: RecurringValues() for name in wanted.names}
    for file in files:
        for batch in _read_file(file, wanted):
            arrays = [
                recurring[name].recode(column) if isinstance(column, pa.DictionaryArray) else column
                for name, column in zip(wanted.names, batch.table.columns, strict=True)
            ]
            yield replace(batch, table=pa.RecordBatch.from_arrays(arrays, names=wanted.names))


def _read_file(file: PairFile, wanted: pa.Schema) -> Iterator[PairBatch]:
    row = 0
    texts = [field.name for field in wanted if is_text(plain_type(field.type))]
    try:
        for table in file.batches(wanted.names, BATCH_ROWS, as_dictionaries=texts):
            yield PairBatch(str(file.path), row, _conform(table, wanted))
            row += table.num_rows
    except READ_ERRORS as error:
        if not isinstance(error, MemoryError):
            file.require_unchanged()
        raise corrupt(file.path, f"or after row {row:,}", error) from error


def _conform(table: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """Text of one layout, with or without dictionaries: the stages that follow take both.

    Views of text become large_string, since Arrow can neither look them up nor filter them.
    """
    arrays = [
        _as_layout(column, _layout_of(plain_type(field.type)))
        for column, field in zip(table.columns, wanted, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=wanted.names)


def _layout_of(type_: pa.DataType) -> pa.DataType:
    return pa.large_string() if pa.types.is_string_view(type_) else type_


def _as_layout(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if plain_type(column.type) == wanted:
        return column
    if isinstance(column, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(wanted))
    return column.cast(wanted)


class ReadAhead:
    """Passes batches on, reading the next ones in a thread, from now on, while the last ones are worked on.

    What the reading raises is raised here, at its place. Close it to end the reading: that waits half a second for
    a read that is under way, not for a storage that hangs.
    """

    def __init__(self, batches: Iterator[PairBatch]) -> None:
        self._batches = batches
        self._ready: deque[PairBatch | BaseException | None] = deque()
        self._ready_bytes = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PairBatch:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._stopped)
            item = self._ready.popleft() if self._ready else None
            if isinstance(item, PairBatch):
                self._ready_bytes -= item.table.nbytes
                self._changed.notify_all()
                return item
        self.close()
        if item is None:
            raise StopIteration
        raise item

    def close(self) -> None:
        """Read no further. Calling it twice is harmless."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(_JOIN_SECONDS)

    def _read(self) -> None:
        try:
            for batch in self._batches:
                if not self._put(batch):
                    return
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for the batches
            self._put(error)
        else:
            self._put(None)

    def _put(self, item: PairBatch | BaseException | None) -> bool:
        """Hand over; False if no one takes it any more. A batch waits while enough others do."""
        size = item.table.nbytes if isinstance(item, PairBatch) else 0
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stopped
                    or len(self._ready) < _MIN_BATCHES_AHEAD
                    or self._ready_bytes + size <= _MAX_BYTES_AHEAD
                )
            )
            self._ready.append(item)
            self._ready_bytes += size
            self._changed.notify_all()
            return not self._stopped
