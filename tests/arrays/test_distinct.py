"""Distinct tuples: codes give every row back, bit for bit."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.arrays import distinct as module
from batchscore.arrays.distinct import find_distinct

FLOATS = [0.0, -0.0, 1.0, -1.0, 1e-45, float("inf"), float("-inf"), float("nan")]
ODD_NAN = np.array([0x7FC0_0001], np.uint32).view(np.float32)[0]
TYPES = [
    pa.bool_(), pa.int8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.string(),
    pa.large_string(), "dictionary",
]  # fmt: skip


def draw_column(data, type_, rows):
    if type_ == "dictionary":
        values = data.draw(st.lists(st.sampled_from(["a", "b", "", "é"]), min_size=1, max_size=6))
        indices = data.draw(st.lists(st.integers(0, len(values) - 1), min_size=rows, max_size=rows))
        return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array([*values, None]))
    if pa.types.is_floating(type_):
        numbers = np.array([*FLOATS, ODD_NAN]).astype(type_.to_pandas_dtype())
        numbers[-1:] = ODD_NAN if type_ == pa.float32() else numbers[-1]
        return pa.array(numbers[data.draw(st.lists(st.integers(0, 8), min_size=rows, max_size=rows))], type_)
    if pa.types.is_boolean(type_):
        items = st.booleans()
    elif pa.types.is_integer(type_):
        limits = np.iinfo(type_.to_pandas_dtype())
        ends = [limits.min, limits.min + 1, limits.max - 1, limits.max]
        items = st.sampled_from([0, 1, 2]) | st.sampled_from(ends) | st.sampled_from(ends[2:])
    else:
        items = st.sampled_from(["a", "b", "", "é"])
    return pa.array(data.draw(st.lists(items, min_size=rows, max_size=rows)), type_)


def bits(array):
    """The values as text that tells all bits."""
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        return [item.tobytes() for item in array.to_numpy(zero_copy_only=False)]
    return array.to_pylist()


def is_one_of_whole_numbers(types):
    """Then numbers between the lowest and the highest are codes, too."""
    return len(types) == 1 and pa.types.is_integer(types[0])


@settings(max_examples=200, deadline=None)
@given(data=st.data(), types=st.lists(st.sampled_from(TYPES), min_size=1, max_size=4), rows=st.integers(0, 12),
       most_keys=st.sampled_from([1, 8, 2**62]), offset=st.integers(0, 2))  # fmt: skip
def test_codes_give_the_tuples_back(data, types, rows, most_keys, offset):
    columns = [draw_column(data, type_, rows + offset).slice(offset) for type_ in types]
    with mock.patch.object(module, "_MAX_KEYS", most_keys):
        found = find_distinct(columns)
    assert len(found.codes) == rows
    chosen = pa.array(found.codes)
    for column, values in zip(columns, found.values, strict=True):
        assert len(values) == len(found)
        assert bits(values.take(chosen)) == bits(column)
    used = np.unique(found.codes)
    tuples = list(zip(*(bits(values.take(pa.array(used))) for values in found.values), strict=True))
    if "dictionary" not in types:
        assert len(set(tuples)) == len(tuples), "each tuple stands once"
        assert len(used) == len(found) or is_one_of_whole_numbers(types), "each is of some row"
    assert len(found) == 0 or not rows or found.codes.max() < len(found)


def test_more_than_2_to_the_62_combinations():
    rows = 5_000
    draw = np.random.default_rng(5)
    columns = [pa.array(draw.permutation(rows)) for _ in range(6)]
    columns = [pa.concat_arrays([column, column]) for column in columns]
    assert rows**6 > 2**62
    found = find_distinct(columns)
    assert len(found) == rows
    assert np.array_equal(found.codes[:rows], found.codes[rows:])
    for column, values in zip(columns, found.values, strict=True):
        assert values.take(pa.array(found.codes)).equals(column)


def test_a_dictionary_is_not_looked_at():
    column = pa.DictionaryArray.from_arrays(pa.array([2, 0], pa.int32()), pa.array(["x", "unused", "y"]))
    found = find_distinct([column])
    assert found.values[0] is column.dictionary or found.values[0].equals(column.dictionary)
    assert found.codes.tolist() == [2, 0]


@pytest.mark.parametrize("type_", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_floats_are_told_apart_by_their_bits(type_):
    column = pa.array(np.array([0.0, -0.0, np.nan, 0.0, np.nan], type_.to_pandas_dtype()))
    assert find_distinct([column]).codes.tolist() == [0, 1, 2, 0, 2]


def test_close_numbers_of_many_columns_are_told_apart():
    """Whole numbers are their own codes, and a key of many columns has more digits than a float."""
    column = pa.array([0, 46] * 6, pa.uint64())
    last = pa.array([0, 0, 1, 1] * 3, pa.uint64())
    found = find_distinct([*[column] * 10, last])
    assert len(set(found.codes.tolist())) == 4
    assert found.values[-1].take(pa.array(found.codes)).equals(last)
