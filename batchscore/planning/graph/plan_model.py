"""READ FIRST: how a signature becomes a plan.

    inline      the signature as one flat graph
    facts       shapes as functions of the batch size, constants
    rowwise     which tensors are row-wise, by the rules of `rules`
    sides       which inputs belong together
    factorise   what mixes the sides, rewritten so that most of it does not
    assemble    parts and head as nodes, by `emit`; the head compiled, by `head`

Only `saved_model.pb` is read: no variable is loaded, so time and memory do not depend on the size of the model.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchscore.planning.plan import NotPlanned, Plan


def plan_model(
    path: Path,
    signature: str,
    score_output: str,
    *,
    user_inputs: Iterable[str],
    candidate_inputs: Iterable[str],
) -> Plan | NotPlanned:
    """A plan for output `score_output` of `signature` of the SavedModel directory `path`.

    `user_inputs` and `candidate_inputs` are signature inputs known to belong to the user and to the candidate; all
    others are placed by the graph. NotPlanned, with the reason, where the score is not proven to be row-wise, if
    the model's state would change, or where nothing could be computed less often than once per pair.
    """
    import tensorflow as tf  # noqa: PLC0415 - importing this module must not load TensorFlow

    from batchscore.planning.graph.assemble import assemble  # noqa: PLC0415
    from batchscore.planning.graph.saved import CannotPlanError, read_signature  # noqa: PLC0415

    try:
        with _deep_recursion():
            given = read_signature(path, signature, score_output)
            return assemble(given, frozenset(user_inputs), frozenset(candidate_inputs))
    except CannotPlanError as error:
        return NotPlanned(signature, score_output, str(error), tf.__version__)


@contextmanager
def _deep_recursion() -> Iterator[Any]:
    """A graph is as deep as its model has layers; walking it needs a few Python frames a node."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 100_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
