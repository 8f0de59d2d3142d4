"""The Parquet files of a table, of which nothing is believed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from batchscore.columns import plain_type
from batchscore.errors import InputError, TryLaterError, shorten
from batchscore.outputs.list_reader import cannot_be_read
from batchscore.tables.committers import find_replaced, find_unfinished
from batchscore.tables.lake_tables import require_no_table
from batchscore.tables.parquet_files import READ_ERRORS, ParquetContent, open_source

_BATCH_ROWS = 262_144


@dataclass(frozen=True)
class TableFiles:
    """One file, or all files of a folder in the order of their names; the schema is the first one's."""

    path: Path
    files: tuple[Path, ...]
    schema: pa.Schema
    is_folder: bool

    def batches(self, columns: list[str]) -> Iterator[tuple[Path, int, pa.RecordBatch]]:
        """All rows: the file, the number of the batch's first row in it, and the columns, without dictionaries.

        Raises InputError (E-RANKED-FILE) if a file cannot be read or has other columns than the first.
        """
        types = {name: plain_type(self.schema.field(name).type) for name in columns}
        for file in self.files:
            row = 0
            with _open(file) as content:
                _require_types(file, content.schema, types, self.files[0])
                for batch in _read(file, content, columns):
                    yield file, row, batch
                    row += batch.num_rows


def open_table(path: Path) -> TableFiles:
    """The table at `path`; in a folder, names that begin with `_` or `.` are left out.

    Raises InputError: E-RANKED-FILE; E-INPUT-TABLE if the files belong to a table of another kind;
    TryLaterError (E-INPUT-NOT-COMPLETE) if someone is still writing in the folder.
    """
    require_no_table(path)
    is_folder = path.is_dir()
    files = _list(path) if is_folder else [path]
    if not files:
        raise InputError(
            "E-RANKED-FILE", "the folder has no Parquet file", where=path,
            found="no name that ends in .parquet", next_step="check the path",
        )  # fmt: skip
    with _open(files[0]) as content:
        return TableFiles(path, tuple(files), content.schema, is_folder)


def _list(folder: Path) -> list[Path]:
    def is_data(file: Path) -> bool:
        return not any(part.startswith(("_", ".")) for part in file.relative_to(folder).parts)

    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir() and is_data(path))):
        _require_finished(folder, place)
    files = sorted(file for file in folder.rglob("*.parquet") if is_data(file) and not file.is_dir())
    for file in files:
        if file.is_symlink():
            require_no_table(file)
    return files


def _require_finished(folder: Path, place: Path) -> None:
    names = sorted(path.name for path in place.iterdir())
    unfinished = find_unfinished(place, names)
    if unfinished is not None:
        raise TryLaterError(
            "E-INPUT-NOT-COMPLETE", "the folder is not complete (yet)", where=folder, found=unfinished,
            expected="a folder in which nothing is being written",
            next_step="wait for the job that writes it; if it has ended, it failed",
        )  # fmt: skip
    replaced = find_replaced(place, names)
    if replaced is not None:
        raise InputError(
            "E-INPUT-TABLE", "the folder holds a file that no longer belongs to it", where=place / replaced,
            found="a record beside it (_committed_...) in which Databricks says that it was removed",
            next_step="remove such files with VACUUM in Databricks",
        )  # fmt: skip


@contextmanager
def _open(file: Path) -> Iterator[ParquetContent]:
    try:
        source = open_source(file)
    except READ_ERRORS as error:
        raise cannot_be_read(file, error) from error
    with closing(source):
        try:
            content = ParquetContent.of(source)
        except READ_ERRORS as error:
            raise cannot_be_read(file, error) from error
        yield content


def _read(file: Path, content: ParquetContent, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        for batch in content.batches(columns, _BATCH_ROWS):
            batch.validate(full=True)
            plain = [array.cast(plain_type(array.type)) for array in batch.columns]
            yield pa.record_batch(plain, names=columns)
    except READ_ERRORS as error:
        raise cannot_be_read(file, error) from error


def _require_types(file: Path, schema: pa.Schema, types: dict[str, pa.DataType], first: Path) -> None:
    for name, type_ in types.items():
        count = schema.names.count(name)
        found = plain_type(schema.field(name).type) if count == 1 else None
        if found != type_:
            raise InputError(
                "E-RANKED-FILE", "the files of the folder have different columns", where=file,
                found=f"{shorten(name)} {shorten(found)}" if count == 1 else f"{count} columns {shorten(name)}",
                expected=f"{shorten(name)} {shorten(type_)}, as in {first}",
                next_step="write the files with one schema",
            )  # fmt: skip
