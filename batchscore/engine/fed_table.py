"""Numbers that many calls read, and to which rows are added meanwhile: fed without a copy."""

from __future__ import annotations

import mmap

import numpy as np


class FedTable:
    """An array [capacity, width] that a session feeds from where it lies.

    Rows that a running call reads must not be changed; rows that none reads may be written at any time. Memory that
    was never written is not taken from the machine. It is a mapping of its own, which begins at a page: TensorFlow
    and XLA copy at every call what is not aligned. NumPy's memory would also come in huge pages, that are cleared
    2 MiB at a time (six times as slow as small ones, measured on a virtual machine).
    """

    def __init__(self, capacity: int, width: int, dtype: str) -> None:
        item = np.dtype(dtype)
        size = capacity * width * item.itemsize
        memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.values: np.ndarray = np.frombuffer(memory, item, capacity * width).reshape(capacity, width)
