"""How far two scores of the same pair may lie apart."""

from __future__ import annotations

import numpy as np

_SHARE_OF_SPREAD = 1e-4
_ULPS = 8


def score_tolerance(scores: np.ndarray) -> float:
    """The greatest absolute difference at which scores still count as the same.

    It is 1e-4 of the standard deviation of the finite `scores`, at least 8 float32 ulps of the largest of them;
    0 where none is finite. Never a share of one score: around zero every difference would be too large.
    """
    finite = np.asarray(scores, np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return 0.0
    ulp = float(np.spacing(np.float32(np.abs(finite).max())))
    return max(_SHARE_OF_SPREAD * float(finite.std()), _ULPS * ulp)
