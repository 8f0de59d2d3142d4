"""Pairs in a Parquet file, or in a folder of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from batchscore.columns import plain_type
from batchscore.errors import InputError, TryLaterError, format_list, shorten
from batchscore.scoring.source.folders import RequireSuccess, list_pair_files, require_success_of
from batchscore.scoring.source.pair_files import PairFile, open_pair_file
from batchscore.scoring.source.pair_source import PairBatch, RowCount
from batchscore.scoring.source.reader import read_batches
from batchscore.tables.lake_tables import require_no_table

_STRAY = (
    "every file of the folder is read: write it as Parquet, or, if it is not a pair file, move it out of "
    "the folder "
    "or give it a name that begins with _ or ."
)


@dataclass(frozen=True)
class ParquetSource:
    """Pair files, in the order in which they are read. The first one's schema is that of the pairs."""

    path: Path
    files: tuple[PairFile, ...]
    require_success: RequireSuccess = "auto"

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self.files[0].schema

    @property
    def parts(self) -> tuple[PairFile, ...]:
        """The files."""
        return self.files

    @property
    def row_count(self) -> RowCount:
        """Rows of all files, by their footers."""
        return RowCount(sum(file.rows for file in self.files))

    @property
    def identity(self) -> tuple[tuple[int, str], ...]:
        """Sizes and fingerprints of the files."""
        return tuple((file.bytes, file.fingerprint) for file in self.files)

    @property
    def folder_keys(self) -> set[str]:
        """The keys of the `key=value` subfolders in which files lie: they are not columns."""
        folders = {file.path.parent for file in self.files if file.path != self.path}
        names = {name for folder in folders for name in folder.relative_to(self.path).parts}
        return {name.partition("=")[0] for name in names if "=" in name}

    def batches(self, columns: Sequence[str]) -> Iterator[PairBatch]:
        """The rows, file after file (see `reader.read_batches`)."""
        return read_batches(self.files, pa.schema([self.schema.field(name) for name in columns]))

    def require_same_columns(self, columns: Sequence[str]) -> None:
        """Raise InputError (E-INPUT-SCHEMAS) if a file has other `columns` than the first one.

        Their order, their dictionaries and the layout of text may differ; names and types may not.
        """
        first = self.files[0]
        for file in self.files[1:]:
            differing = [name for name in columns if _type(file.schema, name) != _type(first.schema, name)]
            if differing:
                raise InputError(
                    "E-INPUT-SCHEMAS",
                    "the input files do not have the same columns",
                    where=file.path,
                    found=_format_types(file.schema, differing),
                    expected=f"{_format_types(first.schema, differing)}, as in {first.path}",
                    next_step="write all files with one schema",
                )

    def require_unchanged(self) -> None:
        """Raise TryLaterError (E-INPUT-CHANGED) if a file is another one now, or has come or gone."""
        for file in self.files:
            file.require_unchanged()
        opened = [file.path for file in self.files]
        if self.path not in opened and (now := list_pair_files(self.path, self.require_success)) != opened:
            raise TryLaterError(
                "E-INPUT-CHANGED",
                "the input changed while it was read",
                where=self.path,
                found=f"{len(now):,} files now",
                expected=f"the {len(self.files):,} files that were opened",
                next_step="let the job that writes it finish first, then run again",
            )


def open_pairs(path: Path, require_success: RequireSuccess = "auto", flag: str = "--input") -> ParquetSource:
    """Read the footer of the Parquet file `path`, or of each file of the folder `path` (see `list_pair_files`).

    `flag` is what the command calls the path by, for messages.

    Raises TryLaterError (E-INPUT-MISSING, E-INPUT-NOT-COMPLETE) or InputError: E-INPUT-UNREADABLE, E-INPUT-TABLE,
    E-INPUT-NOT-A-FILE, E-INPUT-FOLDER, E-INPUT-NOT-PARQUET, E-INPUT-CORRUPT, E-INPUT-COLUMNS. Never blocks,
    whatever `path` is.
    """
    if os.path.isdir(path):  # noqa: PTH112 - never raises
        files = tuple(open_pair_file(file, _STRAY, flag) for file in list_pair_files(path, require_success))
    else:
        file = open_pair_file(path, f"write the pairs as Parquet, or correct {flag}", flag)
        require_no_table(path)
        require_success_of(path, require_success)
        files = (file,)
    return ParquetSource(path, files, require_success)


def _type(schema: pa.Schema, name: str) -> pa.DataType | None:
    if name not in schema.names:
        return None
    type_ = plain_type(schema.field(name).type)
    return pa.string() if pa.types.is_large_string(type_) or pa.types.is_string_view(type_) else type_


def _format_types(schema: pa.Schema, names: Sequence[str]) -> str:
    return format_list(f"{shorten(name)} {shorten(_type(schema, name) or 'missing')}" for name in names)
