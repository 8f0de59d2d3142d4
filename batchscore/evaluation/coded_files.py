"""Files of labelled pairs (truth, training rows), read in batches and kept as codes: 16 bytes per row, no text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from batchscore.arrays.codes import Codes
from batchscore.columns import plain_type, wide_id_type
from batchscore.errors import InputError, format_list, means_out_of_memory, reason_of, shorten
from batchscore.outputs.list_reader import ListReader
from batchscore.system.regular_files import require_regular
from batchscore.tables.lake_tables import require_no_table
from batchscore.tables.parquet_files import READ_ERRORS, ParquetContent, open_source, raise_if_limit

_BATCH_ROWS = 262_144


@dataclass(frozen=True)
class Ids:
    """The ids of all files of an evaluation; the columns are those of the truth and the training rows."""

    user_column: str
    candidate_column: str
    users: Codes
    candidates: Codes
    ranked: Path

    @classmethod
    def of(cls, ranked: ListReader, user_column: str | None = None, candidate_column: str | None = None) -> Ids:
        """No ids yet, and the types that those of every file are cast to: text, or whole numbers of 64 bits.

        Columns that are not named have the names of those of the ranked lists.
        """
        return cls(
            user_column or ranked.user.name,
            candidate_column or ranked.candidate.name,
            Codes(wide_id_type(ranked.user.type)),
            Codes(wide_id_type(ranked.candidate.type)),
            ranked.path,
        )


@dataclass(frozen=True)
class CodedRows:
    """Pairs of a file in its order: codes of users and candidates (int32), labels (float64, finite) or None.

    `label_type` is the type that the labels have in the file.
    """

    users: np.ndarray
    candidates: np.ndarray
    labels: np.ndarray | None
    label_type: pa.DataType

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class _Source:
    schema: pa.Schema
    batches: Callable[[list[str]], Iterator[pa.RecordBatch]]


def read_coded(path: Path, ids: Ids, label_column: str | None, *, label_required: bool = True) -> CodedRows:
    """The pairs of a Parquet or CSV file; new ids get codes.

    In a CSV file ids are read as the types of the ranked file. Labels are numbers or booleans; where
    `label_required` is false the file may have no such column, and the labels are None then.

    Raises InputError: E-TRUTH-COLUMNS if columns are missing or ids have another type than in the ranked file,
    E-INPUT-TABLE if the file is part of a table, E-TRUTH if it cannot be read, has no rows, or has nulls or
    labels that are not finite.
    """
    require_no_table(path)
    try:
        require_regular(path)
        source = _open_parquet(path) if path.suffix.lower() == ".parquet" else _open_csv(path, ids, label_column)
        if label_column not in source.schema.names and not label_required:
            label_column = None
        _require_columns(path, source.schema, ids, label_column)
        return _read(path, source, ids, label_column)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    """The error (E-TRUTH) for what does not decode; what is no fault of the file is raised as what it is."""
    if isinstance(error, MemoryError) or means_out_of_memory(str(error)):
        raise error
    raise_if_limit(error, path, "the file")
    return InputError(
        "E-TRUTH", "the file cannot be read", where=path,
        found=reason_of(error),
        next_step="check the path and the file: Parquet, or CSV with a line of column names",
    )  # fmt: skip


def _open_parquet(path: Path) -> _Source:
    try:
        content = ParquetContent.of(open_source(path))
    except READ_ERRORS as error:
        raise _unreadable(path, error) from error

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            yield from content.batches(columns, _BATCH_ROWS)
        except READ_ERRORS as error:
            raise _unreadable(path, error) from error

    return _Source(content.schema, batches)


def _open_csv(path: Path, ids: Ids, label_column: str | None) -> _Source:
    types = {ids.user_column: ids.users.ids.type, ids.candidate_column: ids.candidates.ids.type}
    if label_column is not None:
        types[label_column] = pa.float64()

    def open_(columns: list[str] | None = None) -> pa_csv.CSVStreamingReader:
        options = pa_csv.ConvertOptions(
            column_types=types, include_columns=columns, null_values=[""], strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )  # fmt: skip
        return pa_csv.open_csv(path, convert_options=options)

    with open_() as reader:
        schema = reader.schema
    return _Source(schema, lambda columns: iter(open_(columns)))


def _require_columns(path: Path, schema: pa.Schema, ids: Ids, label_column: str | None) -> None:
    problems = []
    for name, codes in ((ids.user_column, ids.users), (ids.candidate_column, ids.candidates)):
        problems += _problem(schema, name)
        if schema.names.count(name) == 1 and _kind(schema.field(name).type) != _kind(codes.ids.type):
            found = shorten(schema.field(name).type)
            problems.append(f"{name} is {found} here, and {_kind(codes.ids.type)} in the ranked file")
    if label_column is not None:
        problems += _problem(schema, label_column)
        if schema.names.count(label_column) == 1 and not _is_number(schema.field(label_column).type):
            problems.append(f"the label {label_column} is {shorten(schema.field(label_column).type)}, not a number")
    if problems:
        raise InputError(
            "E-TRUTH-COLUMNS", "the columns are not those of the ranked file", where=path,
            found=format_list([f"{shorten(field.name)} {shorten(field.type)}" for field in schema], "no columns"),
            expected=f"the ids of {ids.ranked}: {ids.user_column}, {ids.candidate_column}"
            + (f", and the label {label_column}" if label_column is not None else ""),
            details=problems,
            next_step="cast them or name them: --truth-user-column, --truth-candidate-column, --label-column",
        )  # fmt: skip


def _problem(schema: pa.Schema, name: str) -> list[str]:
    count = schema.names.count(name)
    if count == 1:
        return []
    return [f"there is no column {name}" if not count else f"the column {name} stands there {count} times"]


def _read(path: Path, source: _Source, ids: Ids, label_column: str | None) -> CodedRows:
    users, candidates, labels = [], [], []
    rows = 0
    for batch in source.batches([ids.user_column, ids.candidate_column, *([label_column] if label_column else [])]):
        batch.validate(full=True)
        _require_values(path, batch, label_column, rows)
        rows += batch.num_rows
        users.append(ids.users.add(_cast(batch.column(ids.user_column), ids.users)))
        candidates.append(ids.candidates.add(_cast(batch.column(ids.candidate_column), ids.candidates)))
        if label_column is not None:
            labels.append(batch.column(label_column).cast(pa.float64()).to_numpy(zero_copy_only=False))
    pa.default_memory_pool().release_unused()
    if not rows:
        raise InputError(
            "E-TRUTH",
            "the file has no rows",
            where=path,
            next_step="check how it was made; nothing can be compared",
        )
    return CodedRows(
        np.concatenate(users),
        np.concatenate(candidates),
        np.concatenate(labels) if label_column else None,
        source.schema.field(label_column).type if label_column else pa.null(),
    )


def _require_values(path: Path, batch: pa.RecordBatch, label_column: str | None, before: int) -> None:
    """`before` is the number of rows before the batch."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        bad = pc.is_null(column)
        if name == label_column:
            bad = pc.or_(bad, pc.invert(pc.fill_null(pc.is_finite(column.cast(pa.float64())), fill_value=False)))
        rows = np.flatnonzero(bad.to_numpy(zero_copy_only=False))
        if len(rows):
            raise InputError(
                "E-TRUTH", "ids must not be null, and labels must be finite numbers", where=path,
                found=f"row {before + rows[0]:,}: {name} is {shorten(column[int(rows[0])].as_py())}",
                next_step="leave such rows out",
            )  # fmt: skip


def _cast(column: pa.Array, codes: Codes) -> pa.Array:
    return column.cast(plain_type(column.type)).cast(codes.ids.type)


def _kind(type_: pa.DataType) -> str:
    wide = wide_id_type(type_)
    return "text" if wide == pa.large_string() else "whole numbers" if pa.types.is_integer(wide) else str(wide)


def _is_number(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_boolean(type_)
        or pa.types.is_decimal(type_)
    )  # fmt: skip
