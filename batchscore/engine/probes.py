"""Probe rows: does a model give each row a score of its own, and the one that it gave when it was exported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from batchscore.arrays.tolerance import score_tolerance
from batchscore.engine.session import Session
from batchscore.errors import ModelError
from batchscore.savedmodel.card import ModelCard
from batchscore.savedmodel.saved_model import Signature
from batchscore.savedmodel.score import Score

EXPORT_FOR_SERVING = "export the model for serving: no dropout, no random op, no statistics over the batch"
"""The next step if a score depends on more than its row."""

_FILLING_ROWS = 8
_ARROW_TYPES = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "float16": pa.float16(),
    "bfloat16": pa.float32(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    **{
        name: getattr(pa, name)()
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
}


@dataclass(frozen=True)
class ProbeResult:
    """The greatest difference between the scores now and then, and the row that shows it (0-based).

    `worst` is infinite if a score that should be finite is not.
    """

    rows: int
    worst: float
    worst_row: int
    found: float
    expected: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether every score is the same within the tolerance."""
        return self.worst <= self.tolerance


def replay_probes(session: Session, signature: Signature, score: Score, card: ModelCard) -> ProbeResult:
    """Score the probe rows of `card` and compare them with the scores that it remembers.

    `score` is computed from the outputs of `signature`. The tolerance is `score_tolerance` of the remembered
    scores. Raises ModelError: E-MODEL-CARD if the probe rows do not fit the signature, E-MODEL-OUTPUT if the
    model does not give one score per row, E-MODEL-RUN if it fails.
    """
    expected = np.asarray(card.probes.scores, np.float64)
    scores = score_rows(session, signature, score, card.probes.inputs, expected.size).astype(np.float64)
    difference = _difference(scores, expected)
    row = int(difference.argmax())
    return ProbeResult(
        rows=expected.size,
        worst=float(difference[row]),
        worst_row=row,
        found=float(scores[row]),
        expected=float(expected[row]),
        tolerance=score_tolerance(expected),
    )


def require_stable_scores(session: Session, signature: Signature, score: Score, card: ModelCard) -> None:
    """Raise ModelError (E-MODEL-PROBES) if the score of a probe row of `card` depends on more than the row.

    The rows are scored twice as they are. Then each of a few fills a call of as many rows (a signature may fix
    their number), and must get at every place the score that it had beside the others. Tolerance and errors are
    those of `replay_probes`; rows whose score is not finite are for it to decide.
    """
    rows = len(card.probes.scores)

    def score_probes(inputs: Mapping[str, list[Any]]) -> np.ndarray:
        return score_rows(session, signature, score, inputs, rows).astype(np.float64)

    def require_same(how: str, found: np.ndarray, chosen: np.ndarray) -> None:
        difference = _difference(found, scores[chosen])
        difference[~np.isfinite(scores[chosen])] = 0
        worst = int(difference.argmax())
        if difference[worst] > tolerance:
            raise ModelError(
                "E-MODEL-PROBES",
                f"the model gives the same row different scores {how}; it was not published",
                where=f"probe row {chosen[worst]} of {rows}",
                found=f"{found[worst]:.7g} and {scores[chosen[worst]]:.7g}",
                expected=f"a score that depends on the row alone (at most {tolerance:.3g} apart)",
                details=[*map(str, signature.unrepeatable_ops(score.outputs))],
                next_step=EXPORT_FOR_SERVING,
            )

    scores = score_probes(card.probes.inputs)
    tolerance = score_tolerance(scores)
    require_same("from call to call", score_probes(card.probes.inputs), np.arange(rows))
    for row in np.unique(np.linspace(0, rows - 1, _FILLING_ROWS, dtype=np.int64)).tolist():
        repeated = {name: [values[row]] * rows for name, values in card.probes.inputs.items()}
        require_same("beside other rows", score_probes(repeated), np.full(rows, row))


def _difference(scores: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How far apart they are, float64; infinite if a score is not finite."""
    with np.errstate(invalid="ignore"):
        difference: np.ndarray = np.abs(scores - expected)
    difference[~np.isfinite(difference)] = math.inf
    return difference


def score_rows(
    session: Session, signature: Signature, score: Score, inputs: Mapping[str, list[Any]], rows: int
) -> np.ndarray:
    """The scores, [rows], of rows that are given as a list of values for each input of `signature`.

    Raises ModelError like `replay_probes`.
    """
    results = session.run(signature, probe_feeds(signature, inputs, rows), list(score.outputs))
    return score.compute(results, rows)


def probe_feeds(signature: Signature, inputs: Mapping[str, list[Any]], rows: int) -> dict[str, pa.Array]:
    problems = [] if rows else ["there are no probe rows"]
    feeds: dict[str, pa.Array] = {}
    for name, spec in signature.inputs.items():
        values = inputs.get(name)
        if values is None or len(values) != rows:
            problems.append(f"input {name}: {'no' if values is None else len(values)} values for {rows} scores")
        elif spec.dtype not in _ARROW_TYPES:
            problems.append(f"input {name}: {spec.dtype} has no probe values")
        elif None in values:
            problems.append(f"input {name}: a value is null")
        else:
            try:
                feeds[name] = _array(values, spec.dtype)
            except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
                problems.append(f"input {name}: not {spec.dtype} ({error})")
    problems += [f"{name} is no input of the signature" for name in inputs if name not in signature.inputs]
    if problems:
        raise ModelError(
            "E-MODEL-CARD",
            f"the probe rows of the model card do not fit signature {signature.name!r}",
            details=problems,
            next_step="export the model again",
        )
    return feeds


def _array(values: list[object], dtype: str) -> pa.Array:
    if dtype == "float16":
        return pa.array(np.asarray(values, np.float16))
    return pa.array(values, _ARROW_TYPES[dtype])
