"""Scores that ignore the user: what tells them from scores that are alike for good reasons."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batchscore.scoring.guard.non_personalized import compare_users
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.rank.statistics import Statistics

DRAW = np.random.default_rng


def night(score, *, users=30, candidates=100, each=20, fed=None, shared=True):
    """What is found where `users` have `each` candidates drawn from all; `score(user, candidate)` gives numbers.

    `fed` gives what the model is fed of a user, the id if it is left out.
    """
    draw = DRAW(1)
    rows = [
        (user, int(candidate) + (0 if shared else user * candidates))
        for user in range(users)
        for candidate in draw.choice(candidates, each, replace=False)
    ]
    user, candidate = (pa.array([row[at] for row in rows]) for at in (0, 1))
    feeds = {"item": candidate, "user": user}
    if fed is not None:
        feeds["user"] = pa.array([str(fed(row[0])) for row in rows])
    pairs = ScorablePairs("f", np.arange(len(rows)), user, candidate, [], feeds, {})
    found = Statistics("item")
    found.add(ScoredPairs(pairs, np.array([score(*row) for row in rows], np.float32)))
    return compare_users(found.by_candidate.rows)


def of_both(user, candidate):
    return DRAW([user, candidate]).normal()


def of_candidate(_user, candidate):
    return DRAW(candidate).normal()


def shares(found):
    return found.one_score / found.compared


def test_personal_scores():
    assert night(of_both).one_score == 0


def test_a_model_that_ignores_the_user_is_found_although_candidates_differ():
    found = night(of_candidate)
    assert (found.compared, found.one_score) == (99, 99)  # one candidate has one user


def test_one_candidate_each_tells_by_its_score():
    assert shares(night(of_both, candidates=1, each=1)) == 0
    assert shares(night(of_candidate, candidates=1, each=1)) == 1


@pytest.mark.parametrize("segments", [2, 21])
@pytest.mark.parametrize("users", [30, 1000])
def test_a_model_that_knows_users_by_a_segment_alone(segments, users):
    """A cold-start night: users of one segment have one list."""
    found = night(lambda user, candidate: of_both(user % segments, candidate), users=users, candidates=40)
    assert shares(found) < 0.1


@pytest.mark.parametrize("rare", [10, 100])
def test_a_rare_segment_is_seen(rare):
    found = night(lambda user, candidate: of_both(user % rare == 0, candidate), users=1000, candidates=200)
    assert shares(found) < 0.9


def test_candidates_that_one_segment_has_alone_say_nothing():
    """Retrieval by segment: within a segment the model, which is not fed the user, has to say the same."""
    segment = night(of_candidate, fed=lambda _: "student")
    assert segment is None
    assert shares(night(of_candidate, fed=lambda user: user % 3)) == 1


def test_users_that_the_model_does_not_know_are_no_fault_while_it_knows_others():
    found = night(lambda user, candidate: of_both(0 if user < 120 else user, candidate), users=300)
    assert found.one_score == 0


def test_candidates_of_ones_own_cannot_be_compared():
    assert night(of_candidate, users=30, candidates=20, shared=False) is None
    assert night(of_candidate, users=9) is None


def stars(user, candidate):
    return float(DRAW([user, candidate]).integers(1, 6))


def test_coarse_scores():
    assert shares(night(stars, users=200)) < 0.1
    assert shares(night(lambda _user, candidate: stars(0, candidate), candidates=20)) == 1


def test_no_pairs_are_nothing_to_judge():
    assert compare_users(Statistics("item").by_candidate.rows) is None
