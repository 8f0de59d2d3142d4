from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchscore.arrays.keys import find_order_of, sort_by_both

NUMBERS = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(NUMBERS, NUMBERS)))
def test_pairs_of_numbers_are_sorted_as_tuples(pairs):
    columns = np.array(pairs, np.uint32).reshape(-1, 2)
    first, second = sort_by_both(columns[:, 0], columns[:, 1])
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == sorted(pairs)


@given(st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 3)))
def test_rows_are_found_in_the_order_of_their_numbers(numbers):
    order = find_order_of(np.array(numbers, np.int32))
    assert order.dtype == np.int64
    assert order.tolist() == sorted(range(len(numbers)), key=numbers.__getitem__)
