"""Every line of the cast table with its edges, and the laws behind it against Python's exact numbers."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.columns import is_text
from batchscore.scoring.bind.casts import FLOATS, INTEGERS, find_cast, placeholders

TEXTS = [pa.string(), pa.large_string(), pa.string_view()]
INTEGER_TYPES = list(INTEGERS.values())
MAX = {name: float(np.finfo(name).max) for name in ("float16", "float32", "float64")} | {
    "bfloat16": (2 - 2.0**-7) * 2.0**127
}
DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}

BAD = object()
"""Stands for a row that the cast must name bad."""


def cast(values, column, dtype, *, is_id=False):
    """The values as the model would get them, BAD where the row is bad, None where it is null."""
    array = values if isinstance(values, pa.Array) else pa.array(values, column)
    found = find_cast(column, dtype, is_id=is_id)
    assert found is not None
    result, bad = found.apply(array)
    assert len(result) == len(array)
    numbers = INTEGERS | FLOATS | {"bool": pa.bool_()}
    assert result.type in ((pa.string(), pa.large_string()) if dtype == "string" else (numbers[dtype],))
    mask = np.zeros(len(array), bool) if bad is None else bad
    assert mask.dtype == bool
    assert not (mask & array.is_null().to_numpy(zero_copy_only=False)).any(), "a null is never a bad cast"
    return [BAD if is_bad else item for item, is_bad in zip(result.to_pylist(), mask, strict=True)]


@pytest.mark.parametrize(
    ("column", "dtype", "given_values", "expected"),
    [
        # ids and text: lossless only
        (pa.string(), "string", ["", "a", None, "ä"], ["", "a", None, "ä"]),
        (pa.large_string(), "string", ["x", None], ["x", None]),
        (pa.string_view(), "string", ["x", None], ["x", None]),
        (pa.int64(), "string", [2**53 + 1, -(2**63), 0, None], ["9007199254740993", str(-(2**63)), "0", None]),
        (pa.uint64(), "string", [2**64 - 1, 0], ["18446744073709551615", "0"]),
        (pa.int8(), "string", [-128], ["-128"]),
        (
            pa.string(),
            "int64",
            ["0", "-1", str(2**63 - 1), str(-(2**63)), None, str(2**63), "-0", "+1", "01", " 1", "1\n", "1.0", ""],
            [0, -1, 2**63 - 1, -(2**63), None, *[BAD] * 8],
        ),
        (
            pa.string(),
            "int8",
            ["127", "128", "\u0661"],
            [127, BAD, BAD],
        ),
        (pa.string_view(), "int64", ["12", "x", None, str(2**63 - 1)], [12, BAD, None, 2**63 - 1]),
        (pa.large_string(), "int32", ["2147483647", "2147483648", "-2147483649"], [2147483647, BAD, BAD]),
        (pa.string(), "uint64", [str(2**64 - 1), str(2**64), "-1", "9" * 21], [2**64 - 1, BAD, BAD, BAD]),
        (pa.string(), "uint8", ["255", "256", "-1"], [255, BAD, BAD]),
        # int to narrower int: range-checked
        (pa.int64(), "int32", [2**31 - 1, 2**31, None, -(2**31) - 1], [2**31 - 1, BAD, None, BAD]),
        (pa.int64(), "uint64", [0, -1, 2**63 - 1], [0, BAD, 2**63 - 1]),
        (pa.uint64(), "int64", [2**63 - 1, 2**63], [2**63 - 1, BAD]),
        (pa.uint64(), "int8", [127, 128], [127, BAD]),
        (pa.int8(), "uint8", [127, -1], [127, BAD]),
        (pa.int32(), "int32", [1, None], [1, None]),
        # int to float: only if exact
        (pa.int64(), "float32", [2**24, 2**24 + 1, -(2**24) - 1, 2**62, None], [2.0**24, BAD, BAD, 2.0**62, None]),
        (pa.int64(), "float64", [2**53, 2**53 + 1, 2**63 - 1, -(2**63)], [2.0**53, BAD, BAD, -(2.0**63)]),
        (pa.uint64(), "float64", [2**63, 2**64 - 1, 2**64 - 2048], [2.0**63, BAD, 2.0**64 - 2048]),
        (pa.int32(), "float32", [2**31 - 1, -(2**31)], [BAD, -(2.0**31)]),
        (pa.int16(), "float16", [2048, 2049, 32767, -32768], [2048.0, BAD, BAD, -32768.0]),
        (pa.uint16(), "float16", [65504, 65535], [65504.0, BAD]),
        (pa.int64(), "bfloat16", [256, 257, 2**53 + 1, 2**53], [256.0, BAD, BAD, 2.0**53]),
        # float features: nearest, overflow is bad, NaN and infinities pass
        (pa.float64(), "float32", [0.1, 3.5e38, -3.5e38, math.inf], [float(np.float32(0.1)), BAD, BAD, math.inf]),
        (pa.float64(), "float32", [1e-46, -0.0], [0.0, -0.0]),
        (pa.float64(), "float16", [65519.0, 65520.0], [65504.0, BAD]),
        (pa.float64(), "bfloat16", [MAX["bfloat16"], 3.4e38], [MAX["bfloat16"], BAD]),
        (pa.float32(), "float64", [0.5, None], [0.5, None]),
        (pa.float16(), "float32", pa.array(np.array([0.5, 65504.0], np.float16)), [0.5, 65504.0]),
        # as number
        (pa.bool_(), "float32", [True, False, None], [1.0, 0.0, None]),
        (pa.bool_(), "int64", [True, False, None], [1, 0, None]),
        (pa.bool_(), "bool", [True, None], [True, None]),
        (pa.decimal128(10, 2), "float32", [Decimal("1.25"), None], [1.25, None]),
        (pa.decimal128(38, 0), "float32", [Decimal(10**37)], [float(np.float32(1e37))]),
        (pa.decimal256(76, 0), "float32", [Decimal(10**75), Decimal(1)], [BAD, 1.0]),
        # epoch seconds
        (pa.timestamp("s"), "int64", [0, -1, None, 2**62], [0, -1, None, 2**62]),
        (pa.timestamp("ms"), "int64", [1999, -1, -1000, -1001], [1, -1, -1, -2]),
        (pa.timestamp("us", "Europe/Berlin"), "int64", [1_000_000], [1]),
        (pa.timestamp("ns"), "int64", [-(2**63) + 1, 2**63 - 1], [-9223372037, 9223372036]),
        (pa.timestamp("s"), "int32", [2**31 - 1, 2**31], [2**31 - 1, BAD]),
        (pa.timestamp("s"), "float32", [2**24, 2**24 + 1], [2.0**24, BAD]),
        (pa.date32(), "int64", pa.array([-(2**31)], pa.int32()).view(pa.date32()), [-86400 * 2**31]),
        (pa.date64(), "int64", [86_400_000, None], [86400, None]),
    ],
    ids=lambda value: str(value) if isinstance(value, (pa.DataType, str)) else "",
)  # fmt: skip
def test_table(column, dtype, given_values, expected):
    found = cast(given_values, column, dtype)
    assert found == expected
    signs = [(a, b) for a, b in zip(found, expected, strict=True) if isinstance(b, float)]
    assert all(math.copysign(1, a) == math.copysign(1, b) for a, b in signs)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_ids_never_pass_through_floats(dtype):
    for column in (pa.float16(), pa.float32(), pa.float64(), pa.decimal128(10, 0)):
        assert find_cast(column, dtype, is_id=True) is None
        assert find_cast(column, "string", is_id=True) is None


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (pa.float32(), "int64"),
        (pa.float32(), "string"),
        (pa.string(), "float32"),
        (pa.int64(), "bool"),
        (pa.decimal128(10, 0), "int64"),
        (pa.binary(), "string"),
        (pa.list_(pa.int64()), "int64"),
        (pa.time32("s"), "int64"),
        (pa.duration("s"), "int64"),
        (pa.int64(), "resource"),
        (pa.null(), "resource"),
    ],
    ids=str,
)
def test_what_is_not_in_the_table_has_no_cast(column, dtype):
    assert find_cast(column, dtype, is_id=False) is None


def test_a_dictionary_casts_as_its_values():
    encoded = pa.dictionary(pa.int8(), pa.int64())
    found = find_cast(encoded, "string", is_id=True)
    assert found is not None
    assert found.describe == "int64 to decimal text"


@settings(max_examples=60, deadline=None)
@given(data=st.data(), column=st.sampled_from(INTEGER_TYPES))
def test_integer_to_text_is_str_and_comes_back(data, column):
    limits = np.iinfo(column.to_pandas_dtype())
    values = data.draw(st.lists(st.none() | st.integers(int(limits.min), int(limits.max))))
    text = cast(values, column, "string", is_id=True)
    assert text == [None if value is None else str(value) for value in values]
    assert cast(text, pa.large_string(), str(column), is_id=True) == values


@settings(max_examples=150, deadline=None)
@given(data=st.data(), column=st.sampled_from(TEXTS), dtype=st.sampled_from(list(INTEGERS)))
def test_text_to_integer_only_if_it_prints_back_the_same(data, column, dtype):
    integers = st.integers(-(2**65), 2**65).map(str)
    looks_like_one = st.text(alphabet="0123456789-+ _.e\n\u0661", max_size=23)
    values = data.draw(st.lists(st.none() | integers | looks_like_one | st.text(max_size=3), max_size=8))
    limits = np.iinfo(dtype)

    def expected(value):
        if value is None:
            return None
        try:
            number = int(value)
        except ValueError:
            return BAD
        return number if str(number) == value and limits.min <= number <= limits.max else BAD

    assert cast(values, column, dtype) == [expected(value) for value in values]


@settings(max_examples=80, deadline=None)
@given(data=st.data(), column=st.sampled_from(INTEGER_TYPES), dtype=st.sampled_from(list(INTEGERS)))
def test_integer_to_integer_keeps_the_value_or_names_the_row(data, column, dtype):
    own, limits = np.iinfo(column.to_pandas_dtype()), np.iinfo(dtype)
    values = data.draw(st.lists(st.none() | st.integers(int(own.min), int(own.max))))
    assert cast(values, column, dtype) == [
        None if value is None else value if limits.min <= value <= limits.max else BAD for value in values
    ]


def is_exact(value, dtype):
    """Whether the float dtype holds the integer: its odd part has few enough bits, and it does not overflow."""
    return value == 0 or (
        (abs(value) // (value & -value)).bit_length() <= DIGITS[dtype] and abs(value) <= MAX[dtype]
    )


@settings(max_examples=200, deadline=None)
@given(data=st.data(), column=st.sampled_from(INTEGER_TYPES), dtype=st.sampled_from(list(FLOATS)))
def test_integer_to_float_is_exact_or_bad(data, column, dtype):
    limits = np.iinfo(column.to_pandas_dtype())
    near_powers = st.builds(lambda sign, power, step: sign * (2**power + step),
                            st.sampled_from([1, -1]), st.integers(0, 64), st.integers(-2, 2))  # fmt: skip
    inside = st.integers(int(limits.min), int(limits.max)) | near_powers.filter(
        lambda value: limits.min <= value <= limits.max
    )
    values = data.draw(st.lists(st.none() | inside))
    found = cast(values, column, dtype)
    expected = [None if value is None else value if is_exact(value, dtype) else BAD for value in values]
    assert [item if item is None or item is BAD else Fraction(item) for item in found] == expected


def nearest_float32(exact):
    """The float32 nearest to a Fraction, ties to even; None where it overflows."""
    with np.errstate(over="ignore"):
        near = np.float32(float(exact))
        around = {near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))}
    finite = [item for item in around if np.isfinite(item)]
    best = min(finite, key=lambda item: (abs(Fraction(float(item)) - exact), int(item.view(np.uint32)) & 1))
    overflow = Fraction(MAX["float32"]) + Fraction(2) ** 103
    return None if abs(exact) >= overflow else float(best)


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_float64_to_float32_is_nearest_and_overflow_is_bad(values):
    found = cast(values, pa.float64(), "float32")
    for value, item in zip(values, found, strict=True):
        if value is None:
            assert item is None
        else:
            nearest = nearest_float32(Fraction(value))
            assert item is BAD if nearest is None else item == nearest


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(
        st.none() | st.decimals(-(10**20), 10**20, places=10, allow_nan=False, allow_infinity=False), max_size=8
    )
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_decimal_becomes_the_nearest_float64_and_then_the_nearest_of_the_width(dtype, values):
    found = cast(values, pa.decimal128(38, 10), dtype)
    assert found == [None if value is None else float(np.dtype(dtype).type(float(value))) for value in values]


@settings(max_examples=80, deadline=None)
@given(
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    zone=st.sampled_from([None, "UTC", "Asia/Tokyo", "Mars/Olympus"]),
    values=st.lists(st.none() | st.integers(-(2**63) + 1, 2**63 - 1)),
)
def test_timestamps_are_whole_epoch_seconds_rounded_down(unit, zone, values):
    array = pa.array(values, pa.int64()).cast(pa.timestamp(unit, zone))
    a_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    assert cast(array, array.type, "int64") == [None if value is None else value // a_second for value in values]


COLUMNS = [
    *TEXTS, *INTEGER_TYPES, pa.bool_(), pa.float16(), pa.float32(), pa.float64(), pa.decimal128(38, 10),
    pa.decimal256(60, 5), pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("ns", "UTC"),
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(), column=st.sampled_from(COLUMNS), dtype=st.sampled_from(["string", "bool", *INTEGERS, *FLOATS])
)
def test_no_value_makes_a_cast_raise_and_nulls_stay_null(data, column, dtype):
    found = find_cast(column, dtype, is_id=False)
    if found is None:
        return
    if is_text(column):
        values = data.draw(st.lists(st.none() | st.text() | st.integers().map(str)))
    elif pa.types.is_decimal(column):
        values = data.draw(st.lists(st.none() | st.decimals(-(10**27), 10**27, places=5)))
    elif pa.types.is_boolean(column):
        values = data.draw(st.lists(st.none() | st.booleans()))
    else:
        # any bits at all: extremes, NaN with a payload, dates that no calendar has
        width = {"float": 4, "double": 8, "halffloat": 2}.get(str(column), column.bit_width // 8)
        raw = data.draw(st.lists(st.none() | st.binary(min_size=width, max_size=width)))
        integers = pa.array(
            [None if item is None else int.from_bytes(item, "little", signed=True) for item in raw],
            getattr(pa, f"int{8 * width}")(),
        )
        values = integers.view(column)
    array = values if isinstance(values, pa.Array) else pa.array(values, column)
    for chosen in (array, array[1:], array[:0]):
        result, bad = found.apply(chosen)
        good = np.ones(len(chosen), bool) if bad is None else ~bad
        nulls = chosen.is_null().to_numpy(zero_copy_only=False)
        assert result.is_null().filter(pa.array(good)).to_pylist() == nulls[good].tolist()


@pytest.mark.parametrize("dtype", ["string", "bool", *INTEGERS, *FLOATS])
def test_a_column_of_nulls_alone_is_one_of_any_feature_and_of_no_id(dtype):
    cast = find_cast(pa.null(), dtype, is_id=False)
    assert find_cast(pa.null(), dtype, is_id=True) is None
    values, uncast = cast.apply(pa.nulls(3))
    assert (values.type, values.null_count, uncast) == (placeholders(dtype, 1).type, 3, None)


@pytest.mark.parametrize("dtype", ["string", "bool", *INTEGERS, *FLOATS])
def test_placeholders_can_be_fed_and_mean_nothing(dtype):
    nothing = placeholders(dtype, 3)
    assert (len(nothing), nothing.null_count) == (3, 0)
    assert not any(nothing.to_pylist())
    assert find_cast(nothing.type, dtype, is_id=False).apply(nothing)[0].to_pylist() == nothing.to_pylist()


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        ("float32", "float32 is exact for whole numbers up to 16,777,216 and cannot hold epoch seconds"),
        ("float16", "float16 is exact for whole numbers up to 2,048 and"),
        ("bfloat16", "bfloat16 is exact for whole numbers up to 256 and"),
        ("float64", "float64 is exact for whole numbers up to 9,007,199,254,740,992;"),
    ],
)
def test_what_to_do_about_whole_numbers_that_a_float_does_not_hold(dtype, said):
    for type_ in (pa.int64(), pa.timestamp("us")):
        advice = find_cast(type_, dtype, is_id=False).advice
        assert said in advice
        assert "double" in advice
    assert find_cast(pa.float64(), dtype, is_id=False).advice == ""
