"""Numbers that many calls read, and to which rows are added meanwhile: fed without a copy."""

from __future__ import annotations

import numpy as np

_ALIGNMENT = 64
"""TensorFlow and XLA copy, at every call, what does not begin at such an address."""


class Table:
    """An array [capacity, width] that a session feeds from where it lies.

    Rows that a running call reads must not be changed; rows that none reads may be written at any time. Memory that
    was never written is not taken from the machine.
    """

    def __init__(self, capacity: int, width: int, dtype: str) -> None:
        item = np.dtype(dtype)
        memory = np.empty(capacity * width * item.itemsize + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        size = capacity * width * item.itemsize
        self.values: np.ndarray = memory[start : start + size].view(item).reshape(capacity, width)
