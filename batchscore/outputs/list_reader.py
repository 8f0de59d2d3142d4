"""What a comparison or a measurement of ranked lists asks of a file of them, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from batchscore.columns import ListColumns
from batchscore.errors import InputError, means_out_of_memory, reason_of
from batchscore.tables.parquet_files import raise_if_limit

if TYPE_CHECKING:
    import polars as pl

USER, CANDIDATE = "user", "candidate"
"""What the id columns of lists are called here, whatever their own names."""


@dataclass(frozen=True)
class Survey:
    """The length of the longest list, and how far two scores of one pair may lie apart (0 without scores)."""

    top_n: int
    tolerance: float


class ListReader(Protocol):
    """Ranked lists of the file or folder `path`, as often as they are read."""

    @property
    def path(self) -> Path:
        """Where they lie."""

    @property
    def rows(self) -> int:
        """The rows of all lists together."""

    @property
    def columns(self) -> ListColumns:
        """The columns that are read."""

    @property
    def named(self) -> frozenset[str]:
        """Those of them that a flag named."""

    @property
    def user(self) -> pa.Field:
        """The user column."""

    @property
    def candidate(self) -> pa.Field:
        """The candidate column."""

    @property
    def kept(self) -> list[str]:
        """The names of the other columns."""

    @property
    def is_output(self) -> bool:
        """Whether this is an output of a run, and not another table."""

    @property
    def scored(self) -> bool:
        """Whether there are scores."""

    def survey(self) -> Survey:
        """Longest list and tolerance."""

    def read(self) -> Iterator[pl.DataFrame]:
        """The rows by user, then rank, as frames of USER, CANDIDATE (text or integers), `score`, `rank`.

        Ranks (int32) count from 1 within each user, whose rows stand together, users in ascending order. Scores are
        finite numbers, or null everywhere if there are none. The first frame may be empty. Raises InputError
        (E-RANKED-FILE).
        """


def cannot_be_read(path: Path, error: Exception) -> InputError:
    """The error for what does not decode; what is no fault of the file is raised as what it is."""
    if isinstance(error, MemoryError) or means_out_of_memory(str(error)):
        raise error
    raise_if_limit(error, path, "the output")
    return InputError(
        "E-RANKED-FILE",
        "the output cannot be read",
        where=path,
        found=reason_of(error),
        next_step="check the path; the output before the published one is kept in the state folder (_batchscore/)",
    )
