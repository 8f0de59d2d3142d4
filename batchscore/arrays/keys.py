"""Numbers in order: sorted in pairs, as one number of 64 bits, much faster than NumPy finds an order of rows."""

from __future__ import annotations

import sys

import numpy as np

_LOW, _HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)
"""Where the halves of a 64-bit number stand."""


def sort_by_both(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both columns (below 2**32, not negative), uint32 [n], in the order of the first, then the second."""
    keys = _sorted_keys(first, second).view(np.uint32).reshape(-1, 2)
    return keys[:, _HIGH], keys[:, _LOW]


def find_order_of(numbers: np.ndarray) -> np.ndarray:
    """The rows, int64 [n], in the order of their numbers (below 2**31, not negative), then their own."""
    keys = _sorted_keys(numbers, np.arange(len(numbers), dtype=np.uint32))
    keys &= np.uint64(0xFFFFFFFF)
    return keys.view(np.int64)


def _sorted_keys(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    keys = np.empty((len(high), 2), np.uint32)
    keys[:, _HIGH], keys[:, _LOW] = high, low
    sorted_keys = keys.reshape(-1).view(np.uint64)
    sorted_keys.sort()
    return sorted_keys
