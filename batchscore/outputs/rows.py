"""Ranked rows, of a file or in memory, read in order and checked row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from batchscore.arrays.mean_std import MeanStd
from batchscore.arrays.tolerance import tolerance_of
from batchscore.columns import RANK, RANK_TYPE, SCORE, SCORE_TYPE, ListColumns, is_id_type, plain_type
from batchscore.errors import InputError, format_list, shorten
from batchscore.outputs.list_reader import CANDIDATE, USER, Survey, cannot_be_read
from batchscore.tables.parquet_files import READ_ERRORS, ParquetContent, open_source

_BATCH_ROWS = 1_048_576


@dataclass(frozen=True)
class RankedRows:
    """Rows that a run published: columns user, candidate, `score` float32, `rank` int32, then kept ones.

    `path` is the file that they come from, `rows` their number, `batches` reads the columns that it is given.
    """

    path: Path
    schema: pa.Schema
    rows: int
    batches: Callable[[list[str]], Iterable[pa.RecordBatch]]
    scored: bool = True
    is_output: bool = True
    named: frozenset[str] = frozenset()

    @property
    def columns(self) -> ListColumns:
        """The names of the first four columns."""
        return ListColumns(self.user.name, self.candidate.name, RANK, SCORE)

    @property
    def user(self) -> pa.Field:
        """The user column."""
        return self.schema.field(0)

    @property
    def candidate(self) -> pa.Field:
        """The candidate column."""
        return self.schema.field(1)

    @property
    def kept(self) -> list[str]:
        """The names of the kept columns."""
        return list(self.schema.names[4:])

    def read(self) -> Iterator[pl.DataFrame]:
        """The rows in their order as frames of USER, CANDIDATE, `score`, `rank`.

        Raises InputError (E-RANKED-FILE) at the first row that no ranked file has: a null, a score that is not
        finite, users out of order, ranks that do not count 1, 2, 3, or scores that rise within a list.
        """
        columns = [self.user.name, self.candidate.name, SCORE, RANK]
        first, last = 0, _frame(self.schema.empty_table().select(columns))
        yield last
        for table in self._batches(columns):
            frame = _frame(table)
            self._require_ranked(frame, last, first)
            first += frame.height
            last = frame.tail(1)
            yield frame

    def survey(self) -> Survey:
        """The longest list and the tolerance of the scores, from these two columns alone."""
        longest, scores = 0, MeanStd()
        for table in self._batches([SCORE, RANK]):
            longest = max(longest, int(table.column(RANK).to_numpy().max()))
            scores.add(table.column(SCORE).to_numpy())
        largest = max(abs(scores.minimum), abs(scores.maximum))
        return Survey(top_n=longest, tolerance=tolerance_of(scores.std, largest) if scores.count else 0.0)

    def _batches(self, columns: list[str]) -> Iterator[pa.Table]:
        try:
            for batch in self.batches(columns):
                batch.validate(full=True)
                for name in columns:
                    if batch.column(name).null_count:
                        raise _unlike(self.path, f"column {name} has nulls", "no null in the first four columns")
                if batch.num_rows:
                    yield pa.table({name: batch.column(name) for name in columns})
        except READ_ERRORS as error:
            raise cannot_be_read(self.path, error) from error

    def _require_ranked(self, frame: pl.DataFrame, last: pl.DataFrame, first: int) -> None:
        """`last` is the row before `frame`, or empty; `first` the number of the first row of `frame`."""
        before = pl.concat([last, frame]).select(pl.all().shift(1).name.suffix("_before")).tail(frame.height)
        same = pl.col(USER).eq_missing(pl.col(f"{USER}_before"))
        laws = {
            "scores are finite numbers": pl.col(SCORE).is_finite(),
            "users stand in ascending order": (pl.col(USER) >= pl.col(f"{USER}_before")).fill_null(value=True),
            "ranks count 1, 2, 3 within each user": pl.col(RANK)
            == pl.when(same).then(pl.col(f"{RANK}_before") + 1).otherwise(1),
            "scores do not rise within a list": ~same | (pl.col(SCORE) <= pl.col(f"{SCORE}_before")),
        }
        both = pl.concat([frame, before], how="horizontal")
        for law, holds in laws.items():
            broken = both.select((~holds).arg_true()).to_series()
            if len(broken):
                row = frame.row(broken[0], named=True)
                raise _unlike(
                    self.path,
                    f"row {first + broken[0]:,}: user {shorten(row[USER])}, candidate {shorten(row[CANDIDATE])}, "
                    f"score {row[SCORE]:.9g}, rank {row[RANK]}",
                    law,
                )


def open_ranked(path: Path) -> RankedRows:
    """Open the ranked file `path` and check its columns. Raises InputError (E-RANKED-FILE)."""
    if path.exists() and not path.is_file():
        raise _unlike(path, "a directory, pipe or device", "one Parquet file")
    try:
        content = ParquetContent.of(open_source(path))
    except READ_ERRORS as error:
        raise cannot_be_read(path, error) from error
    _require_ranked_columns(path, content.schema)
    return RankedRows(
        path,
        content.schema,
        content.metadata.num_rows,
        lambda columns: content.batches(columns, _BATCH_ROWS),
    )


def ranked_table(table: pa.Table, path: Path) -> RankedRows:
    """The rows of a table from the file `path`. Raises InputError (E-RANKED-FILE) if its columns do not fit."""
    _require_ranked_columns(path, table.schema)
    return RankedRows(path, table.schema, table.num_rows, lambda columns: table.select(columns).to_batches())


def has_ranked_columns(schema: pa.Schema) -> bool:
    """Whether these are the columns of an output: user, candidate, score, rank, then kept ones."""
    return (
        schema.names[2:4] == [SCORE, RANK]
        and schema.types[2:4] == [SCORE_TYPE, RANK_TYPE]
        and len(set(schema.names)) == len(schema.names)
        and all(map(is_id_type, schema.types[:2]))
    )


def _require_ranked_columns(path: Path, schema: pa.Schema) -> None:
    if not has_ranked_columns(schema):
        columns = format_list([f"{shorten(field.name)} {shorten(field.type)}" for field in schema], "no columns")
        raise _unlike(path, columns, f"user, candidate, {SCORE} {SCORE_TYPE}, {RANK} {RANK_TYPE}, and kept columns")


def _frame(table: pa.Table) -> pl.DataFrame:
    plain = pa.table([column.cast(plain_type(column.type)) for column in table.columns],
                     names=[USER, CANDIDATE, SCORE, RANK])  # fmt: skip
    return pl.DataFrame(pl.from_arrow(plain))


def _unlike(path: Path, found: str, expected: str) -> InputError:
    return InputError(
        "E-RANKED-FILE", "this is not an output of batchscore", where=path, found=found, expected=expected,
        next_step="give a file that `batchscore run` published; a table of other lists is read as such if a flag "
        "names a column of it (--rank-column rank)",
    )  # fmt: skip
