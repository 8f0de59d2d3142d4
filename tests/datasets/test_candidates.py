import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchscore.datasets.candidates import draw_candidates
from batchscore.datasets.ratings import Ratings

rated_pairs = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 19)), min_size=1, max_size=60)


def ratings_of(pairs):
    user, movie = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    return Ratings.ordered(user, movie, np.zeros(len(pairs), np.int64), np.ones(len(pairs), np.float32))


@given(rated_pairs, st.integers(1, 25), st.integers(0, 1000))
def test_candidates_are_unrated_distinct_ascending_and_as_many_as_there_are(pairs, per_user, seed):
    drawn = list(draw_candidates(ratings_of(pairs), per_user, seed))
    assert [user for user, _ in drawn] == sorted({user for user, _ in pairs})
    somebody_rated = {movie for _, movie in pairs}
    for user, movies in drawn:
        unrated = somebody_rated - {movie for rater, movie in pairs if rater == user}
        assert movies.tolist() == sorted(set(movies.tolist()))
        assert set(movies.tolist()) <= unrated
        assert len(movies) == min(per_user, len(unrated))


@given(rated_pairs, st.randoms(use_true_random=False))
def test_the_draw_does_not_depend_on_the_order_of_the_ratings(pairs, random):
    shuffled = pairs.copy()
    random.shuffle(shuffled)
    first, second = (draw_candidates(ratings_of(rows), 5, 3) for rows in (pairs, shuffled))
    for (user, movies), (same_user, same_movies) in zip(first, second, strict=True):
        assert user == same_user
        assert movies.tolist() == same_movies.tolist()


def test_another_seed_draws_others():
    ratings = ratings_of([(1, 0)] + [(2, movie) for movie in range(100)])
    draws = {tuple(next(draw_candidates(ratings, 10, seed))[1].tolist()) for seed in range(20)}
    assert len(draws) == 20


def test_every_unrated_movie_is_drawn_equally_often():
    pairs = [(user, 0) for user in range(2_000)] + [(2_000, movie) for movie in range(50)]
    count = np.zeros(50, int)
    for _, movies in draw_candidates(ratings_of(pairs), 10, 0):
        count[movies] += 1
    assert count[0] == 0  # rated by all
    # 2,000 users draw 10 of 49 movies: 408 each, standard deviation 18
    assert np.all(np.abs(count[1:] - 2_000 * 10 / 49) < 4 * 18)
