"""Every column name and Arrow schema that batchscore itself defines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

SCORE = "score"
RANK = "rank"
SCORE_TYPE = pa.float32()
RANK_TYPE = pa.int32()

OFF = "off"
"""Stands in the place of a column's name if there is to be none."""

USER_ID = "user_id"
"""The user column unless the card or `--user-column` says otherwise."""

MOVIE_ID = "movie_id"
MOVIE_TITLE = "movie_title"
GENRES = "genres"
TIMESTAMP = "timestamp"
USER_RATING = "user_rating"

INTERACTIONS = pa.schema(
    [
        (USER_ID, pa.string()),
        (MOVIE_ID, pa.string()),
        (MOVIE_TITLE, pa.string()),
        (GENRES, pa.string()),
        (TIMESTAMP, pa.int64()),
        (USER_RATING, pa.float32()),
    ]
)
"""Interactions of the MovieLens converter. `genres` is joined by `|`; `timestamp` is epoch seconds (UTC)."""

PAIRS = pa.schema([(USER_ID, pa.string()), (MOVIE_ID, pa.string())])
"""Pairs of the converters: each user x unrated candidates."""


@dataclass(frozen=True)
class WantedColumns:
    """The columns of ranked lists as someone named them; None if no one did. `score` may be OFF."""

    user: str | None = None
    candidate: str | None = None
    rank: str | None = None
    score: str | None = None

    def names(self) -> list[str]:
        """Those that are named, in this order."""
        given = (self.user, self.candidate, self.rank, None if self.score == OFF else self.score)
        return [name for name in given if name is not None]


@dataclass(frozen=True)
class ListColumns:
    """The columns of a table of ranked lists: `rank` or `score` may be None, if there is none."""

    user: str
    candidate: str
    rank: str | None
    score: str | None

    def names(self) -> list[str]:
        """Those that there are, in this order."""
        return [name for name in (self.user, self.candidate, self.rank, self.score) if name is not None]


def ranked_schema(user: pa.Field, candidate: pa.Field, kept: Sequence[pa.Field] = ()) -> pa.Schema:
    """Schema of the output: user, candidate, `score` float32, `rank` int32 from 1, then the kept columns.

    User and candidate keep name and type of the input (a dictionary is stripped to its values); nothing of the
    input's schema metadata is carried over.
    """
    fields = [
        pa.field(user.name, plain_type(user.type), nullable=False),
        pa.field(candidate.name, plain_type(candidate.type), nullable=False),
        pa.field(SCORE, SCORE_TYPE, nullable=False),
        pa.field(RANK, RANK_TYPE, nullable=False),
    ]
    return pa.schema([*fields, *(pa.field(field.name, plain_type(field.type)) for field in kept)])


def is_text(type_: pa.DataType) -> bool:
    """Whether the type is a string of any layout."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def wide_id_type(type_: pa.DataType) -> pa.DataType:
    """The type in which ids are compared: large_string for text, int64 for integers but uint64; others as they are.

    Ids of one such type mean the same whatever their columns' types are.
    """
    plain = plain_type(type_)
    if is_text(plain):
        return pa.large_string()
    if pa.types.is_integer(plain):
        return plain if pa.types.is_uint64(plain) else pa.int64()
    return plain


def is_id_type(type_: pa.DataType) -> bool:
    """Whether a column of the type can hold ids: text or integers."""
    wide = wide_id_type(type_)
    return bool(pa.types.is_large_string(wide) or pa.types.is_integer(wide))


def plain_type(type_: pa.DataType) -> pa.DataType:
    """The type without its dictionary encoding."""
    return type_.value_type if pa.types.is_dictionary(type_) else type_
