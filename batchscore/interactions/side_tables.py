"""Side tables: a row of features for each user, or each candidate, joined to the interactions by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from batchscore.columns import plain_type
from batchscore.interactions.canonical import TEXT
from batchscore.interactions.checked_column import CheckedColumn, Column
from batchscore.interactions.input_files import TableFile


@dataclass(frozen=True)
class SideTable:
    """Rows by id. `columns` hold the features as the file has them, but for dictionaries; all is in memory."""

    path: Path
    key: str
    columns: dict[str, pa.Array]
    _rows: dict[str | int, int]
    _by_text: bool

    def find_rows(self, ids: pa.Array) -> pa.Array:
        """The number of each id's row, int64 `[ids]`; null if the id is null or has no row."""
        coded = ids.dictionary_encode()
        distinct = coded.dictionary.to_pylist()
        keys = map(str, distinct) if self._by_text else distinct
        return pa.array([self._rows.get(key) for key in keys], pa.int64()).take(coded.indices)


def read_side_table(
    file: TableFile, key: str, key_type: pa.DataType, features: Sequence[str], *, key_is_typed: bool
) -> tuple[SideTable | None, list[str]]:
    """Read the `features` of a side table whose ids stand in the column `key`, and what is wrong with its ids.

    `key_type` is the canonical type of the interactions' ids. Where one of both files is CSV, in which everything
    is text, an id fits a whole number that prints as its text. Two typed files need ids of one type.
    """
    name = file.path.name
    if key not in file.names:
        return None, [f"{key}: {name} has no such column"]
    try:
        ids = CheckedColumn(Column(key, "id"), file.type_of(key), is_typed=file.is_typed)
    except ValueError as error:
        return None, [f"{key} in {name}: {error}"]
    if ids.target != key_type and file.is_typed and key_is_typed:
        return None, [
            f"{key}: {_format(key_type)} in the interactions, {_format(ids.target)} in {name}; write one type"
        ]
    by_text = ids.target != key_type
    rows: dict[str | int, int] = {}
    repeated, first_repeated = 0, 0
    chunks: dict[str, list[pa.Array]] = {feature: [] for feature in features}
    read = 0
    for batch in file.batches([key, *features]):
        for number, value in enumerate(ids.prepare(batch[key], read).to_pylist(), read):
            if value is not None and rows.setdefault(str(value) if by_text else value, number) != number:
                first_repeated = first_repeated if repeated else number
                repeated += 1
        for feature in features:
            chunks[feature].append(_plain(batch[feature]))
        read += batch.num_rows
    problems = [f"{problem} of {name}" for problem in ids.problems(read)]
    if repeated:
        problems.append(
            f"{key}: {repeated:,} of {read:,} rows of {name} repeat an id, the first is row {first_repeated:,} "
            "(from 0); write one row per id"
        )
    types = {feature: _plain_layout(file.type_of(feature)) for feature in features}
    columns = {feature: pa.concat_arrays([pa.array([], types[feature]), *chunks[feature]]) for feature in features}
    return SideTable(file.path, key, columns, rows, by_text), problems


def _plain(column: pa.Array) -> pa.Array:
    plain = column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
    return plain.cast(_plain_layout(plain.type))


def _plain_layout(type_: pa.DataType) -> pa.DataType:
    """The type without dictionary; text with 64-bit offsets, so that no table is too large to be looked up in."""
    plain = plain_type(type_)
    return TEXT if pa.types.is_string(plain) or pa.types.is_string_view(plain) else plain


def _format(type_: pa.DataType) -> str:
    return "text" if type_ == TEXT else "whole numbers"
