"""Interactions (user, candidate, rating) from Parquet or CSV, checked once and as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from batchscore.config import TrainSettings
from batchscore.errors import InputError, TryLaterError

_RULES = "user and candidate ids as text or whole numbers, ratings as finite numbers, no nulls"
_NO_COLUMN = "there is no such column"


@dataclass(frozen=True)
class Interactions:
    """Rated pairs: `user_ids` and `candidate_ids` (large_string or int64, no nulls), `ratings` float32 (finite).

    The three have equal length; row i of each belongs together.
    """

    user_column: str
    candidate_column: str
    rating_column: str
    user_ids: pa.Array
    candidate_ids: pa.Array
    ratings: np.ndarray

    def __len__(self) -> int:
        return len(self.ratings)

    @property
    def features(self) -> dict[str, pa.Array]:
        """What the model is given, by column name: everything but the rating."""
        return {self.user_column: self.user_ids, self.candidate_column: self.candidate_ids}

    @property
    def rows(self) -> pa.Table:
        """Features and rating as one table."""
        return pa.table({**self.features, self.rating_column: pa.array(self.ratings)})

    def take(self, rows: np.ndarray) -> Interactions:
        """The rows with these numbers, in this order."""
        return Interactions(
            self.user_column,
            self.candidate_column,
            self.rating_column,
            self.user_ids.take(pa.array(rows)),
            self.candidate_ids.take(pa.array(rows)),
            self.ratings[rows],
        )


def read_interactions(settings: TrainSettings) -> Interactions:
    """All interactions of `settings.input`, in the order of the file; other columns are not read.

    Whole-number ids become int64, text stays text. In a CSV file every id is text, exactly as it is written there
    (`007` is not 7), and an empty field is a null. Ratings may be of any number type or bool.

    Raises TryLaterError (E-INPUT-MISSING) where there is no file, and InputError: E-INPUT-* where it cannot be
    read, E-INTERACTIONS (with everything that is wrong at once) where its rows cannot be used: missing columns,
    wrong types, no rows, null ids or ratings, ratings that are not finite, fewer than two users or candidates, or
    a rating that is the same everywhere.
    """
    table, columns = _read_table(settings)
    user_ids, problems = _ids(table, settings.user_column)
    candidate_ids, more = _ids(table, settings.candidate_column)
    ratings, rest = _ratings(table, settings.rating_column)
    problems += more + rest
    if table.num_rows == 0:
        problems = [*(problem for problem in problems if problem.endswith(_NO_COLUMN)), "there are no rows"]
    if problems:
        raise _unusable(settings.input, problems, columns)
    return Interactions(
        settings.user_column,
        settings.candidate_column,
        settings.rating_column,
        user_ids,
        candidate_ids,
        ratings,
    )


def _read_table(settings: TrainSettings) -> tuple[pa.Table, list[str]]:
    """The wanted columns that the file has, and the names of all its columns."""
    path = settings.input
    wanted = (settings.user_column, settings.candidate_column, settings.rating_column)
    _require_file(path)
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_csv
    try:
        table, columns = read(path, wanted)
    except OSError as error:
        raise InputError(
            "E-INPUT-UNREADABLE",
            f"the interactions cannot be read: {error.strerror or _first_line(error)}",
            where=path,
            next_step="check the file's permissions and its disk",
        ) from error
    duplicated = [name for name in wanted if table.column_names.count(name) > 1]
    if duplicated:
        raise InputError(
            "E-INPUT-COLUMNS",
            f"the column {duplicated[0]} stands in the file more than once",
            where=path,
            next_step="write each column once",
        )
    return table, columns


def _require_file(path: Path) -> None:
    if not path.exists():
        raise TryLaterError(
            "E-INPUT-MISSING",
            "the interactions do not exist",
            where=path,
            next_step="check --input, or make them with `batchscore data movielens`",
        )
    if not path.is_file():
        raise InputError(
            "E-INPUT-NOT-A-FILE",
            "the interactions are not a regular file",
            where=path,
            next_step="give one Parquet or CSV file with --input",
        )


def _read_parquet(path: Path, wanted: tuple[str, ...]) -> tuple[pa.Table, list[str]]:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except pa.ArrowException as error:
        raise InputError(
            "E-INPUT-NOT-PARQUET",
            "the interactions are not a Parquet file, or one with a damaged footer",
            where=path,
            found=_first_line(error),
            next_step="write the file again, or name it .csv if it is one",
        ) from error
    with file:
        try:
            names = file.schema_arrow.names
            return file.read(columns=[name for name in names if name in wanted]), names
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                "E-INPUT-CORRUPT",
                "the interactions are a damaged Parquet file",
                where=path,
                found=_first_line(error),
                next_step="write the file again",
            ) from error


def _read_csv(path: Path, wanted: tuple[str, ...]) -> tuple[pa.Table, list[str]]:
    user, candidate, _ = wanted
    options = pa_csv.ConvertOptions(
        column_types={user: pa.string(), candidate: pa.string()},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    try:
        table = pa_csv.read_csv(path, convert_options=options)
    except pa.ArrowException as error:
        raise _unusable(path, [_first_line(error)]) from error
    names = table.column_names
    return table.select([index for index, name in enumerate(names) if name in wanted]), names


def _ids(table: pa.Table, name: str) -> tuple[pa.Array, list[str]]:
    """The column as large_string or int64, and what is wrong with it."""
    if name not in table.column_names:
        return None, [f"{name}: {_NO_COLUMN}"]
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        target = pa.large_string()
    elif pa.types.is_integer(kind):
        target = pa.int64()
    elif pa.types.is_null(kind):
        return None, [f"{name}: null in every row"]
    else:
        return None, [f"{name}: {kind} is no type for ids; write them as text or whole numbers"]
    try:
        ids = _one_chunk(column.cast(target))
        ids.validate(full=True)
    except pa.ArrowInvalid as error:
        return None, [f"{name}: {_first_line(error)}"]
    problems = _count_rows(name, "null", pc.is_null(ids))
    if not problems and len(ids) and len(pc.unique(ids)) == 1:
        problems = [f"{name}: {ids[0].as_py()!r} in every row; a ranking needs at least two"]
    return ids, problems


def _ratings(table: pa.Table, name: str) -> tuple[np.ndarray, list[str]]:
    """The column as float32, and what is wrong with it."""
    nothing = np.empty(0, np.float32)
    if name not in table.column_names:
        return nothing, [f"{name}: {_NO_COLUMN}"]
    column, kind = table[name], table[name].type
    if pa.types.is_null(kind):
        return nothing, [f"{name}: null in every row"]
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not numeric and not pa.types.is_boolean(kind):
        return nothing, [f"{name}: {kind} is no type for ratings; write them as numbers"]
    exact = _one_chunk(column.cast(pa.float64(), safe=False))
    with np.errstate(over="ignore"):
        ratings = exact.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float32)
    problems = _count_rows(name, "null", pc.is_null(exact))
    problems += _count_rows(name, "NaN, infinite or too large for float32", pa.array(~np.isfinite(ratings)))
    if not problems and len(ratings) and ratings.min() == ratings.max():
        problems = [f"{name}: {ratings[0]:g} in every row; there is nothing to learn"]
    return ratings, problems


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole


def _count_rows(name: str, what: str, mask: pa.Array) -> list[str]:
    count = pc.sum(mask).as_py() or 0
    if not count:
        return []
    first = mask.index(pa.scalar(value=True)).as_py()
    return [f"{name}: {what} in {count:,} of {len(mask):,} rows, the first is row {first:,} (from 0)"]


def _unusable(path: Path, problems: list[str], columns: list[str] | None = None) -> InputError:
    return InputError(
        "E-INTERACTIONS",
        "the interactions cannot be used for training",
        where=path,
        found=f"columns {', '.join(columns)}" if columns else None,
        details=problems,
        expected=_RULES,
        next_step="correct the file, or name its columns: --user-column, --candidate-column, --rating-column",
    )


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
