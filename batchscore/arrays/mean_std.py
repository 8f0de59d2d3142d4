"""Mean and standard deviation of numbers that come in parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class MeanStd:
    """Count, minimum, mean, maximum and standard deviation of all numbers that were added, in any split.

    Mean and deviation are float64, and agree with those of one pass to the last few bits. Minimum and maximum are
    exact, whole numbers if the numbers are; infinite, the wrong way round, before the first number.
    """

    def __init__(self) -> None:
        self.count, self.mean = 0, 0.0
        self.minimum: int | float = math.inf
        self.maximum: int | float = -math.inf
        self._squares = 0.0

    @property
    def std(self) -> float:
        """The standard deviation of the numbers as a population; 0.0 before the first."""
        return math.sqrt(self._squares / self.count) if self.count else 0.0

    def add(self, numbers: np.ndarray[Any, Any]) -> None:
        """Add numbers, [n], at least one, all finite."""
        values = numbers.astype(np.float64)
        mean = float(values.mean())
        lowest, highest = numbers.min().item(), numbers.max().item()
        values -= mean
        self._join(len(values), mean, float(np.square(values, out=values).sum()), lowest, highest)

    def merge(self, other: MeanStd) -> None:
        """Add what `other` was given."""
        if other.count:
            self._join(other.count, other.mean, other._squares, other.minimum, other.maximum)

    def _join(self, count: int, mean: float, squares: float, lowest: float, highest: float) -> None:
        total, shift = self.count + count, mean - self.mean
        self._squares += squares + shift**2 * self.count * count / total
        self.mean += shift * count / total
        self.count = total
        self.minimum, self.maximum = min(self.minimum, lowest), max(self.maximum, highest)
