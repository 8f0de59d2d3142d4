"""Arrow strings as TensorFlow's strings (TF_TString) in memory.

A TF_TString is a header of 24 bytes, three words. Of its kinds (the lowest two bits of the first word) two are
written here, for a whole column at once:

- VIEW `{length << 2 | 3, address, 0}`: the characters belong to someone else, who must keep them as long as
  TensorFlow may look at them. A copy of the header is a view of the same characters.
- LARGE `{length << 2 | 1, capacity, address}`: a copy of the header copies the characters. TensorFlow frees the
  characters of such a header when it changes it, so it may stand only in memory that TensorFlow must not change.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WORD_BYTES = 8
WORDS = 3
HEADER_BYTES = WORDS * WORD_BYTES
_LARGE, _VIEW = 1, 3


@dataclass(frozen=True)
class Strings:
    """A column of strings: where each lies in `characters`, and, for dictionary-encoded ones, which row is which.

    `starts` and `lengths` are in bytes, `characters` is uint8 and may be memory of Arrow. With `codes` (any integer
    dtype, `[n]`) row i is string `codes[i]`, without them string i.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    characters: NDArray[np.uint8]
    codes: NDArray[np.integer] | None = None

    def __len__(self) -> int:
        return len(self.starts) if self.codes is None else len(self.codes)

    def view(self) -> NDArray[np.uint64]:
        """VIEW headers over `characters`, which must outlive them: `n * 3` words."""
        headers = np.empty((len(self), WORDS), np.uint64)
        distinct = headers if self.codes is None else np.empty((len(self.starts), WORDS), np.uint64)
        distinct[:, 0] = self.lengths << 2 | _VIEW
        distinct[:, 1] = self.starts + address_of(self.characters)
        distinct[:, 2] = 0
        self._spread(distinct, headers)
        return headers.reshape(-1)

    def copy(self) -> NDArray[np.uint64]:
        """LARGE headers over a copy of the characters, in one block: `n * 3` words, then the characters."""
        header_words = len(self) * WORDS
        block = np.empty(header_words + -(-len(self.characters) // WORD_BYTES), np.uint64)
        headers = block[:header_words].reshape(-1, WORDS)
        characters = block[header_words:].view(np.uint8)[: len(self.characters)]
        characters[:] = self.characters
        distinct = headers if self.codes is None else np.empty((len(self.starts), WORDS), np.uint64)
        distinct[:, 0] = self.lengths << 2 | _LARGE
        distinct[:, 1] = self.lengths
        distinct[:, 2] = self.starts + address_of(characters)
        self._spread(distinct, headers)
        return block

    def _spread(self, distinct: NDArray[np.uint64], headers: NDArray[np.uint64]) -> None:
        if self.codes is not None and len(self.codes):
            # codes of a valid Arrow array need no check; "clip" spares NumPy a second buffer
            np.take(distinct, self.codes, axis=0, out=headers, mode="clip")


def read_strings(array: pa.Array) -> Strings:
    """The strings of a null-free Arrow array: (large_)string, (large_)binary, string_view, or a dictionary of them.

    Nothing is copied but string_view, whose characters do not lie together. ValueError for other types.
    """
    if pa.types.is_dictionary(array.type):
        values = read_strings(array.dictionary)
        codes = array.indices.to_numpy(zero_copy_only=True)
        return Strings(values.starts, values.lengths, values.characters, codes)
    if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
        array = array.cast(pa.large_binary())
    if pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        offset_dtype: np.dtype[Any] = np.dtype(np.int32)
    elif pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type):
        offset_dtype = np.dtype(np.int64)
    else:
        raise ValueError(f"{array.type} is no column of strings")
    _, offsets_buffer, data = array.buffers()
    if len(array) == 0 or offsets_buffer is None:
        return Strings(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))
    rows = slice(array.offset, array.offset + len(array) + 1)
    offsets: NDArray[np.int64] = np.frombuffer(offsets_buffer, offset_dtype)[rows].astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    characters = np.frombuffer(data, np.uint8)[first:last] if last > first else np.empty(0, np.uint8)
    return Strings(offsets[:-1] - first, np.diff(offsets), characters)


def find_layout_mismatch(library: ctypes.CDLL) -> str | None:
    """Compare the headers written here with those that the library writes: what differs, or None."""
    text = b"long enough to need memory of its own"
    characters = np.frombuffer(text, np.uint8)
    ours = Strings(np.array([0]), np.array([len(text)]), characters)
    theirs = np.zeros(WORDS, np.uint64)
    library.TF_StringInit(address_of(theirs))
    library.TF_StringAssignView(address_of(theirs), address_of(characters), len(text))
    if theirs.tobytes() != ours.view().tobytes():
        return "views"
    library.TF_StringInit(address_of(theirs))
    library.TF_StringCopy(address_of(theirs), text, len(text))
    address = library.TF_StringGetDataPointer(address_of(theirs))
    capacity = int(theirs[1])
    fits = int(theirs[0]) == len(text) << 2 | _LARGE and capacity >= len(text) and int(theirs[2]) == address
    library.TF_StringDealloc(address_of(theirs))
    return None if fits else "copies"


def address_of(array: NDArray[Any]) -> int:
    """Where the elements of a NumPy array begin in memory."""
    return int(array.__array_interface__["data"][0])
