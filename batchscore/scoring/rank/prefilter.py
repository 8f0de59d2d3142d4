"""A first look at a batch: rows that can still be among their user's top N, found without sorting text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.distinct import find_close_numbers
from batchscore.arrays.keys import sort_by_both

_MAX_CODES = 2**20


def prefilter_top_n(users: pa.Array, candidates: pa.Array, scores: np.ndarray, keep: int) -> np.ndarray:
    """Row numbers, ascending, that hold every row of each user's best `keep` distinct candidates in this batch.

    Rows that share the lowest of those scores all stay: which of them comes first is decided elsewhere. `scores`
    are float32, float64, int64 or uint64, finite, without -0.0. A user with a candidate twice among the rows that
    would stay keeps all rows. At least one row. Ids may be dictionaries, which may repeat values.
    """
    codes = _codes(users)
    ranks = _descending(scores)
    users, ordered = sort_by_both(codes, ranks)
    starts = np.append(0, np.flatnonzero(users[1:] != users[:-1]) + 1)
    last = np.minimum(starts + keep, np.append(starts[1:], len(codes))) - 1
    limit = np.zeros(int(users[-1]) + 1, np.uint32)
    limit[users[starts]] = ordered[last]
    staying = ranks <= limit[codes]
    rows = np.flatnonzero(staying)
    repeated = _users_with_repeats(codes[rows], _distinct_codes(candidates.take(pa.array(rows))))
    if len(repeated):
        rows = np.flatnonzero(staying | np.isin(codes, repeated))
    return rows


def _codes(array: pa.Array, most: int = _MAX_CODES) -> np.ndarray:
    """Codes below `most` of whole numbers that lie so close together; otherwise those of a dictionary."""
    if (numbers := find_close_numbers(array, most)) is not None:
        return numbers[0]
    encoded = array if isinstance(array, pa.DictionaryArray) else pc.dictionary_encode(array)
    codes: np.ndarray = encoded.indices.to_numpy(zero_copy_only=False)
    return codes


def _distinct_codes(array: pa.Array) -> np.ndarray:
    """Codes that are equal where the values are: a dictionary may have a value in several places."""
    codes = _codes(array, 2**31)
    if not isinstance(array, pa.DictionaryArray):
        return codes
    used, place = np.unique(codes, return_inverse=True)
    distinct: np.ndarray = _codes(array.dictionary.take(pa.array(used)))[place]
    return distinct


def _descending(scores: np.ndarray) -> np.ndarray:
    """uint32 numbers whose ascending order is the descending order of the scores."""
    if scores.dtype != np.float32:
        return _descending_places(scores)
    bits = scores.view(np.int32)
    # the magnitude's bits are turned where the sign is not set: all ones, shifted in from the sign
    return (bits ^ (~(bits >> 31) & np.int32(0x7FFFFFFF))).view(np.uint32)


def _descending_places(scores: np.ndarray) -> np.ndarray:
    """The place (uint32) of each score among the distinct scores, the highest first."""
    order = np.argsort(scores)
    ascending = scores[order]
    places = np.empty(len(scores), np.uint32)
    places[order] = np.append(0, np.cumsum(ascending[1:] != ascending[:-1]))
    descending: np.ndarray = places[order[-1]] - places
    return descending


def _users_with_repeats(users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    keys = users.astype(np.int64) << 32 | candidates.astype(np.int64)
    keys.sort()
    return np.unique(keys[1:][keys[1:] == keys[:-1]] >> 32)
