"""Columns of values as the distinct tuples among them, so that work is done once per tuple."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_BITS_OF = {"float": pa.int32(), "double": pa.int64(), "halffloat": pa.int16()}
_MAX_KEYS = 2**62
_MAX_UNUSED = 4
"""Whole numbers are their own codes, but for the lowest, where at most so many codes a row would come of it."""


@dataclass(frozen=True)
class Distinct:
    """n rows as m tuples: `codes` (int [n], below m) say which; `values` has an array [m] for each column.

    Some tuples may be used by no row. Floats are told apart by their bits: 0.0 and -0.0 are two values.
    """

    codes: np.ndarray
    values: tuple[pa.Array, ...]

    def __len__(self) -> int:
        return len(self.values[0])

    def used(self) -> np.ndarray:
        """Which tuples are some row's, bool [m]."""
        return find_used(self.codes, len(self))


def find_used(codes: np.ndarray, size: int) -> np.ndarray:
    """Which of the codes below `size` stand among `codes`, bool [size]."""
    used = np.zeros(size, bool)
    used[codes] = True
    return used


def find_distinct(columns: list[pa.Array]) -> Distinct:
    """The distinct tuples of `columns`, which have equal length and no nulls."""
    codes, values = _encode(columns[0])
    if len(columns) == 1:
        return Distinct(codes, (values,))
    encoded = [(codes, values), *(_encode(column) for column in columns[1:])]
    keys, size = codes.astype(np.int64), len(values)
    for more, their_values in encoded[1:]:
        if size * max(len(their_values), 1) > _MAX_KEYS:
            keys, size = _densify(keys)
        keys = keys * len(their_values) + more
        size *= max(len(their_values), 1)
    dense, first = _first_of_each(keys)
    return Distinct(dense, tuple(values.take(pa.array(codes[first])) for codes, values in encoded))


def _encode(column: pa.Array) -> tuple[np.ndarray, pa.Array]:
    if isinstance(column, pa.DictionaryArray):
        return column.indices.to_numpy(zero_copy_only=False), column.dictionary
    if (numbers := find_close_numbers(column, _MAX_UNUSED * len(column))) is not None:
        codes, lowest = numbers
        return codes, pa.array((np.arange(int(codes.max()) + 1).astype(lowest.dtype) + lowest), column.type)
    bits = _BITS_OF.get(str(column.type))
    encoded = (column if bits is None else column.view(bits)).dictionary_encode()
    values = encoded.dictionary if bits is None else encoded.dictionary.view(column.type)
    return encoded.indices.to_numpy(zero_copy_only=False), values


def find_close_numbers(column: pa.Array, most: int) -> tuple[np.ndarray, np.integer[Any]] | None:
    """Whole numbers without nulls as the lowest and what each is above it, if that is below `most` for all.

    The differences (int64, also of unsigned numbers) are codes that cost nothing; some may be of no row. None if
    there is no number.
    """
    if not pa.types.is_integer(column.type) or not len(column):
        return None
    numbers = column.to_numpy().astype(np.uint64 if column.type == pa.uint64() else np.int64, copy=False)
    lowest = numbers.min()
    if int(numbers.max()) - int(lowest) >= most:
        return None
    return (numbers - lowest).astype(np.int64, copy=False), lowest


def _densify(keys: np.ndarray) -> tuple[np.ndarray, int]:
    encoded = pa.array(keys).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), len(encoded.dictionary)


def _first_of_each(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dense codes of `keys`, and for each code the first row that has it."""
    encoded = pc.dictionary_encode(pa.array(keys))
    codes = encoded.indices.to_numpy()
    first = np.empty(len(encoded.dictionary), np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return codes, first


def is_same_array(one: pa.Array | None, other: pa.Array) -> bool:
    """Whether two arrays are equal; nothing is compared if they are the same memory."""
    if one is None or len(one) != len(other):
        return False
    return _place_of(one) == _place_of(other) or bool(one.equals(other))


def _place_of(array: pa.Array) -> tuple[object, ...]:
    addresses = (None if buffer is None else buffer.address for buffer in array.buffers())
    return array.type, array.offset, *addresses
