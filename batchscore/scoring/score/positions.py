"""The self-test of the order law: the positions of a call at which a row gets the bits that it gets elsewhere.

TensorFlow's float32 results depend on the shape of a call and, at some shapes, on a row's position in it. Calls of
one shape are compared with themselves: a few rows in all positions, then side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from batchscore.engine.probes import EXPORT_FOR_SERVING
from batchscore.errors import ModelError

TESTED_ROWS = 8

RunAll = Callable[[Callable[[int], Any], list[int]], Iterable[Any]]
"""`map`, or that of a pool of threads."""


def find_positions(
    call: Callable[[np.ndarray], np.ndarray],
    rows: int,
    call_rows: int,
    *,
    what: str,
    run_all: RunAll = map,
    suspects: Iterable[object] = (),
) -> np.ndarray:
    """The positions of a call that are bit-equal to the majority, int64, ascending.

    `call` computes, for `call_rows` row numbers below `rows`, the bytes of each row's result (see `row_bytes`). A
    row on which the model fails is left out, and if it fails on every one of eight, its error is raised: nothing
    is gained by isolating millions. Raises ModelError (E-MODEL-RUN), which names the `suspects`, where fewer than
    half of the positions agree.
    """
    usable = np.ones(call_rows, bool)
    tested: list[int] = []
    majority: list[np.ndarray] = []
    failure: ModelError | None = None

    def call_with(row: int) -> np.ndarray | ModelError:
        try:
            return call(np.full(call_rows, row))
        except ModelError as error:
            return error  # a row that the model refuses is found and named if it is computed

    chosen = np.linspace(0, rows - 1, min(TESTED_ROWS, rows), dtype=np.int64).tolist()
    for row, found in zip(chosen, run_all(call_with, chosen), strict=True):
        if isinstance(found, ModelError):
            failure = found
            continue
        tested.append(row)
        majority.append(_majority(found))
        usable &= (found == majority[-1]).all(axis=1)
    if failure is not None and not tested and rows >= TESTED_ROWS:
        raise failure
    if tested:
        order = np.resize(np.arange(len(tested)), call_rows)
        mixed = call(np.array(tested)[order])
        usable &= (mixed == np.array(majority)[order]).all(axis=1)
    if usable.sum() * 2 < call_rows:
        raise ModelError(
            "E-MODEL-RUN",
            f"the model gives one {what} different scores within one call",
            found=f"only {int(usable.sum()):,} of {call_rows:,} positions of a call give the same pair the same "
            "score",
            expected=f"a score that depends on the {what} alone",
            details=[*map(str, suspects)],
            next_step=EXPORT_FOR_SERVING,
        )
    return np.flatnonzero(usable)


def _majority(found: np.ndarray) -> np.ndarray:
    """The row that most rows are equal to; nearly always it is the first."""
    if (found == found[0]).all(axis=1).sum() * 2 > len(found):
        first: np.ndarray = found[0]
        return first
    distinct, counts = np.unique(found, axis=0, return_counts=True)
    most: np.ndarray = distinct[np.argmax(counts)]
    return most


def row_bytes(*columns: np.ndarray) -> np.ndarray:
    """The bytes of each row of `columns` (arrays [rows, ...] of numbers), uint8 [rows, n]."""
    return np.concatenate(
        [np.ascontiguousarray(column).view(np.uint8).reshape(len(column), -1) for column in columns], axis=1
    )
