from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchscore.scoring.keys import sort_by_both

NUMBERS = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(NUMBERS, NUMBERS)))
def test_pairs_of_numbers_are_sorted_as_tuples(pairs):
    columns = np.array(pairs, np.uint32).reshape(-1, 2)
    first, second = sort_by_both(columns[:, 0], columns[:, 1])
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == sorted(pairs)
