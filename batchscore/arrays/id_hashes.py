"""Ids as 64-bit hashes that are the same on every machine and with every library."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from batchscore.columns import is_text

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_WORD = 8
_MASKS = np.array([2 ** (8 * size) - 1 for size in range(_WORD + 1)], np.uint64)
_SLICE_ROWS = 32_768
_PLAIN_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def mix(numbers: np.ndarray) -> np.ndarray:
    """Each number (uint64 [n]) as another one that looks drawn by lot; no two become equal (SplitMix64)."""
    mixed: np.ndarray = numbers + _GOLDEN
    mixed ^= mixed >> np.uint64(30)
    mixed *= _MIX_1
    mixed ^= mixed >> np.uint64(27)
    mixed *= _MIX_2
    mixed ^= mixed >> np.uint64(31)
    return mixed


def hash_values(values: pa.Array) -> np.ndarray:
    """A hash of each value (no nulls), uint64 [n]: of text by its UTF-8 bytes, of numbers by their own bits.

    Values of one type have equal hashes if they are equal; a number's is not that of its text. Lists and whatever
    else has no plain bits are hashed as the text that Python has for them.
    """
    if isinstance(values, pa.DictionaryArray):
        codes = values.indices.to_numpy(zero_copy_only=False)
        hashes: np.ndarray = hash_values(values.dictionary)[codes]
        return hashes
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        numbers = values.to_numpy(zero_copy_only=False)
        return mix(numbers.view(_PLAIN_BITS[numbers.dtype.itemsize]).astype(np.uint64))
    return hash_texts(values)


def hash_texts(values: pa.Array) -> np.ndarray:
    """A hash of each value (no nulls) as text, uint64 [n]: 42 has that of `42`."""
    if not pa.types.is_large_string(values.type):
        plain = pa.types.is_integer(values.type) or is_text(values.type)
        values = (
            values.cast(pa.large_string()) if plain else pa.array(map(str, values.to_pylist()), pa.large_string())
        )
    starts = range(0, len(values), _SLICE_ROWS)
    return np.concatenate([np.empty(0, np.uint64), *(_hash_slice(values.slice(at, _SLICE_ROWS)) for at in starts)])


def _hash_slice(values: pa.LargeStringArray) -> np.ndarray:
    """Eight bytes of every text at a time, while it has any left."""
    _, offsets_buffer, data = values.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[values.offset : values.offset + len(values) + 1]
    first, end = int(offsets[0]), int(offsets[-1])
    held = np.zeros(end - first + _WORD, np.uint8)
    if end > first:
        held[: end - first] = np.frombuffer(data, np.uint8)[first:end]
    words: np.ndarray = np.ndarray((len(held) - _WORD + 1,), "<u8", held, strides=(1,))
    places, left = offsets[:-1] - first, np.diff(offsets)
    hashes = mix(left.astype(np.uint64))
    rows = np.flatnonzero(left)
    while len(rows):
        taken = words[places[rows]] & _MASKS[np.minimum(left[rows], _WORD)]
        hashes[rows] = mix(hashes[rows] ^ taken)
        places[rows] += _WORD
        left[rows] -= _WORD
        rows = rows[left[rows] > 0]
    return hashes
