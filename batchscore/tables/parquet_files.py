"""Parquet files that others wrote: reading them, and what an error of the library means.

Nothing about such a file is believed before it is looked at. Its column chunks' metadata is never asked for: if
that is damaged or encrypted, pyarrow ends the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchscore.errors import InputError, first_line, means_out_of_memory, reason_of
from batchscore.system.regular_files import require_regular

READ_ERRORS = (pa.ArrowException, OSError, ValueError, LookupError, RuntimeError, TypeError, ArithmeticError)
"""What pyarrow raises over a file: damage has many faces (`KeyError`, `UnicodeDecodeError`, ...)."""

_LIMITS = (
    "not yet implemented",
    "not implemented",
    "not supported",
    "unsupported",
    "not built",
    "cannot contain more than",
    "capacity error",
    "offset overflow",
    "decrypt",
)
"""Words in which pyarrow says that it cannot do something, and not that the file is damaged."""

_ARROW_SCHEMA = b"ARROW:schema"


def open_source(path: Path) -> pa.NativeFile:
    """The regular file `path` for `ParquetContent`. OSError if it is not one, and never waits."""
    require_regular(path)
    return pa.OSFile(str(path))


@dataclass(frozen=True)
class ParquetContent:
    """What `source` holds: the footer and the names and types of its columns. It stays open as long as `source` is.

    `buffer_bytes` of a column are read at a time; 0 reads all that a row group has of it.
    """

    source: pa.NativeFile
    metadata: pq.FileMetaData
    schema: pa.Schema
    buffer_bytes: int = 0

    @classmethod
    def of(cls, source: pa.NativeFile, buffer_bytes: int = 0) -> ParquetContent:
        """Read the footer. Raises one of READ_ERRORS if that cannot be done."""
        with _open(source) as file:
            return cls(source, file.metadata, file.schema_arrow, buffer_bytes)

    def batches(
        self, columns: Sequence[str], batch_rows: int, dictionaries: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """All rows in the order of the file, at most `batch_rows` at a time, with these columns in this order.

        They have their types of `schema`, but that the text columns `dictionaries` come as dictionaries. pyarrow
        can make dictionaries neither of text that is encoded by its differences nor of more than 2 GB of text: such
        columns are read plainly and encoded then. Raises one of READ_ERRORS where what decodes is not what the
        footer says.
        """
        wanted = {*dictionaries, *(name for name in columns if self._is_dictionary(name))}
        direct, rows = sorted(wanted), 0
        while True:
            try:
                for batch in self._read_from(rows, columns, batch_rows, direct):
                    rows += batch.num_rows
                    yield self._as_asked(batch.select(list(columns)), wanted)
            except READ_ERRORS as error:
                failing = self._fail_as_dictionaries(rows, batch_rows, direct) if is_limit(error) else []
                if not failing:
                    raise
                direct = [name for name in direct if name not in failing]
            else:
                break
        if rows != self.metadata.num_rows:
            raise pa.ArrowInvalid(f"{rows:,} rows decoded, the footer says {self.metadata.num_rows:,}")

    def _read_from(
        self, first_row: int, columns: Sequence[str], batch_rows: int, direct: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """The rows from `first_row` on; of the columns that are dictionaries only `direct` are read as such."""
        group, skipped = self._group_of(first_row)
        as_stored = all(name in direct for name in columns if self._is_dictionary(name))
        metadata = self.metadata if as_stored else _without_arrow_schema(self.metadata)
        with _open(self.source, metadata, direct, self.buffer_bytes) as file:
            # threads would only prefetch columns; the caller that takes the batches has its own use for the cores
            for batch in file.iter_batches(
                batch_rows,
                row_groups=range(group, metadata.num_row_groups),
                columns=list(columns),
                use_threads=False,
            ):
                kept = batch.slice(min(skipped, batch.num_rows))
                skipped -= batch.num_rows - kept.num_rows
                if kept.num_rows:
                    yield kept

    def _group_of(self, row: int) -> tuple[int, int]:
        """The row group that has a row, and the row's number within it."""
        first = 0
        for group in range(self.metadata.num_row_groups):
            rows = self.metadata.row_group(group).num_rows
            if row < first + rows:
                return group, row - first
            first += rows
        return self.metadata.num_row_groups, 0

    def _fail_as_dictionaries(self, row: int, batch_rows: int, names: Sequence[str]) -> list[str]:
        """Those of the columns that cannot be read as dictionaries in the row group of `row`."""
        group, _ = self._group_of(row)
        failing = []
        for name in names:
            try:
                with _open(self.source, self.metadata, [name], self.buffer_bytes) as file:
                    for _ in file.iter_batches(batch_rows, row_groups=[group], columns=[name], use_threads=False):
                        pass
            except READ_ERRORS:
                failing.append(name)
        return failing

    def _is_dictionary(self, name: str) -> bool:
        return bool(pa.types.is_dictionary(self.schema.field(name).type))

    def _as_asked(self, batch: pa.RecordBatch, dictionaries: set[str]) -> pa.RecordBatch:
        arrays = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            type_ = self.schema.field(name).type
            if isinstance(column, pa.DictionaryArray):
                _require_in_dictionary(column)
            elif name in dictionaries:
                column = column.dictionary_encode()  # noqa: PLW2901
                column = column.cast(type_) if pa.types.is_dictionary(type_) else column  # noqa: PLW2901
            elif column.type != type_:
                column = column.cast(type_)  # noqa: PLW2901
            arrays.append(column)
        return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def raise_if_no_damage(error: Exception, path: Path, called: str) -> None:
    """Raise what one of READ_ERRORS means unless it is damage of the Parquet file `path`, `called` so in messages.

    That is what `raise_if_foreign` and `raise_if_limit` raise.
    """
    raise_if_foreign(error, path, called)
    raise_if_limit(error, path, called)


