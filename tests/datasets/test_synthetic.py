from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from batchscore import columns
from batchscore.datasets.synthetic import generate_sample
from batchscore.errors import UsageError

SAMPLE = Path(__file__).parents[2] / "sample_data"
NAMES = ("interactions.parquet", "pairs.parquet")


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    return generate_sample(tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_sample_is_what_the_generator_makes(generated, name):
    path = generated.pairs_path.parent / name
    assert pq.read_table(path).equals(pq.read_table(SAMPLE / name), check_metadata=True)
    made_by = [pq.read_metadata(file).created_by for file in (path, SAMPLE / name)]
    if made_by[0] == made_by[1]:
        assert path.read_bytes() == (SAMPLE / name).read_bytes()


def test_its_size_and_schemas(generated):
    assert (generated.users, generated.movies, generated.interactions) == (200, 300, 12_000)
    assert (generated.rated_movies, generated.pairs, generated.short_users) == (300, 20_000, 0)
    assert generated.interactions_bytes + generated.pairs_bytes < 600_000
    assert pq.read_schema(generated.interactions_path).equals(columns.INTERACTIONS)
    assert pq.read_schema(generated.pairs_path).equals(columns.PAIRS)


def test_ratings_are_half_stars_once_a_movie_and_candidates_are_unrated(generated):
    interactions, pairs = (pq.read_table(path) for path in (generated.interactions_path, generated.pairs_path))
    assert set(interactions["user_rating"].to_pylist()) == {half / 2 for half in range(1, 11)}
    rated = list(zip(interactions["user_id"].to_pylist(), interactions["movie_id"].to_pylist(), strict=True))
    drawn = list(zip(pairs["user_id"].to_pylist(), pairs["movie_id"].to_pylist(), strict=True))
    assert len(set(rated)) == len(rated)
    assert len(set(drawn)) == len(drawn)
    assert set(rated).isdisjoint(drawn)
    assert {user for user, _ in rated}.isdisjoint(movie for _, movie in rated)


def test_biases_alone_predict_ratings_that_they_have_not_seen(generated):
    """The structure that a ranking model is to learn is there: shrunken biases beat the mean by far."""
    table = pq.read_table(generated.interactions_path)
    rating = table["user_rating"].to_numpy().astype(np.float64)
    user, movie = (np.unique(table[name].to_numpy(), return_inverse=True)[1] for name in ("user_id", "movie_id"))
    held_out = np.random.default_rng(0).random(len(rating)) < 0.2
    mean = rating[~held_out].mean()
    user_bias, movie_bias = np.zeros(user.max() + 1), np.zeros(movie.max() + 1)
    for _ in range(10):
        for bias, own, other in ((user_bias, user, movie_bias[movie]), (movie_bias, movie, user_bias[user])):
            left = (rating - mean - other) * ~held_out
            bias[:] = np.bincount(own, left) / (np.bincount(own, ~held_out) + 3)
    error = (rating - mean - user_bias[user] - movie_bias[movie])[held_out]
    assert np.sqrt((error**2).mean()) < 0.75 * np.sqrt(((rating - mean)[held_out] ** 2).mean())


def test_the_seed_decides_and_sizes_can_be_chosen(tmp_path):
    sizes = {"users": 5, "candidates": 7, "interactions": 20, "candidates_per_user": 2}
    tables = {}
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        report = generate_sample(tmp_path / folder, **sizes, seed=seed)
        tables[folder] = pq.read_table(report.interactions_path)
    assert (report.movies, report.interactions) == (7, 20)
    assert tables["a"].equals(tables["b"])
    assert not tables["a"].equals(tables["c"])


@pytest.mark.parametrize("interactions", [0, 36])
def test_impossible_sizes_are_refused(tmp_path, interactions):
    with pytest.raises(UsageError) as caught:
        generate_sample(tmp_path / "out", users=5, candidates=7, interactions=interactions)
    assert str(caught.value) == (
        "E-CONFIG: the size of the synthetic data set is not valid\n"
        f"  found:    {interactions} interactions of 5 users and 7 candidates\n"
        "  expected: 1 or more of each, and at most one interaction per pair\n"
        "  next:     correct the numbers of users, candidates and interactions"
    )
    assert not (tmp_path / "out").exists()
