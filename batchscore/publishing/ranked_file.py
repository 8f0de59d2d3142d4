"""A published file read back, a batch at a time: its users and rows counted, or all pages checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchscore.columns import RANK, RANK_TYPE, SCORE, SCORE_TYPE
from batchscore.errors import reason_of
from batchscore.system.regular_files import require_regular

_BATCH_ROWS = 262_144
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class Counted:
    """Users and rows of a ranked file."""

    users: int
    rows: int


def count_ranked(path: Path) -> Counted:
    """Count the users and rows of the ranked file `path`: users stand together in it.

    Raises ValueError with the reason if it is not a ranked file, is damaged or cannot be read.
    """
    users, last = 0, None
    with _opened(path) as file:
        schema = file.schema_arrow
        if schema.names[2:4] != [SCORE, RANK] or schema.types[2:4] != [SCORE_TYPE, RANK_TYPE]:
            raise ValueError("it does not have the columns of a ranked output")
        for batch in file.iter_batches(_BATCH_ROWS, columns=schema.names[:1]):
            column = batch.column(0)
            if len(column):
                changes = pc.sum(pc.not_equal(column[1:], column[:-1])).as_py() or 0
                users += changes + (users == 0 or column[0] != last)
                last = column[-1]
        return Counted(users, file.metadata.num_rows)


def read_schema(path: Path) -> pa.Schema:
    """The schema of the Parquet file `path`, by its footer. Raises ValueError if that cannot be read."""
    with _opened(path) as file:
        return file.schema_arrow


def read_columns(path: Path) -> dict[str, str] | None:
    """Columns of the Parquet file `path` with their Arrow types, by its footer; None if it cannot be read."""
    try:
        return {field.name: str(field.type) for field in read_schema(path)}
    except ValueError:
        return None


def read_through(path: Path) -> None:
    """Check and decode every page of the Parquet file `path`.

    Raises ValueError with the reason if it is damaged or cannot be read.
    """
    with _opened(path) as file:
        rows = 0
        for batch in file.iter_batches(_BATCH_ROWS):
            batch.validate(full=True)
            rows += batch.num_rows
        if rows != file.metadata.num_rows:
            raise ValueError(f"{rows:,} rows decoded, the footer says {file.metadata.num_rows:,}")


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        require_regular(path)
        with pq.ParquetFile(path, page_checksum_verification=True, buffer_size=_BUFFER_BYTES) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, MemoryError):
            raise
        raise ValueError(reason_of(error).rstrip(".")) from error
