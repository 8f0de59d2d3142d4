"""How far two scores of the same pair may lie apart."""

from __future__ import annotations

from typing import Any

import numpy as np

_SHARE_OF_SPREAD = 1e-4
_ULPS = 8


def score_tolerance(scores: np.ndarray, *, width: type[np.floating[Any]] = np.float32) -> float:
    """The greatest absolute difference at which scores still count as the same.

    It is 1e-4 of the standard deviation of those `scores` that are finite as float32, at least 8 ulps (of the float
    type `width`) of the largest of them; 0 where none is finite. Never a share of one score: around zero every
    difference would be too large.
    """
    finite = np.asarray(scores, np.float64)
    with np.errstate(over="ignore"):
        finite = finite[np.isfinite(finite.astype(np.float32))]
    if finite.size == 0:
        return 0.0
    return tolerance_of(float(finite.std()), float(np.abs(finite).max()), width=width)


def tolerance_of(spread: float, largest: float, *, width: type[np.floating[Any]] = np.float32) -> float:
    """The tolerance of scores of which the standard deviation and the greatest absolute value are known."""
    return max(_SHARE_OF_SPREAD * spread, _ULPS * float(np.spacing(width(largest))))
