"""The figures that training is judged by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rmse:
    """Root mean squared error on the training rows and on the held-out rows, in units of the rating."""

    training: float
    held_out: float


@dataclass(frozen=True)
class Epoch:
    """The errors of the model at the end of an epoch (from 1)."""

    epoch: int
    rmse: Rmse