def raise_if_limit(error: Exception, path: Path, called: str) -> None:
    """Raise InputError (E-INPUT-UNSUPPORTED) for what pyarrow cannot read."""
    if is_limit(error):
        raise InputError(
            "E-INPUT-UNSUPPORTED", f"{called} cannot be read by this pyarrow ({pa.__version__})", where=path,
            found=first_line(error),
            next_step="write it without what is named here (an encryption, compression, encoding or type); if it "
            "has no such thing, it is damaged: write or copy it again",
        ) from error  # fmt: skip


def raise_if_foreign(error: Exception, path: Path, called: str) -> None:
    """Raise what is no fault of a file's content.

    Memory that ran out is raised as it is, an error of the system as InputError (E-INPUT-UNREADABLE).
    """
    if isinstance(error, MemoryError) or means_out_of_memory(str(error)):
        raise error
    if isinstance(error, OSError) and error.errno is not None:
        raise InputError(
            "E-INPUT-UNREADABLE", f"{called} cannot be read: {reason_of(error)}", where=path,
            next_step="check its permissions, the path and the disk",
        ) from error  # fmt: skip


def is_limit(error: BaseException) -> bool:
    """Whether the error says what pyarrow cannot do, and not that a file is damaged."""
    return isinstance(error, NotImplementedError) or any(words in str(error).lower() for words in _LIMITS)


def _open(
    source: pa.NativeFile,
    metadata: pq.FileMetaData | None = None,
    dictionaries: Sequence[str] = (),
    buffer_bytes: int = 0,
) -> pq.ParquetFile:
    """`source` as Parquet. Times of the old INT96 kind come in microseconds: later ones than 2262 fit no others."""
    return pq.ParquetFile(
        source,
        metadata=metadata,
        read_dictionary=list(dictionaries),
        buffer_size=buffer_bytes,
        page_checksum_verification=True,
        coerce_int96_timestamp_unit="us",
    )


def _without_arrow_schema(metadata: pq.FileMetaData) -> pq.FileMetaData:
    """The footer without the schema by which Arrow would read columns as dictionaries again."""
    sink = pa.BufferOutputStream()
    metadata.write_metadata_file(sink)
    head, _, tail = sink.getvalue().to_pybytes().rpartition(_ARROW_SCHEMA)
    return pq.read_metadata(pa.BufferReader(head + _ARROW_SCHEMA.lower() + tail))


def _require_in_dictionary(column: pa.DictionaryArray) -> None:
    """ArrowInvalid where a row points beyond the dictionary: pyarrow believes the pages and would read anything."""
    used, entries = pc.min_max(column.indices).as_py(), len(column.dictionary)
    if used["min"] is not None and not 0 <= used["min"] <= used["max"] < entries:
        raise pa.ArrowInvalid(f"entry {used['max']} of a dictionary of {entries}")
