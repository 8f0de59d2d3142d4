"""A data set as batchscore uses it: `interactions.parquet` to train on and `pairs.parquet` to score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batchscore import columns
from batchscore.datasets.candidates import draw_candidates
from batchscore.datasets.publication import Publication
from batchscore.datasets.ratings import Catalogue, Ratings
from batchscore.errors import UsageError
from batchscore.observer import Observer

INTERACTIONS_NAME = "interactions.parquet"
PAIRS_NAME = "pairs.parquet"

ROW_GROUP_ROWS = 1 << 20


@dataclass(frozen=True)
class DatasetReport:
    """What was written: counts of rows and of distinct users and movies, and sizes in bytes.

    `movies` counts the whole catalogue, `rated_movies` those with a rating. `short_users` have fewer candidates
    than were asked for, because they have rated nearly everything.
    """

    source: str
    interactions_path: Path
    pairs_path: Path
    interactions: int
    pairs: int
    users: int
    movies: int
    rated_movies: int
    short_users: int
    interactions_bytes: int
    pairs_bytes: int

    def __str__(self) -> str:
        text = (
            f"{self.source}: {self.interactions:,} interactions of {self.users:,} users and {self.movies:,} movies "
            f"({self.rated_movies:,} rated) in {self.interactions_path}; {self.pairs:,} pairs in {self.pairs_path}"
        )
        if self.short_users:
            text += f"; {self.short_users:,} users have fewer candidates, all that they have not rated"
        return text


def write_dataset(
    source: str,
    catalogue: Catalogue,
    ratings: Ratings,
    output: Path,
    *,
    candidates_per_user: int,
    seed: int,
    observer: Observer,
) -> DatasetReport:
    """Write the ratings and each user's drawn candidates (see `draw_candidates`) into the folder `output`.

    `interactions.parquet` has the schema INTERACTIONS and the order of `ratings`; `pairs.parquet` the schema PAIRS,
    ordered by user number, then movie number. Both hold ids as the decimal text of the number, and no nulls.
    The same input, seed and pyarrow version give the same bytes. Needs about 100 MB beside its arguments.

    Raises UsageError (E-CONFIG) and OutputError (E-OUTPUT); then the files before stay as they were.
    """
    if candidates_per_user < 1:
        raise UsageError(
            "E-CONFIG",
            "the number of candidates per user is not valid",
            found=candidates_per_user,
            expected="1 or more",
            next_step="correct --candidates-per-user",
        )
    pairs = _PairTables(ratings, candidates_per_user, seed)
    movie_ids = _as_text(catalogue.number)
    with Publication(output, observer) as publication:
        observer.stage("writing interactions", len(ratings))
        interactions_path = publication.write(
            INTERACTIONS_NAME, columns.INTERACTIONS, _interaction_tables(catalogue, movie_ids, ratings)
        )
        observer.stage("writing pairs")
        pairs_path = publication.write(PAIRS_NAME, columns.PAIRS, pairs.draw(movie_ids))
    return DatasetReport(
        source=source,
        interactions_path=interactions_path,
        pairs_path=pairs_path,
        interactions=len(ratings),
        pairs=pairs.pairs,
        users=pairs.users,
        movies=len(catalogue),
        rated_movies=len(np.unique(ratings.movie)),
        short_users=pairs.short_users,
        interactions_bytes=interactions_path.stat().st_size,
        pairs_bytes=pairs_path.stat().st_size,
    )


def _interaction_tables(catalogue: Catalogue, movie_ids: pa.StringArray, ratings: Ratings) -> Iterator[pa.Table]:
    for start in range(0, len(ratings), ROW_GROUP_ROWS):
        rows = slice(start, start + ROW_GROUP_ROWS)
        movie = pa.array(ratings.movie[rows])
        yield pa.table(
            [
                _as_text(ratings.user[rows]),
                movie_ids.take(movie),
                catalogue.title.take(movie),
                catalogue.genres.take(movie),
                pa.array(ratings.timestamp[rows]),
                pa.array(ratings.rating[rows]),
            ],
            schema=columns.INTERACTIONS,
        )


class _PairTables:
    """Candidates as tables of ROW_GROUP_ROWS pairs or a few more, for a user is never split; counted on the way."""

    def __init__(self, ratings: Ratings, per_user: int, seed: int) -> None:
        self._ratings = ratings
        self._per_user = per_user
        self._seed = seed
        self.users = 0
        self.short_users = 0
        self.pairs = 0

    def draw(self, movie_ids: pa.StringArray) -> Iterator[pa.Table]:
        users: list[int] = []
        candidates: list[NDArray[np.int32]] = []
        written = 0
        for user, drawn in draw_candidates(self._ratings, self._per_user, self._seed):
            users.append(user)
            candidates.append(drawn)
            self.users += 1
            self.short_users += len(drawn) < self._per_user
            self.pairs += len(drawn)
            if self.pairs - written >= ROW_GROUP_ROWS:
                yield _pair_table(users, candidates, movie_ids)
                users, candidates, written = [], [], self.pairs
        if self.pairs > written:
            yield _pair_table(users, candidates, movie_ids)


def _pair_table(users: list[int], candidates: list[NDArray[np.int32]], movie_ids: pa.StringArray) -> pa.Table:
    user = np.repeat(np.array(users, np.int32), [len(drawn) for drawn in candidates])
    movie = pa.array(np.concatenate(candidates))
    return pa.table([_as_text(user), movie_ids.take(movie)], schema=columns.PAIRS)


def _as_text(numbers: NDArray[np.int32]) -> pa.StringArray:
    return pc.cast(pa.array(numbers), pa.string())
