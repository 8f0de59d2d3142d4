"""The one Arrow type that each column has in training, and the steps that bring it there without loss.

Text is large_string; vocabularies are that or int64; numbers and labels are float32, moments int64 epoch seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.joined_lists import CANNOT_JOIN, can_join, join_lists
from batchscore.columns import is_text, plain_type

TEXT = pa.large_string()
WHOLE = pa.int64()
NUMBER = pa.float32()

Use = Literal["id", "category", "number", "moment", "text", "list", "label", "click"]
"""What a column is for; `click` is a label that is 0 or 1."""

_ADVICE: dict[Use, tuple[str, str]] = {
    "id": ("ids", "write them as text or whole numbers"),
    "category": ("a vocabulary", "write it as text or whole numbers, or make it a feature of another kind"),
    "number": ("numbers", "write them as numbers"),
    "moment": ("moments", "write them as whole epoch seconds or as timestamps"),
    "text": ("text", "write it as text"),
    "list": ("a list", "write its values as one text with the separator between them"),
    "label": ("labels", "write them as numbers"),
    "click": ("clicks", "write them as 0 and 1"),
}
_NESTED = (
    "write a list as one text with the separator between its values (Drama|War), and of a struct or map only the "
    "value that counts"
)
_NUMBER_PATTERN = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))$"
_WHOLE_PATTERN = r"^-?\d{1,18}$"
_ZONE_PATTERN = r"\d\d:\d\d(:\d\d)?(Z|[+-]\d\d(:?\d\d)?)$"
_MOMENT_PATTERN = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d(:?\d\d)?)?)?$"
_FRACTION_PATTERN = r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)[.,]\d+"
_UNITS_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

_NOT_FINITE = "NaN, infinite or too large for float32"
_NOT_WHOLE = "not a whole number that int64 holds"


@dataclass(frozen=True)
class Step:
    """A part of a cast. A value that it cannot cast becomes null, and `reason` says why; nulls stay nulls."""

    reason: str
    apply: Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class CanonicalCast:
    """The way of a column to its canonical type `target`."""

    target: pa.DataType
    steps: tuple[Step, ...]


def find_canonical_cast(
    use: Use, column: pa.DataType, *, is_typed: bool = True, separator: str = "|"
) -> CanonicalCast:
    """The cast of a column of this Arrow type for this use; of an untyped column (CSV) its text is parsed.

    For a list the `separator` stands between the values of a text; a column of lists is joined by it.

    A cast takes arrays without dictionary. Raises ValueError, with what to write instead, if there is none.
    """
    type_ = plain_type(column)
    if pa.types.is_null(type_):
        return _from_nothing(use)
    if pa.types.is_nested(type_) and not (use == "list" and can_join(type_)):
        raise ValueError(f"its values are {type_}, and a column has one value per row; {_NESTED}")
    cast: CanonicalCast | None
    if use in ("id", "category"):
        cast = _to_category(use, type_)
    elif use == "list" and can_join(type_):
        cast = CanonicalCast(TEXT, (Step(CANNOT_JOIN, lambda array: join_lists(array, separator)),))
    elif use in ("text", "list"):
        cast = CanonicalCast(TEXT, (_TO_TEXT,)) if is_text(type_) else None
    elif use == "moment":
        cast = _to_moment(type_, is_typed=is_typed)
    else:
        cast = _to_number(use, type_, is_typed=is_typed)
    if cast is None:
        things, advice = _ADVICE[use]
        raise ValueError(f"{type_} is not a type for {things}; {advice}")
    return cast


def cast_fill(fill: str | float, target: pa.DataType) -> pa.Scalar:
    """What stands for a null in a column of this canonical type.

    Raises ValueError if the column cannot hold it: whole numbers become text, text a whole number only if that
    prints as the text.
    """
    if target == TEXT:
        return pa.scalar(str(fill), TEXT)
    if target == NUMBER:
        with np.errstate(over="ignore"):
            number = float(np.float32(fill))
        if not math.isfinite(number):
            raise ValueError(f"the fill {fill} is {_NOT_FINITE}")
        return pa.scalar(number, NUMBER)
    try:
        number = int(fill)
        if str(number) == str(fill):
            return pa.scalar(number, WHOLE)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"the fill {fill!r} is {_NOT_WHOLE}, and the column holds whole numbers")


def _from_nothing(use: Use) -> CanonicalCast:
    target = {"number": NUMBER, "label": NUMBER, "click": NUMBER, "moment": WHOLE}.get(use, TEXT)
    return CanonicalCast(target, (Step("", lambda array: array.cast(target)),))


def _to_category(use: Use, type_: pa.DataType) -> CanonicalCast | None:
    if is_text(type_):
        return CanonicalCast(TEXT, (_TO_TEXT,))
    if pa.types.is_integer(type_):
        return CanonicalCast(WHOLE, (_TO_WHOLE,))
    if pa.types.is_boolean(type_) and use == "category":
        return CanonicalCast(WHOLE, (Step("", lambda array: array.cast(WHOLE)),))
    return None


def _to_moment(type_: pa.DataType, *, is_typed: bool) -> CanonicalCast | None:
    if not is_typed:
        return CanonicalCast(
            WHOLE, (Step("neither whole epoch seconds nor an ISO 8601 timestamp", _parse_moments),)
        )
    if pa.types.is_integer(type_):
        return CanonicalCast(WHOLE, (_TO_WHOLE,))
    if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
        return CanonicalCast(WHOLE, (Step("", _epoch_seconds),))
    return None


def _to_number(use: Use, type_: pa.DataType, *, is_typed: bool) -> CanonicalCast | None:
    steps: tuple[Step, ...]
    if not is_typed:
        steps = (Step("not a number", _parse_numbers), _TO_FLOAT)
    elif pa.types.is_boolean(type_):
        steps = (Step("", lambda array: array.cast(pa.int8()).cast(NUMBER)),)
    elif pa.types.is_integer(type_) and use == "number":
        steps = (_TO_WHOLE, Step("not exact as float32 (write the column as double)", _exact))
    elif pa.types.is_integer(type_) or pa.types.is_floating(type_):
        steps = (_TO_FLOAT,)
    elif pa.types.is_decimal(type_):
        # Arrow reads text to the nearest float; its own cast of decimals is off by an ulp
        steps = (Step("", lambda array: array.cast(pa.string()).cast(pa.float64())), _TO_FLOAT)
    else:
        return None
    if use == "click":
        steps += (Step("neither 0 nor 1", _zero_or_one),)
    return CanonicalCast(NUMBER, steps)


def _valid_text(array: pa.Array) -> pa.Array:
    text = array.cast(TEXT)
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        decodable = [_decodes(value) for value in text.cast(pa.large_binary()).to_pylist()]
        return _null_unless(pa.array(decodable), text)
    return text


def _decodes(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _to_int64(array: pa.Array) -> pa.Array:
    if array.type == pa.uint64():
        array = _null_unless(pc.less_equal(array, pa.scalar(2**63 - 1, pa.uint64())), array)
    return array.cast(WHOLE)


def _to_float32(array: pa.Array) -> pa.Array:
    wide: np.ndarray = array.to_numpy(zero_copy_only=False)  # a null is NaN
    with np.errstate(over="ignore"):
        values = wide.astype(np.float32)
    return pa.array(values, NUMBER, mask=~np.isfinite(values))


def _exact(array: pa.Array) -> pa.Array:
    whole: np.ndarray = array.fill_null(0).to_numpy(zero_copy_only=False)
    values = whole.astype(np.float32)
    wide = values.astype(np.float64)
    inside = (wide < 2.0**63) & (wide >= -(2.0**63))
    exact = inside & (np.where(inside, wide, 0).astype(np.int64) == whole)
    return pa.array(values, NUMBER, mask=~exact | array.is_null().to_numpy(zero_copy_only=False))


def _zero_or_one(array: pa.Array) -> pa.Array:
    zero, one = pa.scalar(0, NUMBER), pa.scalar(1, NUMBER)
    return _null_unless(pc.or_(pc.equal(array, zero), pc.equal(array, one)), array)


def _parse_numbers(array: pa.Array) -> pa.Array:
    text = pc.ascii_trim_whitespace(array)
    for word, number in (("true", "1"), ("false", "0")):
        text = pc.if_else(pc.equal(pc.ascii_lower(text), word), number, text)
    return _null_unless(pc.match_substring_regex(text, _NUMBER_PATTERN), text).cast(pa.float64())


def _parse_moments(array: pa.Array) -> pa.Array:
    text = pc.replace_substring_regex(pc.ascii_trim_whitespace(array), _FRACTION_PATTERN, r"\1")
    whole = pc.match_substring_regex(text, _WHOLE_PATTERN)
    written = pc.match_substring_regex(text, _MOMENT_PATTERN)
    zoned = pc.and_(written, pc.match_substring_regex(text, _ZONE_PATTERN))
    return pc.coalesce(
        _null_unless(whole, text).cast(WHOLE),
        _read_moments(_null_unless(zoned, text), pa.timestamp("us", "UTC")),
        _read_moments(_null_unless(pc.and_not(written, zoned), text), pa.timestamp("us")),
    )


def _read_moments(text: pa.Array, type_: pa.DataType) -> pa.Array:
    """Epoch seconds (UTC if no zone is written); null for a day that no calendar has."""
    try:
        return _epoch_seconds(text.cast(type_))
    except pa.ArrowInvalid:
        return _epoch_seconds(pa.array([_read_moment(value, type_) for value in text], type_))


def _read_moment(text: pa.Scalar, type_: pa.DataType) -> pa.Scalar | None:
    try:
        return text.cast(type_)
    except pa.ArrowInvalid:
        return None


def _epoch_seconds(array: pa.Array) -> pa.Array:
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    whole = array.cast(pa.int64())
    values: np.ndarray = whole.fill_null(0).to_numpy(zero_copy_only=False)
    seconds = np.floor_divide(values, _UNITS_A_SECOND[array.type.unit])
    return pa.array(seconds, WHOLE, mask=array.is_null().to_numpy(zero_copy_only=False))


def _null_unless(condition: pa.Array, array: pa.Array) -> pa.Array:
    return pc.if_else(condition, array, pa.scalar(None, array.type))


_TO_TEXT = Step("not UTF-8", _valid_text)
_TO_WHOLE = Step(_NOT_WHOLE, _to_int64)
_TO_FLOAT = Step(_NOT_FINITE, _to_float32)
