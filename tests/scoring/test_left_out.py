"""Pairs that are left out: counted by reason, with their users, whatever the parts."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from batchscore.scoring.left_out import LeftOut

PAIRS = st.lists(st.tuples(st.sampled_from(["null id", "too low"]), st.sampled_from(["a", "b", None])))


def users_of(left_out):
    users = left_out.users().values()
    return set() if users is None else set(users.to_pylist())


@given(st.lists(PAIRS, min_size=1, max_size=4))
def test_parts_merge_to_the_whole(parts):
    found = LeftOut()
    for part in parts:
        of_part = LeftOut()
        for reason, user in part:
            of_part.add(reason, pa.array([user], pa.string()))
        found.merge(of_part)
    pairs = [pair for part in parts for pair in part]
    assert found.pairs == Counter(reason for reason, _ in pairs)
    assert found.count == len(pairs)
    assert users_of(found) == {user for _, user in pairs if user is not None}


def test_the_reasons_are_told_in_order():
    found = LeftOut()
    for reason in ("z", "a", "z"):
        found.add(reason, pa.array(["u"]))
    assert found.describe() == "a: 1; z: 2"
