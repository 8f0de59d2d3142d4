"""Users of the published output whom a night misses, for messages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.errors import format_value
from batchscore.scoring.guard.verdict import EXAMPLES

if TYPE_CHECKING:
    import polars as pl


def find_missing_users(published: Path | None, users: pl.Series) -> list[str]:
    """The first users of the ranked file `published` who are not among `users`, as lines of a message.

    None if there is no such file, or it cannot be read.
    """
    import polars as pl  # noqa: PLC0415 - it loads late

    found: list[str | int] = []
    if published is None:
        return []
    try:
        file = pq.ParquetFile(published)
        for batch in file.iter_batches(columns=file.schema_arrow.names[:1]):
            before = pl.Series(pl.from_arrow(batch.column(0))).unique(maintain_order=True)
            found += before.filter(~before.is_in(users.cast(before.dtype).implode())).to_list()
            if len(found) >= EXAMPLES:
                break
    except (OSError, ValueError, pa.ArrowException, pl.exceptions.PolarsError):
        return []
    return [f"missing: user {format_value(user)}" for user in found[:EXAMPLES]]
