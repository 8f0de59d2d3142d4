from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.arrays.mean_std import MeanStd

NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)


def added(parts):
    found = MeanStd()
    for part in parts:
        found.add(np.array(part, np.float32))
    return found


def figures(found):
    return found.count, found.minimum, found.maximum, found.mean, found.std


def as_close(whole):
    largest = max(map(abs, whole[1:3]))
    return (*whole[:3], *(pytest.approx(value, rel=1e-9, abs=1e-9 * largest) for value in whole[3:]))


@given(NUMBERS, st.sets(st.integers(1, 59)), st.randoms())
def test_parts_in_any_split_and_order_merge_to_what_one_pass_gives(numbers, cuts, random):
    edges = [0, *sorted(cut for cut in cuts if cut < len(numbers)), len(numbers)]
    parts = [numbers[begin:end] for begin, end in itertools.pairwise(edges)]
    whole = as_close(figures(added([numbers])))
    assert figures(added(parts)) == whole
    states = [added([part]) for part in parts] + [MeanStd()]
    while len(states) > 1:
        random.shuffle(states)
        states[0].merge(states.pop())
    assert figures(states[0]) == whole


@given(NUMBERS)
def test_they_are_those_of_numpy(numbers):
    exact = np.array(numbers, np.float64)
    assert figures(added([numbers])) == as_close(
        (len(numbers), exact.min(), exact.max(), float(exact.mean()), float(exact.std()))
    )


def test_nothing_was_added():
    assert (MeanStd().count, MeanStd().std) == (0, 0.0)


def test_a_small_spread_far_from_zero_is_kept():
    found = added([[1e7], [1e7 + 1], [1e7 + 2]])
    assert found.std == pytest.approx(np.sqrt(2 / 3))


@pytest.mark.parametrize(("dtype", "numbers"), [
    ("float64", [1.0, 1 + 2**-52]), ("int64", [2**62, 2**62 + 1]), ("uint64", [2**64 - 2, 2**64 - 1]),
])  # fmt: skip
def test_numbers_that_only_float32_takes_for_equal_are_not_equal(dtype, numbers):
    found = MeanStd()
    for number in numbers:
        found.add(np.array([number], dtype))
    assert (found.minimum, found.maximum) == tuple(numbers)
