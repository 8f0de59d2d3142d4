"""Several values in one text: lists are joined without loss, and a wrong separator is found."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.arrays.joined_lists import can_join, find_other_separator, join_lists

VALUES = st.text("ab|,é", max_size=4) | st.none()


@given(st.lists(st.lists(VALUES, max_size=4) | st.none()), st.sampled_from(["|", ",", "||"]))
def test_a_list_is_joined_so_that_splitting_gives_it_back_or_not_at_all(rows, separator):
    for type_ in (pa.list_(pa.string()), pa.large_list(pa.large_string())):
        joined = join_lists(pa.array(rows, type_), separator)
        assert joined.type == pa.large_string()
        for row, text in zip(rows, joined.to_pylist(), strict=True):
            if text is not None:
                assert text.split(separator) == (row or [""])
            else:
                assert row is None or any(item is None or set(item) & set(separator) for item in row)


@pytest.mark.parametrize(
    "type_",
    [pa.list_(pa.int8()), pa.list_(pa.int64(), 2), pa.list_(pa.dictionary(pa.int32(), pa.string())),
     pa.large_list(pa.string_view())],
    ids=str,
)  # fmt: skip
def test_lists_of_any_layout_are_joined(type_):
    assert can_join(type_)
    values = [[1, 2], None, [3, 4]]
    if not pa.types.is_integer(type_.value_type):
        values = [None if row is None else [str(item) for item in row] for row in values]
    assert join_lists(pa.array(values, type_), "|").to_pylist() == ["1|2", None, "3|4"]


def test_what_is_no_list_of_texts_is_not_joined():
    for type_ in (
        pa.string(),
        pa.list_(pa.float64()),
        pa.list_(pa.list_(pa.string())),
        pa.struct([("a", pa.int8())]),
    ):
        assert not can_join(type_)


@pytest.mark.parametrize(
    ("texts", "separator", "expected"),
    [
        (["a,b", "c", "d, e"], "|", ","),
        (["a|b", "c", "d|e"], "|", None),
        (["a|b", "c,d", "d,e"], "|", None),
        (["a", "b", "Lion, The"], "|", None),
        (["a;b", "c;d", None, None], ",", ";"),
        (["a|b", "c|d"], "||", None),
        ([], "|", None),
        ([None, ""], "|", None),
    ],
)
def test_another_separator_is_found_if_most_texts_hold_it(texts, separator, expected):
    parts = [pa.array(texts[:2], pa.large_string()), pa.array(texts[2:], pa.large_string())]
    assert find_other_separator(parts, separator) == expected
