"""Constants and fills: text as a value of the input, and `{date}`."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.scoring.bind.constants import parse_constant, spells_constant

DAY = dt.date(2024, 2, 29)
SECONDS = 1_709_164_800


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64", "float32", "float64"])
def test_the_date_is_epoch_seconds_of_midnight_for_numbers(dtype):
    assert parse_constant(dtype, "{date}", DAY).as_py() == SECONDS


def test_the_date_is_iso_in_text():
    assert parse_constant("string", "{date}", DAY).as_py() == "2024-02-29"
    assert parse_constant("string", "night of {date}", DAY) == pa.scalar("night of 2024-02-29", pa.large_string())


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "bfloat16"])
def test_a_dtype_that_does_not_hold_the_seconds_refuses_the_date(dtype):
    with pytest.raises(
        ValueError, match=f"2024-02-29 is 1,709,164,800 in epoch seconds, which {dtype} does not hold"
    ):
        parse_constant(dtype, "{date}", DAY)


@pytest.mark.parametrize(("dtype", "text", "nearest"), [
    ("float32", "1709164801", "1709164800"), ("float32", "-16777217", "-16777216"), ("float16", "2049", "2048"),
    ("bfloat16", "257", None), ("float64", "9007199254740993", "9007199254740992"),
])  # fmt: skip
def test_a_whole_number_that_a_float_does_not_hold_is_refused(dtype, text, nearest):
    with pytest.raises(
        ValueError, match=f"{dtype} does not hold this whole number exactly; write one that it holds"
    ):
        parse_constant(dtype, text, DAY)
    if nearest is not None:
        assert parse_constant(dtype, nearest, DAY).as_py() == float(nearest)


def test_other_numbers_are_rounded_to_the_nearest_float():
    assert parse_constant("float32", "0.1", DAY).as_py() == pytest.approx(0.1, rel=1e-7)
    assert parse_constant("float32", "1.709164801e9", DAY).as_py() == SECONDS


@given(st.dates(dt.date(1970, 1, 1), dt.date(9999, 1, 1)))
def test_float32_gets_the_seconds_or_nothing(day):
    try:
        value = parse_constant("float32", "{date}", day).as_py()
    except ValueError:
        assert day >= dt.date(2038, 1, 20), "until then every midnight is a float32"
    else:
        assert value == (day - dt.date(1970, 1, 1)).days * 86_400


@pytest.mark.parametrize("text", ["{Date}", "{day}", "{date:%Y}", "x {other}"])
def test_another_placeholder_in_text_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a placeholder: only \{date\} is filled in"):
        parse_constant("string", text, DAY)


@pytest.mark.parametrize(("dtype", "text"), [("int64", "{Date}"), ("int64", "{date} "), ("bool", "{date}")])
def test_what_is_no_date_is_no_number(dtype, text):
    with pytest.raises(ValueError, match=f"not a value of {dtype}"):
        parse_constant(dtype, text, DAY)


def test_braces_that_name_nothing_are_text():
    assert parse_constant("string", '{"a": 1}', DAY).as_py() == '{"a": 1}'


def test_whether_a_text_spells_a_constant():
    assert spells_constant("int64", "{date}")
    assert not spells_constant("int16", "{date}")
    assert not spells_constant("float32", "x")
