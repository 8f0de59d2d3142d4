"""What a run knows of where its pairs come from. Files are one kind of source (`parquet_source`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True)
class PairBatch:
    """Consecutive rows of one part. `first_row` is the 0-based number of the first within the part at `path`."""

    path: str
    first_row: int
    table: pa.RecordBatch


@dataclass(frozen=True)
class RowCount:
    """Rows that a source will give: `rows`, at most `rows` if not `exact`; None if no one knows before the end."""

    rows: int | None
    exact: bool = True

    @property
    def known(self) -> int | None:
        """The rows, if they are known exactly."""
        return self.rows if self.exact else None


class SourcePart(Protocol):
    """A file, or whatever a source is made of, as it was when the source was opened."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def rows(self) -> int:
        """Its rows."""

    @property
    def bytes(self) -> int:
        """Its size."""

    @property
    def modified_at(self) -> dt.datetime:
        """When it was written."""

    @property
    def fingerprint(self) -> str | None:
        """Equal parts have equal fingerprints."""

    @property
    def checksums(self) -> bool | None:
        """Whether its pages have checksums; None if it has no page."""


class PairSource(Protocol):
    """Pairs of one night. What it gives is the same however often it is asked, or it raises TryLaterError."""

    @property
    def path(self) -> Path:
        """Where messages say that the pairs are."""

    @property
    def parts(self) -> Sequence[SourcePart]:
        """What it is made of, in the order in which it is read."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""

    @property
    def row_count(self) -> RowCount:
        """How many pairs there are."""

    @property
    def folder_keys(self) -> set[str]:
        """Keys of `key=value` folders: they are not columns."""

    @property
    def identity(self) -> object:
        """Sources with equal identities have equal pairs; another one may have them too."""

    def batches(self, columns: Sequence[str]) -> Iterator[PairBatch]:
        """All pairs, with these columns only, of the types that they have in `schema`; again at every call."""

    def require_same_columns(self, columns: Sequence[str]) -> None:
        """Raise InputError (E-INPUT-SCHEMAS) if a part has other types for `columns` than the schema."""

    def require_unchanged(self) -> None:
        """Raise TryLaterError (E-INPUT-CHANGED) if the pairs are others now than when the source was opened."""
