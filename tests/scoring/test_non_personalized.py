"""Lists that ignore the user: what tells them from lists that are alike for good reasons."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from batchscore.scoring.guard import non_personalized
from batchscore.scoring.guard.non_personalized import count_non_personalized

DRAW = np.random.default_rng


def ranked(scores: dict[tuple[str, str], float], top_n: int = 5) -> pl.DataFrame:
    """Each user's list of `scores`, as top N makes it."""
    users, candidates = zip(*scores, strict=True)
    frame = pl.DataFrame({
        "user": users, "candidate": candidates, "score": pl.Series(list(scores.values()), dtype=pl.Float32)
    })  # fmt: skip
    frame = frame.sort("user", "score", "candidate", descending=[False, True, False])
    frame = frame.with_columns(rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("user"))
    return frame.filter(pl.col("rank") <= top_n)


def night(score, *, users=30, candidates=100, each=20, top_n=5, seed=1):
    """Lists of `users` with `each` candidates drawn from all; `score(user, candidate)` gives numbers."""
    draw = DRAW(seed)
    return ranked(
        {
            (f"u{user:03}", f"c{candidate:03}"): score(user, candidate)
            for user in range(users)
            for candidate in draw.choice(candidates, each, replace=False)
        },
        top_n,
    )


def of_both(user, candidate):
    return DRAW([user, candidate]).normal()


def of_candidate(_user, candidate):
    return DRAW(candidate).normal()


def test_personal_lists_are_none():
    found = count_non_personalized(night(of_both))
    assert (found.compared, found.count) == (30, 0)


def test_a_model_that_ignores_the_user_is_found_although_candidates_differ():
    found = count_non_personalized(night(of_candidate))
    assert (found.compared, found.count) == (30, 30)
    assert found.examples[:2] == ["u000", "u001"]


def test_users_that_the_model_does_not_know_are_counted_alone():
    found = count_non_personalized(
        night(lambda user, candidate: of_both(0 if user < 120 else user, candidate), users=300)
    )
    assert found.compared == 300
    assert 110 <= found.count <= 120  # a candidate may stand only in the lists of users it knows


def test_the_same_few_candidates_for_all_are_no_fault():
    found = count_non_personalized(night(of_both, candidates=5, each=5))
    assert (found.compared, found.count) == (30, 0)
    found = count_non_personalized(night(of_candidate, candidates=5, each=5))
    assert (found.compared, found.count) == (30, 30)


def test_one_candidate_each_tells_by_its_score():
    assert count_non_personalized(night(of_both, candidates=1, each=1)).count == 0
    assert count_non_personalized(night(of_candidate, candidates=1, each=1)).count == 30


def test_candidates_of_ones_own_cannot_be_compared():
    assert count_non_personalized(night(of_both, users=9, candidates=9, each=9)) is None
    rows = {(f"u{user}", f"c{user}-{item}"): float(item) for user in range(30) for item in range(5)}
    assert count_non_personalized(ranked(rows)) is None


def stars(user, candidate):
    return float(DRAW([user, candidate]).integers(1, 6))


def test_coarse_scores_that_depend_on_the_user_are_no_fault():
    found = count_non_personalized(night(stars, users=200))
    assert found.compared == 200
    assert found.count <= 4


def test_coarse_scores_that_ignore_the_user_are_found_where_candidates_are_the_same():
    found = count_non_personalized(night(lambda _user, candidate: stars(0, candidate), candidates=20))
    assert (found.compared, found.count) == (30, 30)


@pytest.mark.parametrize(("score", "share"), [(of_both, 0), (of_candidate, 1)])
def test_a_sample_tells_the_same(monkeypatch, score, share):
    monkeypatch.setattr(non_personalized, "_SAMPLED_USERS", 25)
    found = count_non_personalized(night(score, users=101))
    assert 10 <= found.compared <= 25
    assert found.count == share * found.compared


def test_no_lists_are_nothing_to_judge():
    empty = night(of_both).clear()
    assert count_non_personalized(empty) is None
