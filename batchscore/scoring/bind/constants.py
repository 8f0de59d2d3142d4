"""What a constant (`--set`) or a fill (`--fill`) is as a value of its input, `{date}` filled in."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from batchscore.arrays.joined_lists import find_separator
from batchscore.errors import shorten
from batchscore.savedmodel.saved_model import Signature, takes_list
from batchscore.scoring.bind.casts import FLOATS, INTEGERS
from batchscore.settings.paths import DATE, fill_date, find_placeholder

_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")


def parse_constant(dtype: str, text: str, date: dt.date) -> pa.Scalar:
    """The value of dtype that `text` spells, as a flag carries it.

    `{date}` is `date`: for numbers its 00:00 UTC in epoch seconds, if the dtype holds them exactly; inside text
    its YYYY-MM-DD. Raises ValueError, which says why, if the text spells no value of dtype, or a whole number that
    a float does not hold exactly.
    """
    if dtype == "string":
        return pa.scalar(_fill_text(text, date), pa.large_string())
    if text == DATE:
        return _epoch_seconds(dtype, date)
    try:
        value = _parse_plain(dtype, text)
    except (ValueError, KeyError, OverflowError, pa.ArrowException) as error:
        raise ValueError(f"not a value of {dtype}") from error
    if dtype in FLOATS and _WHOLE.fullmatch(text) and not _is_exact(dtype, _round(dtype, text), int(text)):
        raise ValueError(f"{dtype} does not hold this whole number exactly; write one that it holds")
    return value


def find_lists_of_one(signature: Signature, constants: Mapping[str, str]) -> Iterator[str]:
    """A warning for each constant of a list input that may be meant as several values and is one."""
    for name, text in constants.items():
        separator = find_separator(text)
        if takes_list(signature.inputs[name]) and separator is not None:
            yield (
                f"input {signature.inputs[name]} takes a list: each pair is scored with a list of one value, "
                f"{shorten(text)}, which is not split at {separator!r}"
            )


def spells_constant(dtype: str, text: str) -> bool:
    """Whether `text` spells a value of dtype, on an ordinary day; see `parse_constant`."""
    try:
        parse_constant(dtype, text, dt.date(2024, 2, 29))
    except ValueError:
        return False
    return True


def _fill_text(text: str, date: dt.date) -> str:
    filled = fill_date(text, f"{date:%Y-%m-%d}")
    if unknown := find_placeholder(filled):
        raise ValueError(f"{unknown} is not a placeholder: only {DATE} is filled in")
    return filled


def _epoch_seconds(dtype: str, date: dt.date) -> pa.Scalar:
    seconds = int(dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC).timestamp())
    reason = f"{date:%Y-%m-%d} is {seconds:,} in epoch seconds, which {dtype} does not hold exactly"
    if dtype in INTEGERS:
        limits = np.iinfo(INTEGERS[dtype].to_pandas_dtype())
        if not limits.min <= seconds <= limits.max:
            raise ValueError(reason)
        return pa.scalar(seconds, INTEGERS[dtype])
    if dtype not in FLOATS:
        raise ValueError(f"{DATE} is text or a number, not a value of {dtype}")
    value = _round(dtype, seconds)
    if not _is_exact(dtype, value, seconds):
        raise ValueError(reason)
    return pa.scalar(value, FLOATS[dtype])


def _parse_plain(dtype: str, text: str) -> pa.Scalar:
    if dtype == "bool":
        return pa.scalar({"true": True, "false": False}[text.lower()])
    if dtype in INTEGERS:
        return pa.scalar(int(text), INTEGERS[dtype])
    value = _round(dtype, text)
    if not np.isfinite(value):
        raise ValueError(text)
    return pa.scalar(value, FLOATS[dtype])


def _round(dtype: str, number: str | int) -> np.floating[Any]:
    with np.errstate(over="ignore"):
        value: np.floating[Any] = np.float64(number).astype(FLOATS[dtype].to_pandas_dtype())
    return value


def _is_exact(dtype: str, value: np.floating[Any], number: int) -> bool:
    bfloat16_lost = dtype == "bfloat16" and int(value.view(np.uint32)) & 0xFFFF
    return np.isfinite(value) and int(value) == number and not bfloat16_lost
