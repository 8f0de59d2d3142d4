"""A first look at a batch: what stays gives the same lists as what came."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.scoring.rank.prefilter import prefilter_top_n

TINY = float(np.finfo(np.float32).smallest_subnormal)
LARGEST = float(np.finfo(np.float32).max)
SCORES = [0.0, 1.0, 1.5, -1.0, -1.5, TINY, -TINY, 3 * TINY, LARGEST, -LARGEST, 1.0000001, 0.9999999]


def best(users, candidates, scores, rows, keep):
    """Each user's list, by the contract alone: of equal pairs the highest score, then the first row."""
    lists = {}
    for row in rows:
        pairs = lists.setdefault(users[row], {})
        here = (-float(scores[row]), row)
        pairs[candidates[row]] = min(pairs.get(candidates[row], here), here)
    return {
        user: sorted((score, candidate, row) for candidate, (score, row) in pairs.items())[:keep]
        for user, pairs in lists.items()
    }


def as_dictionary(draw, values, type_):
    """`values` as a dictionary that may repeat values, hold some that no row has, and a null that no row has."""
    dictionary = [*dict.fromkeys(values)] * 2 + ["nobody", None]
    dictionary = draw(st.permutations(dictionary))
    places = [[at for at, item in enumerate(dictionary) if item == value] for value in values]
    indices = [draw(st.sampled_from(found)) for found in places]
    return pa.DictionaryArray.from_arrays(pa.array(indices, type_), pa.array(dictionary, pa.string()))


@settings(max_examples=300, deadline=None)
@given(data=st.data(), keep=st.integers(1, 4), kind=st.sampled_from(["int", "text", "dictionary"]))
def test_what_stays_gives_the_same_lists(data, keep, kind):
    rows = data.draw(st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 4), st.sampled_from(SCORES) | st.floats(-9, 9, width=32)),
        min_size=1, max_size=30,
    ))  # fmt: skip
    users, candidates, scores = (list(column) for column in zip(*rows, strict=True))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    scores = np.array(scores, dtype) + dtype(0)
    if kind == "int":
        apart = data.draw(st.sampled_from([1, 2**20, 2**31, 2**60]))
        users, candidates = ([number * apart - 1 for number in column] for column in (users, candidates))
        arrays = [pa.array(column, pa.int64()) for column in (users, candidates)]
    else:
        users, candidates = ([f"id {item}" for item in column] for column in (users, candidates))
        arrays = [pa.array(column, pa.large_string()) for column in (users, candidates)]
    if kind == "dictionary":
        index = data.draw(st.sampled_from([pa.int8(), pa.uint8(), pa.int32(), pa.int64()]))
        arrays = [as_dictionary(data.draw, column, index) for column in (users, candidates)]
    staying = prefilter_top_n(*arrays, scores, keep).tolist()
    assert staying == sorted(set(staying))
    assert best(users, candidates, scores, staying, keep) == best(users, candidates, scores, range(len(rows)), keep)


def test_a_candidate_that_stands_twice_in_a_dictionary_is_one_candidate():
    users = pa.array(["u"] * 3).dictionary_encode()
    candidates = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["a", "a", "b"]))
    assert prefilter_top_n(users, candidates, np.array([3, 2, 1], np.float32), 2).tolist() == [0, 1, 2]


def test_it_cuts():
    rows, keep = 10_000, 3
    draw = np.random.default_rng(1)
    users = pa.array(draw.integers(0, 10, rows))
    candidates, scores = pa.array(np.arange(rows)), draw.permutation(rows).astype(np.float32)
    staying = prefilter_top_n(users, candidates, scores, keep)
    assert len(staying) == 10 * keep
    assert np.sort(scores[staying])[-1] == rows - 1


@pytest.mark.parametrize("offset", [1, 5])
def test_slices_of_dictionaries_are_read_where_they_begin(offset):
    users = pa.array(["x", "y"] * 6).dictionary_encode().slice(offset, 6)
    candidates = pa.array([f"c{n}" for n in range(12)]).dictionary_encode().slice(offset, 6)
    scores = np.array([6, 5, 4, 3, 2, 1], np.float32)
    assert prefilter_top_n(users, candidates, scores, 1).tolist() == [0, 1]


def test_ties_with_the_last_one_all_stay():
    users, candidates = pa.array([7] * 5), pa.array([5, 4, 3, 2, 1])
    staying = prefilter_top_n(users, candidates, np.array([2, 1, 1, 1, 0], np.float32), 2)
    assert staying.tolist() == [0, 1, 2, 3]
