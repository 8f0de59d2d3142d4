"""What is known of a set of any size from its few smallest hashes. Sketches of parts merge to that of the whole."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import numpy as np

SKETCH_SIZE = 4096
"""Hashes of a sketch whose figures are told: a count has a standard error of 1.6 %."""

_SPACE = 2.0**64


class BottomK:
    """The `size` smallest distinct hashes (uint64) of all that was added, in any order and any number of times."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.hashes = np.empty(0, np.uint64)
        """Ascending."""

    @property
    def threshold(self) -> np.uint64:
        """No hash above it can be among the smallest."""
        return self.hashes[-1] if len(self.hashes) == self.size else np.uint64(2**64 - 1)

    def add(self, hashes: np.ndarray) -> None:
        """Add hashes, uint64 [n]."""
        small = hashes[hashes <= self.threshold]
        if len(small):
            self.hashes = np.unique(np.concatenate([self.hashes, small]))[: self.size]

    def merge(self, other: BottomK) -> None:
        """Add all that `other`, of the same size, was given."""
        self.add(other.hashes)

    def count(self) -> int:
        """Distinct hashes added: exact below `size`, otherwise with a standard error of 1 / sqrt(size)."""
        if len(self.hashes) < self.size:
            return len(self.hashes)
        return round((self.size - 1) / ((float(self.hashes[-1]) + 1) / _SPACE))

    def to_text(self) -> str:
        """The hashes as base64 of little-endian numbers."""
        return base64.b64encode(self.hashes.astype("<u8").tobytes()).decode()

    @classmethod
    def from_text(cls, text: str, size: int) -> BottomK:
        """What `to_text` gave. Raises ValueError for anything else."""
        sketch = cls(size)
        try:
            hashes = np.frombuffer(base64.b64decode(text, validate=True), "<u8").astype(np.uint64)
        except binascii.Error as error:
            raise ValueError(str(error)) from error
        if len(hashes) > size or (hashes[1:] <= hashes[:-1]).any():
            raise ValueError(f"not {size:,} ascending numbers at most")
        sketch.hashes = hashes
        return sketch


@dataclass(frozen=True)
class Overlap:
    """How many of the smaller of two sets are in the larger one: a share, 0 to 1, and its standard error."""

    share: float
    error: float


def estimate_overlap(one: BottomK, count_one: int, other: BottomK, count_other: int) -> Overlap | None:
    """The overlap of two sets of known sizes from their sketches; exact if both are below the sketches' size.

    None if one of them is empty. Of the smallest hashes of both together, those that are in both tell the Jaccard
    index; the sizes do the rest.
    """
    smaller = min(count_one, count_other)
    if not smaller:
        return None
    if len(one.hashes) < one.size and len(other.hashes) < other.size:
        return Overlap(int(np.isin(one.hashes, other.hashes).sum()) / smaller, 0.0)
    sampled = np.union1d(one.hashes, other.hashes)[: min(one.size, other.size)]
    jaccard = float((np.isin(sampled, one.hashes) & np.isin(sampled, other.hashes)).mean())
    scale = (count_one + count_other) / smaller
    error = float(np.sqrt(jaccard * (1 - jaccard) / len(sampled))) * scale / (1 + jaccard) ** 2
    return Overlap(min(1.0, scale * jaccard / (1 + jaccard)), error)
