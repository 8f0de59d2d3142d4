"""Casts from a pair column's Arrow type to a model input's dtype. Lossless, or the row is named bad.

The table is that of docs/inputs.md: ids never travel through floats, text becomes a number only if it
round-trips through that number, numbers are range-checked, integers become floats only if that is exact. A float
feature is rounded to the nearest float of the input's width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.joined_lists import CANNOT_JOIN, can_join, join_lists
from batchscore.columns import is_text, plain_type

INTEGERS = {
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
}  # fmt: skip
FLOATS = {"float16": pa.float16(), "bfloat16": pa.float32(), "float32": pa.float32(), "float64": pa.float64()}
"""Arrow type that a session takes for each float dtype; it narrows to bfloat16 itself."""

_FED = {"string": pa.large_string(), "bool": pa.bool_(), **INTEGERS, **FLOATS}

_BFLOAT16_OVERFLOW = (2 - 2.0**-8) * 2.0**127
"""The least float32 that rounds to infinity as bfloat16."""

_CANONICAL_INTEGER = r"^(0|-?[1-9][0-9]{0,19})$"
_SAFE_DIGITS = 18
_SECONDS_A_DAY = 86_400
_UNITS_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

Casted = tuple[pa.Array, np.ndarray | None]
"""The cast values and, if some rows could not be cast, a bool mask of them (null rows are never in it)."""


@dataclass(frozen=True)
class Cast:
    """How one column becomes one input.

    `describe` is its line in the report, `reason` why a row would be bad, `advice` what to do about such rows.
    """

    describe: str
    reason: str
    apply: Callable[[pa.Array], Casted]
    advice: str = ""


def find_cast(column: pa.DataType, dtype: str, *, is_id: bool, separator: str | None = None) -> Cast | None:
    """The cast from `column` to the input dtype `dtype`, or None if there is none.

    With a `separator` the input takes several values in one text: lists are joined by it.

    `is_id` says that the column identifies users or candidates: floats are refused for those. The cast takes an
    array of the column's type without its dictionary, keeps nulls, and never raises on a value.
    """
    type_ = plain_type(column)
    if pa.types.is_null(type_) and not is_id and dtype in _FED:
        return Cast(f"nulls as {dtype}", "", lambda array: (pa.nulls(len(array), _FED[dtype]), None))
    if dtype == "string":
        return _to_text(type_) if separator is None or is_id else _to_joined_text(type_, separator)
    if dtype == "bool":
        return Cast("bool", "", _keep) if pa.types.is_boolean(type_) else None
    if dtype in INTEGERS:
        return _to_integer(type_, dtype)
    if dtype in FLOATS:
        return None if is_id and not _is_integral(type_) else _to_float(type_, dtype)
    return None


def advise_type(column: pa.DataType, dtype: str, *, is_id: bool) -> str:
    """What to write in place of a column that `find_cast` has no cast for."""
    types, type_ = pa.types, plain_type(column)
    if types.is_floating(type_) and is_id:
        return "ids never pass through floats; write them as integers or text"
    if types.is_nested(type_):
        text = "; if the model splits text, write it as one (a|b|c)" if dtype == "string" else ""
        return f"it takes one value, not a {_format_nested(type_)}{text}"
    if dtype in INTEGERS:
        return f"write it as whole numbers that {dtype} holds"
    if dtype in FLOATS:
        return "write it as integers" if is_id else "write it as numbers"
    return {"string": "write it as text or integers", "bool": "write it as bool"}.get(dtype, "no column can")


def placeholders(dtype: str, rows: int) -> pa.Array:
    """`rows` values of an input dtype that mean nothing: empty texts, zeros or false."""
    if dtype == "string":
        return pa.repeat(pa.scalar("", pa.large_string()), rows)
    type_ = _FED[dtype]
    return pa.array(np.zeros(rows, type_.to_pandas_dtype()), type_)


def _format_nested(type_: pa.DataType) -> str:
    is_list = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return "list" if any(is_type(type_) for is_type in is_list) else "struct or map"


def _to_text(type_: pa.DataType) -> Cast | None:
    if is_text(type_):
        return Cast(f"{type_} as text", "", lambda array: (_plain_text(array), None))
    if pa.types.is_integer(type_):
        return Cast(f"{type_} to decimal text", "", lambda array: (array.cast(pa.large_string()), None))
    return None


def _to_joined_text(type_: pa.DataType, separator: str) -> Cast | None:
    def join(array: pa.Array) -> Casted:
        joined = join_lists(array, separator)
        lost = pc.and_(joined.is_null(), array.is_valid()).to_numpy(zero_copy_only=False)
        return joined, lost if lost.any() else None

    return Cast(f"{type_} joined by {separator}", CANNOT_JOIN, join) if can_join(type_) else _to_text(type_)


def _to_integer(type_: pa.DataType, dtype: str) -> Cast | None:
    target = INTEGERS[dtype]
    reason = f"not a whole number that {dtype} holds"
    if pa.types.is_integer(type_):
        return Cast(f"{type_} to {dtype}, range-checked", reason, lambda array: _narrow(array, target))
    if is_text(type_):
        return Cast(
            f"text to {dtype}, if it round-trips",
            f"text does not round-trip through {dtype}",
            lambda array: _parse(array, target),
        )
    if pa.types.is_boolean(type_):
        return Cast(f"bool to {dtype}", "", lambda array: (array.cast(target), None))
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return Cast(
            f"{type_} to {dtype} epoch seconds", reason, lambda array: _narrow(_epoch_seconds(array), target)
        )
    return None


def _to_float(type_: pa.DataType, dtype: str) -> Cast | None:
    if pa.types.is_floating(type_):
        return Cast(f"{type_} to {dtype}, nearest", f"overflows {dtype}", lambda array: _round(array, dtype))
    if pa.types.is_integer(type_):
        return Cast(
            f"{type_} to {dtype}, exact",
            f"not exact as {dtype}",
            lambda array: _exact(array, dtype),
            f"{_exact_up_to(dtype)}; a column of double is rounded",
        )
    if pa.types.is_boolean(type_):
        return Cast(f"bool to {dtype}", "", lambda array: (array.cast(pa.int8()).cast(FLOATS[dtype]), None))
    if pa.types.is_decimal(type_):
        return Cast(
            f"{type_} to {dtype}, nearest",
            f"overflows {dtype}",
            # Arrow reads text to the nearest float; its own cast of decimals is off by an ulp
            lambda array: _round(array.cast(pa.string()).cast(pa.float64()), dtype),
        )
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return Cast(
            f"{type_} to {dtype} epoch seconds, exact",
            f"not exact as {dtype}",
            lambda array: _exact(_epoch_seconds(array), dtype),
            f"{_exact_up_to(dtype)}; epoch seconds in a column of double are rounded",
        )
    return None


def _exact_up_to(dtype: str) -> str:
    bits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[dtype]
    epochs = "" if dtype == "float64" else " and cannot hold epoch seconds"
    return f"{dtype} is exact for whole numbers up to {2**bits:,}{epochs}"


def _is_integral(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_boolean(type_))


def _plain_text(array: pa.Array) -> pa.Array:
    return array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array


def _keep(array: pa.Array) -> Casted:
    return array, None


def _narrow(array: pa.Array, target: pa.DataType) -> Casted:
    if array.type == target:
        return array, None
    source, limits = np.iinfo(array.type.to_pandas_dtype()), np.iinfo(target.to_pandas_dtype())
    low = pa.scalar(max(int(limits.min), int(source.min)), array.type)
    high = pa.scalar(min(int(limits.max), int(source.max)), array.type)
    fits = pc.and_(pc.greater_equal(array, low), pc.less_equal(array, high))
    return array.cast(target, safe=False), _false(fits)


def _parse(array: pa.Array, target: pa.DataType) -> Casted:
    array = array.cast(pa.large_string())
    canonical = pc.match_substring_regex(array, _CANONICAL_INTEGER)
    short = pc.and_(canonical, pc.less_equal(pc.utf8_length(array), _SAFE_DIGITS))
    values = pc.if_else(short, array, pa.scalar(None, array.type)).cast(pa.int64())
    result, bad = _narrow(values, target)
    limits = np.iinfo(target.to_pandas_dtype())
    long = np.flatnonzero(pc.and_(canonical, pc.invert(short)).fill_null(False).to_numpy(zero_copy_only=False))
    rejected = _mask(bad, len(array)) | _mask(_false(canonical), len(array))
    if len(long):
        cells = result.to_pylist()
        for row in long:
            number = int(array[int(row)].as_py())
            if limits.min <= number <= limits.max:
                cells[row] = number
            else:
                rejected[row] = True
        result = pa.array(cells, target)
    return result, rejected if rejected.any() else None


def _exact(array: pa.Array, dtype: str) -> Casted:
    values = _filled(array)
    width = np.float64 if dtype == "float64" else np.float16 if dtype == "float16" else np.float32
    integer, limit = (np.uint64, 2.0**64) if values.dtype.kind == "u" else (np.int64, 2.0**63)
    with np.errstate(over="ignore"):
        floats = values.astype(width)
    wide = floats.astype(np.float64)
    inside = (wide < limit) & (wide >= -limit)
    exact = inside & (np.where(inside, wide, 0).astype(integer) == values)
    if dtype == "bfloat16":
        exact &= floats.view(np.uint32) & 0xFFFF == 0
    return _wrap(floats, array, FLOATS[dtype]), _unless_all(exact, array)


def _round(array: pa.Array, dtype: str) -> Casted:
    values = _filled(array)
    with np.errstate(over="ignore"):
        floats = values.astype(FLOATS[dtype].to_pandas_dtype())
    overflown = np.abs(floats) >= _BFLOAT16_OVERFLOW if dtype == "bfloat16" else np.isinf(floats)
    return _wrap(floats, array, FLOATS[dtype]), _unless_all(~overflown | ~np.isfinite(values), array)


def _epoch_seconds(array: pa.Array) -> pa.Array:
    if pa.types.is_date32(array.type):
        return pc.multiply(array.cast(pa.int32()).cast(pa.int64()), _SECONDS_A_DAY)
    unit = 10**3 if pa.types.is_date64(array.type) else _UNITS_A_SECOND[array.type.unit]
    values = _filled(array.cast(pa.int64()))
    return _wrap(np.floor_divide(values, unit), array, pa.int64())


def _filled(array: pa.Array) -> np.ndarray:
    if array.null_count:
        array = pc.fill_null(array, pa.scalar(0, pa.float64()).cast(array.type))
    values: np.ndarray = array.to_numpy(zero_copy_only=False)
    return values


def _wrap(values: np.ndarray, like: pa.Array, type_: pa.DataType) -> pa.Array:
    mask = like.is_null().to_numpy(zero_copy_only=False) if like.null_count else None
    return pa.array(values, type_, mask=mask)


def _false(condition: pa.Array) -> np.ndarray | None:
    """Rows where `condition` is false (not null), or None if there are none."""
    bad: np.ndarray = pc.invert(condition).fill_null(False).to_numpy(zero_copy_only=False)
    return bad if bad.any() else None


def _unless_all(good: np.ndarray, like: pa.Array) -> np.ndarray | None:
    bad = ~good
    if like.null_count:
        bad &= like.is_valid().to_numpy(zero_copy_only=False)
    return bad if bad.any() else None


def _mask(bad: np.ndarray | None, rows: int) -> np.ndarray:
    return np.zeros(rows, bool) if bad is None else bad.copy()
