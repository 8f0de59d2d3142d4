"""Columns as values and codes: the same rows as Arrow's, whatever its layout."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.scoring.bind.coded import Coded

INDEX_TYPES = [pa.int8(), pa.uint8(), pa.int16(), pa.uint32(), pa.int64(), pa.uint64()]
TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view()]


def dictionary_of(values, indices, text=None, index=None):
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, index or pa.int32()), pa.array(values, text or pa.string())
    )


def rows_of(coded):
    return [coded.scalar(row).as_py() for row in range(len(coded.to_array()))]


@settings(max_examples=200, deadline=None)
@given(
    data=st.data(), index=st.sampled_from(INDEX_TYPES), text=st.sampled_from(TEXT_TYPES), offset=st.integers(0, 3)
)
def test_a_dictionary_has_the_rows_that_it_says(data, index, text, offset):
    values = data.draw(st.lists(st.sampled_from(["a", "b", "", "é", None]), max_size=5))
    points = st.none() | st.integers(0, len(values) - 1) if values else st.none()
    indices = data.draw(st.lists(points, min_size=offset, max_size=12))
    array = dictionary_of(values, indices, text, index).slice(offset)
    expected = [None if place is None else values[place] for place in indices[offset:]]
    coded = Coded.read(array)
    assert coded.to_array().to_pylist() == rows_of(coded) == expected
    nulls = coded.nulls()
    assert (nulls is None and None not in expected) or nulls.tolist() == [item is None for item in expected]
    wanted = np.array([item == "a" for item in values], bool)
    assert coded.spread(wanted).tolist() == [item == "a" for item in expected]
    assert coded.spread(None) is None
    if coded.nulls() is None:
        assert coded.to_array().indices.null_count == 0


@pytest.mark.parametrize("text", TEXT_TYPES, ids=str)
def test_plain_text_has_no_codes(text):
    coded = Coded.read(pa.array(["a", None, "b"], text))
    assert coded.codes is None
    assert not pa.types.is_string_view(coded.values.type)
    assert rows_of(coded) == ["a", None, "b"]
    assert coded.nulls().tolist() == [False, True, False]
    assert coded.spread(np.array([True, False, False])).tolist() == [True, False, False]


def test_a_null_that_no_row_has_is_no_null():
    coded = Coded.read(dictionary_of(["a", None], [0, 0]))
    assert coded.nulls() is None
    assert coded.to_array().to_pylist() == ["a", "a"]


@pytest.mark.parametrize("indices", [[], [None, None]])
def test_an_empty_dictionary(indices):
    coded = Coded.read(dictionary_of([], indices))
    assert coded.to_array().to_pylist() == indices
    assert coded.spread(np.zeros(0, bool)).tolist() == [False] * len(indices)
    assert (coded.nulls() is None) == (not indices)


def test_dictionaries_of_numbers_become_plain():
    array = pa.array([3, 1, None, 3]).dictionary_encode()
    coded = Coded.read(array)
    assert coded.codes is None
    assert coded.to_array().to_pylist() == [3, 1, None, 3]


def test_other_values_in_the_old_ones_places():
    coded = Coded.read(dictionary_of(["1", "x", "3"], [2, 0, 1, None]))
    numbers = coded.with_values(pa.array([1, None, 3], pa.int64()))
    assert numbers.to_array().equals(pa.array([3, 1, None, None], pa.int64()))
    texts = coded.with_values(pa.array(["a", None, "c"]))
    assert texts.to_array().to_pylist() == ["c", "a", None, None]
    assert texts.nulls().tolist() == [False, False, True, True]
