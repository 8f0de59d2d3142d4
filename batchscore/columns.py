"""Every column name and Arrow schema that batchscore itself defines."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

SCORE = "score"
RANK = "rank"
SCORE_TYPE = pa.float32()
RANK_TYPE = pa.int32()

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


def plain_type(type_: pa.DataType) -> pa.DataType:
    """The type without its dictionary encoding."""
    return type_.value_type if pa.types.is_dictionary(type_) else type_
