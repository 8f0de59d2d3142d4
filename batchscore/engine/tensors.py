"""Arrow and NumPy arrays as TF_Tensor, and back."""

from __future__ import annotations

import ctypes
import itertools
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from batchscore.engine.fed_table import FedTable
from batchscore.engine.libtensorflow import Deallocator
from batchscore.engine.tstring import HEADER_BYTES, Strings, address_of, read_strings
from batchscore.savedmodel.proto import DTYPES

_DTYPE_NUMBERS = {name: number for number, name in DTYPES.items()}
_STRING, _BFLOAT16 = _DTYPE_NUMBERS["string"], _DTYPE_NUMBERS["bfloat16"]


Feed: TypeAlias = pa.Array | np.ndarray | FedTable


class FeedTensor:
    """One value that is fed: a TF_Tensor, and the Arrow memory that it may point into, until `delete`."""

    def __init__(
        self, library: ctypes.CDLL, feed: Feed, *, dtype: int, as_column: bool, copy_strings: bool
    ) -> None:
        """`dtype` is the number of the fed tensor's type; `as_column` shapes an Arrow array [n, 1], not [n].

        A FedTable is fed from where it lies. Other numbers are copied: that costs a thousandth of what any model
        does with them, and TensorFlow may keep them as long as it likes (XLA does, in its cache, where a value must
        be a constant). Strings are copied only if the model may keep them.
        """
        self._library = library
        self._borrowed: Strings | None = None
        if isinstance(feed, FedTable):
            values = feed.values
            self.pointer = _lend(library, _DTYPE_NUMBERS[values.dtype.name], values, values.shape)
            return
        shape = _shape(feed, as_column=as_column)
        if isinstance(feed, pa.Array) and dtype == _STRING:
            strings = read_strings(feed)
            self.pointer = _lend(library, _STRING, strings.copy() if copy_strings else strings.view(), shape)
            self._borrowed = None if copy_strings else strings
        else:
            values = feed.to_numpy(zero_copy_only=False) if isinstance(feed, pa.Array) else feed
            number, values = _numbers(values, dtype)
            self.pointer = _copy(library, number, np.ascontiguousarray(values), shape)

    def delete(self) -> None:
        """Free the tensor and let go of the Arrow memory."""
        self._library.TF_DeleteTensor(self.pointer)
        self._borrowed = None


def read_tensor(library: ctypes.CDLL, tensor: int) -> np.ndarray:
    """A copy of a TF_Tensor: numbers as they are, 16-bit floats widened to float32, strings as bytes objects."""
    number = library.TF_TensorType(tensor)
    shape = tuple(library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor)))
    data, size = library.TF_TensorData(tensor), library.TF_TensorByteSize(tensor)
    if number == _STRING:
        return _read_strings(library, data, shape)
    values = np.empty(shape, np.uint16 if number == _BFLOAT16 else DTYPES[number])
    if values.size:
        ctypes.memmove(address_of(values), data, size)
    if number == _BFLOAT16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def narrow_to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Floats as the bits (uint16) of the nearest bfloat16, ties to even, as TensorFlow casts."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    quiet_nan = 0x7FC0 | (bits >> 16 & 0x8000)
    return np.where(np.isnan(values), quiet_nan, rounded).astype(np.uint16)


def _shape(feed: pa.Array | np.ndarray, *, as_column: bool) -> tuple[int, ...]:
    if isinstance(feed, np.ndarray):
        return feed.shape
    return (len(feed), 1) if as_column else (len(feed),)


def _numbers(values: np.ndarray, dtype: int) -> tuple[int, np.ndarray]:
    """The type number that the values have, and the values; 16-bit floats are made from whatever floats come."""
    if dtype == _BFLOAT16:
        return dtype, narrow_to_bfloat16(values)
    if DTYPES.get(dtype) == "float16":
        return dtype, values.astype(np.float16)
    number = _DTYPE_NUMBERS.get(values.dtype.name)
    if number is None:
        raise ValueError(f"{values.dtype} values cannot be fed")
    return number, values


def _copy(library: ctypes.CDLL, number: int, values: np.ndarray, shape: tuple[int, ...]) -> int:
    """A tensor with a copy of `values`, in memory that TensorFlow owns."""
    dims = (ctypes.c_int64 * len(shape))(*shape)
    tensor = library.TF_AllocateTensor(number, dims, len(shape), values.nbytes)
    if tensor is None:
        raise MemoryError(f"no memory for a tensor of {values.nbytes} bytes")
    if values.nbytes:
        ctypes.memmove(library.TF_TensorData(tensor), address_of(values), values.nbytes)
    return int(tensor)


_lent: dict[int, np.ndarray] = {}
"""Blocks that TensorFlow holds, by the number under which they were lent. A variable may hold one until its session
is closed."""

_loans = itertools.count(1)


def _take_back(_data: int, _size: int, loan: int) -> None:
    del _lent[loan]


_deallocator = Deallocator(_take_back)


def _lend(library: ctypes.CDLL, number: int, block: np.ndarray, shape: tuple[int, ...]) -> int:
    """A tensor of type `number` over `block`, which TensorFlow gives back when it is done, and never changes.

    It changes only memory that it allocated itself.
    """
    loan = next(_loans)
    _lent[loan] = block
    dims = (ctypes.c_int64 * len(shape))(*shape)
    return int(library.TF_NewTensor(number, dims, len(shape), address_of(block), block.nbytes, _deallocator, loan))


def _read_strings(library: ctypes.CDLL, data: int, shape: tuple[int, ...]) -> np.ndarray:
    values = np.empty(shape, object)
    flat = values.reshape(-1)
    for row in range(flat.size):
        header = data + row * HEADER_BYTES
        size = library.TF_StringGetSize(header)
        flat[row] = ctypes.string_at(library.TF_StringGetDataPointer(header), size) if size else b""
    return values
