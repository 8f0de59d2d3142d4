"""Random numbers that are the same bits on every machine and under every numpy version.

numpy keeps the raw output of its bit generators stable, but not its distributions, and a math library may round
`exp` or a dot product differently from one CPU to the next. So everything here is made of raw bits, additions and
divisions, which IEEE 754 rounds one way only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TERMS = 12
"""Uniform numbers added up for a bell-shaped one: twelve have a variance of exactly 1."""


class Draws:
    """An endless sequence of random numbers, fixed by its seed."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.PCG64(seed)

    def bits(self, count: int) -> NDArray[np.uint64]:
        """`count` numbers of 64 random bits, uint64 `[count]`."""
        raw: NDArray[np.uint64] = self._generator.random_raw(count)
        return raw

    def uniform(self, *shape: int) -> NDArray[np.float64]:
        """Numbers spread evenly over [0, 1), float64 of `shape`, multiples of 2**-53."""
        raw = self.bits(int(np.prod(shape))) >> np.uint64(11)
        return (raw.astype(np.float64) * 2.0**-53).reshape(shape)

    def below(self, limit: int, *shape: int) -> NDArray[np.int64]:
        """Whole numbers spread evenly over [0, limit), int64 of `shape`. `limit` is at most 2**31."""
        return (self.uniform(*shape) * limit).astype(np.int64)

    def bell(self, *shape: int) -> NDArray[np.float64]:
        """Bell-shaped numbers of mean 0 and variance 1 within [-6, 6], float64 of `shape`."""
        total = self.uniform(*shape)
        for _ in range(_TERMS - 1):
            total = total + self.uniform(*shape)
        return total - _TERMS / 2
