"""How sure a figure is: percentile intervals from users drawn again and again, with replacement."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_GROUPS = 10_000


@dataclass(frozen=True)
class Measure:
    """A figure and its 95 % interval. `value` is None if it is not defined, the bounds also where unknown."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Resampled:
    """Ratios `[ratios]` of all units, and of each resample `[replicates, ratios]`; NaN if a divisor is 0."""

    values: np.ndarray
    samples: np.ndarray

    def measure(self, ratio: int, transform: Callable[[np.ndarray], np.ndarray] | None = None) -> Measure:
        """The ratio of this number, or what `transform` (elementwise) makes of it."""
        both = np.append(self.samples[:, ratio], self.values[ratio])
        if transform is not None:
            both = transform(both)
        return make_measure(float(both[-1]), both[:-1])


def make_measure(value: float, samples: np.ndarray) -> Measure:
    """`value` with the percentile interval of `samples`; without one if there are none."""
    if not math.isfinite(value):
        return Measure(None)
    samples = samples[np.isfinite(samples)]
    if not len(samples):
        return Measure(float(value))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    return Measure(float(value), float(low), float(high))


def resample(
    numerators: np.ndarray, denominators: np.ndarray, *, replicates: int = 1000, seed: int = 42
) -> Resampled:
    """Ratios of sums over units (users), and the same for `replicates` draws of as many units with replacement.

    Both arrays are float64 `[units, ratios]`: ratio i is sum(numerators[:, i]) / sum(denominators[:, i]). A mean
    over users has ones below, and 0 on both sides where a user has no value; a mean over rows has each user's sum
    above and number of rows below, so that rows of one user stay together. One draw serves all ratios.

    More than 10,000 units are dealt at random into 10,000 groups of about equal size, and groups are drawn: the
    intervals have the same width, and the cost no longer depends on the number of users. The same seed gives the
    same draws.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        values = numerators.sum(axis=0) / denominators.sum(axis=0)
    random = np.random.default_rng(seed)
    units = np.flatnonzero((denominators != 0).any(axis=1))
    groups = random.permutation(len(units)) % _GROUPS if len(units) > _GROUPS else np.arange(len(units))
    both = np.stack(
        [np.bincount(groups, weights=column[units]) for part in (numerators, denominators) for column in part.T],
        axis=1,
    )
    sums = np.zeros((replicates, both.shape[1]))
    if len(both):
        for replicate in range(replicates):
            drawn = np.bincount(random.integers(0, len(both), len(both)), minlength=len(both))
            sums[replicate] = drawn @ both
    ratios = numerators.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return Resampled(values, sums[:, :ratios] / sums[:, ratios:])
