"""Rows that a training reads again and again: in memory while they are few, otherwise in a file that is mapped."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from batchscore.errors import OutputError, reason_of
from batchscore.interactions.input_files import BATCH_ROWS

IN_MEMORY_BYTES = 256 * 1024 * 1024
"""Rows of more bytes than this go to a file."""


class PreparedRows:
    """Collects record batches of one schema, in order, and gives them back as one table.

    Up to `IN_MEMORY_BYTES` they stay in memory. Beyond, all of them are written to the Arrow IPC file `path`,
    uncompressed, and the table that comes back is a read-only mapping of it: its pages are read when they are used
    and the system drops them when it needs the room. The rows are the same either way. The table's chunks have
    about `BATCH_ROWS` rows. The file is the caller's to remove, at any time: a mapping outlives it.

    As a context it removes the file of rows that were not finished. Raises OutputError (E-OUTPUT) if the file
    cannot be written.
    """

    def __init__(self, schema: pa.Schema, path: Path) -> None:
        self._schema = schema
        self._path = path
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._file: _RowFile | None = None

    def append(self, batch: pa.RecordBatch) -> None:
        """Add the rows of `batch` at the end."""
        if batch.num_rows:
            self._pending.append(batch)
            self._pending_rows += batch.num_rows
        if self._pending_rows >= BATCH_ROWS:
            self._flush()

    def finish(self) -> pa.Table:
        """All rows. Nothing can be added afterwards."""
        self._flush()
        if self._file is None:
            return pa.Table.from_batches(self._batches, self._schema)
        table = self._file.finish()
        self._file = None
        return table

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.remove()

    def _flush(self) -> None:
        if not self._pending:
            return
        self._batches.append(pa.concat_batches(self._pending))
        self._bytes += self._batches[-1].nbytes
        self._pending, self._pending_rows = [], 0
        if self._file is None and self._bytes > IN_MEMORY_BYTES:
            self._file = _RowFile(self._path, self._schema)
        if self._file is not None:
            self._file.write(self._batches)
            self._batches = []


class _RowFile:
    """An Arrow IPC file that is being written. Raises OutputError (E-OUTPUT)."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # a process that has mapped an older one keeps it
            self._sink = pa.OSFile(str(path), "wb")
            self._writer = pa.ipc.new_file(self._sink, schema)
        except OSError as error:
            raise self._cannot_write(error) from error

    def write(self, batches: list[pa.RecordBatch]) -> None:
        try:
            for batch in batches:
                self._writer.write_batch(batch)
        except OSError as error:
            raise self._cannot_write(error) from error

    def finish(self) -> pa.Table:
        try:
            self._writer.close()
            self._sink.close()
            return pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()
        except OSError as error:
            raise self._cannot_write(error) from error

    def remove(self) -> None:
        self._sink.close()
        self._path.unlink(missing_ok=True)

    def _cannot_write(self, error: OSError) -> OutputError:
        return OutputError(
            "E-OUTPUT",
            f"the prepared rows cannot be written: {reason_of(error)}",
            where=self._path,
            next_step="free space on the disk of --output: twice the uncompressed size of the interactions",
        )
