from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.interactions.canonical import cast_fill, find_canonical_cast

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def cast(use, values, *, is_typed=True):
    """What becomes of the values, and the reasons why some become null."""
    reasons = []
    found = find_canonical_cast(use, values.type, is_typed=is_typed)
    for step in found.steps:
        after = step.apply(values)
        if after.null_count > values.null_count:
            reasons.append(step.reason)
        assert len(after) == len(values)
        assert not any(after.is_valid().to_numpy(False) & values.is_null().to_numpy(False))
        values = after
    assert values.type == found.target
    return values.to_pylist(), reasons


def written(use, *texts):
    return cast(use, pa.array(texts, pa.string()), is_typed=False)


MOMENT = dt.datetime(2001, 2, 3, 4, 5, 6, 999_000, dt.UTC)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([981_173_106, None]),
        pa.array([981_173_106, None], pa.uint32()),
        *(pa.array([MOMENT, None], pa.timestamp(unit)) for unit in ("ms", "us", "ns")),
        pa.array([MOMENT.replace(microsecond=0), None], pa.timestamp("s")),
        pa.array([MOMENT, None], pa.timestamp("us", "Asia/Tokyo")),
    ],
)
def test_moments_of_any_unit_and_zone_become_whole_epoch_seconds(values):
    assert cast("moment", values) == ([981_173_106, None], [])


def test_moments_before_the_epoch_and_days():
    assert cast("moment", pa.array([-1, -1000, -1001], pa.timestamp("ms"))) == ([-1, -1, -2], [])
    days = [dt.date(1970, 1, 2), dt.date(1969, 12, 31)]
    for type_ in (pa.date32(), pa.date64()):
        assert cast("moment", pa.array(days, type_)) == ([86_400, -86_400], [])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("981173106", 981_173_106),
        (" -7 ", -7),
        ("2001-02-03", 981_158_400),
        ("2001-02-03 04:05", 981_173_100),
        ("2001-02-03 04:05:06.999999999", 981_173_106),
        ("2001-02-03T04:05:06Z", 981_173_106),
        ("2001-02-03T04:05:06.5+02:00", 981_165_906),
        ("2001-02-03T04:05:06-0130", 981_178_506),
        ("1969-12-31T23:59:59.5Z", -1),
    ],
)
def test_moments_as_they_are_written(text, seconds):
    assert written("moment", text, None) == ([seconds, None], [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2001-02-30",
        "2001-13-01",
        "1.5",
        "1e9",
        "2001-02-03T24:00:00Z",
        "20010203T040506",
        "9" * 19,
        "2001-02-03T04:05.5",
        "2001-02-03T04:05:06+01:00.5",
    ],
)
def test_what_is_no_moment(text):
    assert written("moment", text, "7", "2001-02-28") == (
        [None, 7, 983_318_400],
        ["neither whole epoch seconds nor an ISO 8601 timestamp"],
    )


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(dt.UTC)), st.sampled_from(["T", " "]))
def test_any_moment_that_python_writes_is_read(moment, separator):
    expected = (moment - EPOCH) // dt.timedelta(seconds=1)
    assert written("moment", moment.isoformat(separator)) == ([expected], [])
    assert written("moment", moment.replace(tzinfo=None).isoformat(separator)) == ([expected], [])


@settings(deadline=None)
@given(st.lists(st.floats() | st.integers().map(float) | st.none()))
def test_numbers_become_the_nearest_float32_or_are_bad(numbers):
    values, reasons = cast("number", pa.array(numbers, pa.float64()))
    with np.errstate(over="ignore"):
        expected = [None if number is None else float(np.float32(number)) for number in numbers]
    finite = [number if number is not None and np.isfinite(number) else None for number in expected]
    assert values == finite
    assert bool(reasons) == (finite != expected)
    texts = [None if number is None else repr(number) for number in numbers]
    assert written("number", *texts) == (finite, reasons)


@pytest.mark.parametrize("text", ["", "x", "1,5", "0x1", "1_000", "1e", ".", "--1", "1 2", "NA", "٣"])
def test_what_is_no_number(text):
    assert written("number", text, " +1.5e0 ", "TRUE", "false") == ([None, 1.5, 1.0, 0.0], ["not a number"])


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1))
def test_whole_numbers_become_float32_only_where_that_is_exact(numbers):
    values, reasons = cast("number", pa.array(numbers, pa.int64()))
    exact = [None if n is None or int(np.float32(n)) != n else float(n) for n in numbers]
    assert values == exact
    assert bool(reasons) == (exact.count(None) > numbers.count(None))
    assert cast("label", pa.array([2**24 + 1])) == ([2.0**24], [])


def test_numbers_of_other_types():
    assert cast("number", pa.array([True, False, None])) == ([1.0, 0.0, None], [])
    assert cast("number", pa.array([decimal.Decimal("0.1"), None])) == ([float(np.float32(0.1)), None], [])
    assert cast("number", pa.array([np.float16(1.5), None], pa.float16())) == ([1.5, None], [])
    assert cast("number", pa.array([1, 2**64 - 1], pa.uint64()))[0] == [1.0, None]


def test_a_category_may_be_a_bool_but_an_id_may_not():
    assert cast("category", pa.array([True, None])) == ([1, None], [])
    with pytest.raises(ValueError, match="bool is not a type for ids; write them as text"):
        find_canonical_cast("id", pa.bool_())


@pytest.mark.parametrize("use", ["id", "category", "number", "moment", "text", "list", "label", "click"])
def test_a_column_of_nothing_but_nulls_has_no_type_and_is_no_type_error(use):
    assert cast(use, pa.nulls(3)) == ([None] * 3, [])


def test_text_that_is_no_utf8_is_bad_and_the_rest_is_kept():
    raw = pa.array([b"\xc3\xa9", b"\xff", None, b""]).view(pa.string())
    assert cast("text", raw) == (["é", None, None, ""], ["not UTF-8"])


@pytest.mark.parametrize(
    ("fill", "type_", "expected"),
    [
        (7, pa.large_string(), "7"), ("x", pa.large_string(), "x"), ("-7", pa.int64(), -7), (7, pa.int64(), 7),
        (2, pa.float32(), 2.0), (0.1, pa.float32(), float(np.float32(0.1))),
    ],
)  # fmt: skip
def test_fills(fill, type_, expected):
    assert cast_fill(fill, type_) == pa.scalar(expected, type_)


@pytest.mark.parametrize(
    ("fill", "type_"), [("07", pa.int64()), ("", pa.int64()), (2**63, pa.int64()), (1e39, pa.float32())]
)
def test_fills_that_a_column_cannot_hold(fill, type_):
    with pytest.raises(ValueError, match="the fill"):
        cast_fill(fill, type_)


def test_lists_are_joined_by_the_separator():
    lists = pa.array([["a", "b"], [], None, ["a|b"], ["c", None]], pa.list_(pa.string()))
    assert cast("list", lists) == (
        ["a|b", "", None, None, None],
        ["a value of the list is null or holds the separator"],
    )
    with pytest.raises(ValueError, match="a column has one value per row"):
        find_canonical_cast("text", lists.type)
