"""Who rated what: the two containers that every source of ratings is read into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Catalogue:
    """The movies, ordered by number. A movie's row here is how `Ratings` names it.

    `number` is int32 `[movies]`, strictly ascending. `title` (not unique) and `genres` (joined by `|`, empty if
    none is known) are Arrow strings `[movies]` without nulls.
    """

    number: NDArray[np.int32]
    title: pa.StringArray
    genres: pa.StringArray

    def __post_init__(self) -> None:
        if not (len(self.number) == len(self.title) == len(self.genres)):
            raise ValueError("number, title and genres differ in length")
        if not np.all(self.number[:-1] < self.number[1:]):
            raise ValueError("the movies are not ordered by number")

    def __len__(self) -> int:
        return len(self.number)

    def find(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """The row of each movie number, int32 `[n]`; -1 if the catalogue does not have it."""
        if not len(self):
            return np.full(len(numbers), -1, np.int32)
        rows = np.minimum(np.searchsorted(self.number, numbers), len(self) - 1).astype(np.int32)
        rows[self.number[rows] != numbers] = -1
        return rows


@dataclass(frozen=True)
class Ratings:
    """Ratings, ordered by user number, then timestamp, then movie number, then rating.

    All arrays are `[ratings]`: `user` int32, the user's number; `movie` int32, the movie's row in the catalogue;
    `timestamp` int64, epoch seconds; `rating` float32.
    """

    user: NDArray[np.int32]
    movie: NDArray[np.int32]
    timestamp: NDArray[np.int64]
    rating: NDArray[np.float32]

    @classmethod
    def ordered(
        cls,
        user: NDArray[np.int32],
        movie: NDArray[np.int32],
        timestamp: NDArray[np.int64],
        rating: NDArray[np.float32],
    ) -> Ratings:
        """The ratings in the order of this class, from any order. Needs about 12 bytes a rating for a while."""
        order = np.lexsort((rating, movie, timestamp, user))
        return cls(user[order], movie[order], timestamp[order], rating[order])

    def __len__(self) -> int:
        return len(self.user)

    def by_user(self) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """Each user's number, ascending, with the catalogue rows of the movies that the user rated."""
        changes = np.flatnonzero(self.user[1:] != self.user[:-1]) + 1
        for rated in np.split(np.arange(len(self)), changes) if len(self) else []:
            yield int(self.user[rated[0]]), self.movie[rated]
