"""A small invented data set with real structure: what stands in `sample_data/`.

A user and a movie each have a bias and a few latent tastes, from which ratings follow with some noise; so a ranking
model that learns them beats the mean by far, and one that is broken does not. Users rate some movies more often
than others. Every title is put together from word lists below. The content is the same on every machine and under
every library version, because it comes from `Draws` and from additions, multiplications and divisions alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from batchscore.datasets.dataset import DatasetReport, write_dataset
from batchscore.datasets.random_numbers import Draws
from batchscore.datasets.ratings import Catalogue, Ratings
from batchscore.errors import UsageError
from batchscore.observer import Observer
from batchscore.settings.paths import require_paths

SEED = 2
"""Of 2, 7 and 42 the one on which held-out RMSE differs least between seeds of the training."""

FIRST_USER = 1
FIRST_MOVIE = 1001
"""Users and movies share no number, so that a column that holds the wrong ids is noticed."""

_TASTES = 4
_MEAN_RATING = 3.4
_USER_BIAS, _MOVIE_BIAS, _TASTE_WEIGHT, _NOISE = 0.55, 0.65, 0.25, 0.45
"""Standard deviations, in stars, of what makes up a rating. A taste's weight counts once for each of _TASTES."""

_FIRST_DAY = 1_577_836_800  # 2020-01-01, epoch seconds
_DAY_SECONDS = 86_400
_DAYS = 1_400

_GENRES = ("Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Romance", "Thriller")
_QUALITIES = (
    "Amber", "Borrowed", "Crooked", "Distant", "Electric", "Forgotten", "Glass", "Hollow", "Invisible", "Jubilant",
    "Late", "Midnight", "Northern", "Paper", "Quiet", "Restless", "Salted", "Second", "Velvet", "Wandering",
)  # fmt: skip
_THINGS = (
    "Archive", "Balcony", "Café", "Compass", "Dynasty", "Express", "Ferry", "Garden", "Harbour", "Inventor",
    "Jukebox", "Lighthouse", "Meridian", "Neighbour", "Orchard", "Parade", "Quarry", "Señor", "Tide", "Winter",
)  # fmt: skip


def generate_sample(
    output: Path,
    *,
    users: int = 200,
    candidates: int = 300,
    interactions: int = 12_000,
    candidates_per_user: int = 100,
    seed: int = SEED,
    observer: Observer | None = None,
) -> DatasetReport:
    """Write invented `interactions.parquet` and `pairs.parquet` into the folder `output`.

    `candidates` is the number of movies, `interactions` that of ratings; no user rates a movie twice. Ratings are
    half stars from 0.5 to 5. Schemas, order and candidates are as for MovieLens (`dataset.write_dataset`); a user
    drawn no rating is left out. The defaults make what stands in `sample_data/`.

    Raises UsageError (E-CONFIG) if there are more ratings than users x movies or a count below 1, and
    OutputError (E-OUTPUT).
    """
    require_paths(output)
    if min(users, candidates, interactions) < 1 or interactions > users * candidates:
        raise UsageError(
            "E-CONFIG",
            "the size of the synthetic data set is not valid",
            found=f"{interactions:,} interactions of {users:,} users and {candidates:,} candidates",
            expected="1 or more of each, and at most one interaction per pair",
            next_step="correct the numbers of users, candidates and interactions",
        )
    observer = observer or Observer()
    observer.stage("inventing ratings", interactions)
    draws = Draws(seed)
    catalogue, movie_tastes = _invent_movies(draws, candidates)
    ratings = _invent_ratings(draws, users, movie_tastes, interactions)
    observer.advance(interactions)
    return write_dataset(
        f"synthetic, seed {seed}",
        catalogue,
        ratings,
        output,
        candidates_per_user=candidates_per_user,
        seed=seed,
        observer=observer,
    )


def _invent_movies(draws: Draws, movies: int) -> tuple[Catalogue, NDArray[np.float64]]:
    """The movies, and their tastes, float64 `[movies, _TASTES]`: alike for movies that share a genre."""
    quality, thing = draws.below(len(_QUALITIES), movies), draws.below(len(_THINGS), movies)
    year = 1950 + draws.below(70, movies)
    titles = [
        f"The {_QUALITIES[q]} {_THINGS[t]} ({y})" if q % 2 else f"{_QUALITIES[q]} {_THINGS[t]}, The ({y})"
        for q, t, y in zip(quality, thing, year, strict=True)
    ]
    main, second = draws.below(len(_GENRES), movies), draws.below(len(_GENRES), movies)
    genres = ["|".join(sorted({_GENRES[m], _GENRES[s]})) for m, s in zip(main, second, strict=True)]
    genre_tastes = draws.bell(len(_GENRES), _TASTES)
    tastes = 0.6 * genre_tastes[main] + 0.8 * draws.bell(movies, _TASTES)
    number = np.arange(FIRST_MOVIE, FIRST_MOVIE + movies, dtype=np.int32)
    return Catalogue(number, pa.array(titles, pa.string()), pa.array(genres, pa.string())), tastes


def _invent_ratings(draws: Draws, users: int, movie_tastes: NDArray[np.float64], ratings: int) -> Ratings:
    movies = len(movie_tastes)
    user, movie = _choose_rated(draws, users, movies, ratings)
    user_bias, movie_bias = draws.bell(users), draws.bell(movies)
    user_tastes = draws.bell(users, _TASTES)
    stars = _MEAN_RATING + _USER_BIAS * user_bias[user] + _MOVIE_BIAS * movie_bias[movie]
    for taste in range(_TASTES):  # not a dot product, whose order of additions differs between machines
        stars = stars + _TASTE_WEIGHT * (user_tastes[user, taste] * movie_tastes[movie, taste])
    stars = stars + _NOISE * draws.bell(ratings)
    rating = (np.clip(np.rint(2 * stars), 1, 10) / 2).astype(np.float32)
    joined = draws.below(_DAYS, users)
    day = joined[user] + draws.below(60, ratings)
    timestamp = _FIRST_DAY + day * _DAY_SECONDS + draws.below(_DAY_SECONDS, ratings)
    return Ratings.ordered((FIRST_USER + user).astype(np.int32), movie.astype(np.int32), timestamp, rating)


def _choose_rated(
    draws: Draws, users: int, movies: int, ratings: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which user rates which movie: row numbers, int64 `[ratings]` each, no pair twice.

    Active users and popular movies, up to four times as busy as the others, are chosen more often.
    """
    activity, popularity = 1 + 3 * draws.uniform(users), 1 + 3 * draws.uniform(movies)
    reluctance = draws.uniform(users, movies) / (activity[:, None] * popularity[None, :])
    chosen = np.sort(np.argsort(reluctance, axis=None, kind="stable")[:ratings])
    return chosen // movies, chosen % movies
