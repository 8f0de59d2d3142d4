"""What is published: each user's list."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from batchscore.arrays.distinct_ids import DistinctIds

USER, CANDIDATE, SCORE, RANK = "user", "candidate", "score", "rank"
"""Columns of the frame, whatever the output calls them; kept ones follow."""


@dataclass(frozen=True)
class RankedLists:
    """Each user's list: rows by user, then rank. `users` have at least one row, `users_short` fewer than N."""

    frame: pl.DataFrame
    schema: pa.Schema
    users: int
    users_short: int
    ties_at_cut: int

    @property
    def rows(self) -> int:
        """Rows of all lists together."""
        return self.frame.height

    def list_users(self) -> pa.Array:
        """The users, each once."""
        return self.frame.filter(pl.col(RANK) == 1)[USER].to_arrow()

    def count_missing(self, users: DistinctIds) -> int:
        """How many of `users` have no row."""
        ids = users.values()
        if ids is None:
            return 0
        wanted = pl.Series(pl.from_arrow(ids)).cast(self.frame.schema[USER])
        return int((~wanted.is_in(self.frame[USER].unique().implode())).sum())
