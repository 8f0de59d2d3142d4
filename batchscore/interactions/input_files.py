"""Parquet and CSV files as record batches of the columns wanted, never the whole file in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.csv as pa_csv

from batchscore.errors import InputError, TryLaterError, first_line, format_list, shorten
from batchscore.tables.lake_tables import require_no_table
from batchscore.tables.parquet_files import (
    READ_ERRORS,
    ParquetContent,
    open_source,
    raise_if_foreign,
    raise_if_no_damage,
)

BATCH_ROWS = 32_768
"""Most rows of a batch. It decides memory, never a result."""

_READ_BYTES = 1 << 20
_CSV_BLOCK_BYTES = 1 << 20
_EXPECTED = "user and candidate ids as text or whole numbers, ratings as finite numbers, no nulls"


class TableFile(ABC):
    """An open file of rows. `called` is what messages call them (a plural).

    `is_typed` tells whether the file says of which type its columns are; in a CSV file all is text, exactly as it
    is written there, and an empty field that is not quoted is a null.
    """

    is_typed: bool

    def __init__(self, path: Path, called: str, schema: pa.Schema) -> None:
        self.path = path
        self.called = called
        self.names: list[str] = schema.names
        self._schema = schema

    def type_of(self, name: str) -> pa.DataType:
        """The type of a column's values; a dictionary is told as it is."""
        return self._schema.field(name).type

    def require_once(self, names: Sequence[str]) -> None:
        """Raise InputError (E-INPUT-COLUMNS) if one of these columns is in the file more than once."""
        duplicated = [name for name in names if self.names.count(name) > 1]
        if duplicated:
            raise InputError(
                "E-INPUT-COLUMNS",
                f"the column {shorten(duplicated[0])} is in the file more than once",
                where=self.path,
                next_step="write each column once",
            )

    @abstractmethod
    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows in the order of the file, with these columns in this order.

        Raises InputError if what is read turns out to be damaged: E-INPUT-CORRUPT, or E-INTERACTIONS for CSV.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the file back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def unusable(self, problems: Sequence[str]) -> InputError:
        """The error (E-INTERACTIONS) that tells everything that is wrong."""
        return InputError(
            "E-INTERACTIONS",
            f"the {self.called} cannot be used for training",
            where=self.path,
            found=f"columns {format_list(map(shorten, self.names))}" if self.names else None,
            details=problems,
            expected=_EXPECTED,
            next_step="correct the file, or name its columns: --user-column, --candidate-column, --rating-column",
        )


def open_table_file(path: Path, called: str, flag: str) -> TableFile:
    """Open a `.parquet` or `.csv` file and read what its columns are.

    Raises TryLaterError (E-INPUT-MISSING) if there is none, InputError if it cannot be read:
    E-INPUT-NOT-A-FILE, E-INPUT-UNREADABLE, E-INPUT-TABLE, E-INPUT-NOT-PARQUET, and E-INTERACTIONS for a CSV file
    without a header.
    """
    _require_file(path, called, flag)
    require_no_table(path)
    kind = _ParquetFile if path.suffix.lower() == ".parquet" else _CsvFile
    return kind(path, called)


class _ParquetFile(TableFile):
    is_typed = True

    def __init__(self, path: Path, called: str) -> None:
        try:
            self._content = ParquetContent.of(open_source(path), _READ_BYTES)
        except READ_ERRORS as error:
            raise_if_no_damage(error, path, f"the {called}")
            raise InputError(
                "E-INPUT-NOT-PARQUET",
                f"the {called} are not a Parquet file, or one with a damaged footer",
                where=path,
                found=first_line(error),
                next_step="write the file again, or name it .csv if it is one",
            ) from error
        super().__init__(path, called, self._content.schema)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        rows = 0
        try:
            for batch in self._content.batches(names, BATCH_ROWS):
                rows += batch.num_rows
                yield batch
        except READ_ERRORS as error:
            raise_if_no_damage(error, self.path, f"the {self.called}")
            raise InputError(
                "E-INPUT-CORRUPT",
                f"the {self.called} are a damaged Parquet file",
                where=self.path,
                found=f"in or after row {rows:,} (from 0): {first_line(error)}",
                next_step="write the file again",
            ) from error

    def close(self) -> None:
        self._content.source.close()


class _CsvFile(TableFile):
    is_typed = False

    def __init__(self, path: Path, called: str) -> None:
        self.path, self.called, self.names = path, called, []
        with self._open(pa_csv.ConvertOptions()) as reader:
            names = reader.schema.names
        super().__init__(path, called, pa.schema([(name, pa.string()) for name in names]))

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        options = pa_csv.ConvertOptions(
            include_columns=list(names),
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )
        with self._open(options) as reader:
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    return
                except (pa.ArrowException, OSError) as error:
                    raise_if_foreign(error, self.path, f"the {self.called}")
                    raise self.unusable([_format_csv_error(error)]) from error
                for begin in range(0, batch.num_rows, BATCH_ROWS):
                    yield batch.slice(begin, BATCH_ROWS)

    def close(self) -> None:
        """Nothing is open but while batches are read."""

    def _open(self, options: pa_csv.ConvertOptions) -> pa_csv.CSVStreamingReader:
        try:
            return pa_csv.open_csv(
                self.path,
                read_options=pa_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=options,
            )
        except (pa.ArrowException, OSError) as error:
            raise_if_foreign(error, self.path, f"the {self.called}")
            raise self.unusable([_format_csv_error(error)]) from error


def _require_file(path: Path, called: str, flag: str) -> None:
    if not path.exists():
        made = ", or make them with `batchscore data movielens`" if flag == "--input" else ""
        raise TryLaterError(
            "E-INPUT-MISSING", f"the {called} do not exist", where=path, next_step=f"check {flag}{made}"
        )
    if not path.is_file():
        raise InputError(
            "E-INPUT-NOT-A-FILE",
            f"the {called} are not a regular file",
            where=path,
            next_step=f"give one Parquet or CSV file with {flag}",
        )


def _format_csv_error(error: BaseException) -> str:
    text = first_line(error)
    if "straddling" in text:
        return f"a row has more than {_CSV_BLOCK_BYTES:,} bytes, or a quote is never closed"
    return text
