"""Numbers that rows draw by what they are: the same pair draws the same ones, whatever stands around it."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from batchscore.arrays.codes import encode

_STEP = np.uint64(0x9E3779B97F4A7C15)


def draw_by_content(users: pa.ChunkedArray, candidates: pa.ChunkedArray, seed: int, draw: int) -> np.ndarray:
    """A number from 0 to below 1 for each row, float64 `[rows]`, from its two ids, `seed` and the number `draw`.

    Rows of one pair of ids draw the same; those of different pairs are as good as independent, and so are different
    draws. Ids are large_string or int64 without nulls; a text and a number are different ids. Costs a hash for each
    distinct id, and 30 bytes of memory a row.
    """
    key = _mix(np.array([seed << 32 | draw], np.uint64))
    pairs = _mix(_hash_ids(users) ^ key) + _hash_ids(candidates)
    drawn: np.ndarray = (_mix(pairs) >> np.uint64(11)) * 2.0**-53
    return drawn


def _hash_ids(ids: pa.ChunkedArray) -> np.ndarray:
    codes, distinct = encode(ids)
    if pa.types.is_integer(distinct.type):
        hashes = _mix(distinct.to_numpy().view(np.uint64))
    else:
        digests = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in distinct.to_pylist())
        hashes = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
    by_row: np.ndarray = hashes[codes]
    return by_row


def _mix(numbers: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit numbers that spreads every bit over all (the finaliser of SplitMix64)."""
    mixed = numbers + _STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
