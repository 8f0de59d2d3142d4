"""Ops that can give one row another score from call to call: clocks, random numbers, state; told by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from batchscore.errors import ModelError
from batchscore.savedmodel.graph import MAIN, Graph
from batchscore.savedmodel.safety import Hazard

CLOCK = "reads the clock"
_WRITES = "changes what the model remembers"

_FAMILIES: dict[str, str] = {
    CLOCK: "Timestamp",
    "draws random numbers": (
        "AllCandidateSampler AnonymousRandomSeedGenerator FixedUnigramCandidateSampler "
        "LearnedUnigramCandidateSampler LogUniformCandidateSampler Multinomial NonDeterministicInts "
        "ParameterizedTruncatedNormal RandomCrop RandomGamma RandomPoisson RandomPoissonV2 RandomShuffle "
        "RandomStandardNormal RandomUniform RandomUniformInt RngReadAndSkip RngSkip StatefulRandomBinomial "
        "StatefulStandardNormal StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform "
        "StatefulUniformFullInt StatefulUniformInt ThreadUnsafeUnigramCandidateSampler TruncatedNormal "
        "UniformCandidateSampler"
    ),
    _WRITES: (
        "Assign AssignAdd AssignSub AssignVariableOp AssignAddVariableOp AssignSubVariableOp CountUpTo "
        "ResourceCountUpTo ResourceScatterAdd ResourceScatterDiv ResourceScatterMax ResourceScatterMin "
        "ResourceScatterMul ResourceScatterNdAdd ResourceScatterNdSub ResourceScatterNdUpdate ResourceScatterSub "
        "ResourceScatterUpdate ResourceStridedSliceAssign ScatterAdd ScatterUpdate LookupTableInsert "
        "LookupTableInsertV2 LookupTableRemoveV2 MutableHashTableInsert IteratorGetNext "
        "QueueDequeueV2 QueueDequeueManyV2 StackPopV2"
    ),
}

UNREPEATABLE_OPS: dict[str, str] = {op: what for what, ops in _FAMILIES.items() for op in ops.split()}
"""What makes a value another one from call to call, by op."""

_WRITING = frozenset(_FAMILIES[_WRITES].split())


def find_unrepeatable(meta_graph: Any, tensors: Iterable[str]) -> dict[str, tuple[Hazard, ...]]:
    """For each of `tensors` of the main graph the ops on which its value depends; those without are left out.

    An op that only stands beside it, in the training function or ordered before it, does not count, unless it
    changes a variable: what it writes comes back by another op. Where the graph has no such op it costs one look at
    the names.
    """
    graph_def = meta_graph.graph_def
    bodies = [graph_def.node, *(function.node for function in graph_def.library.function)]
    if not any(node.op in UNREPEATABLE_OPS for nodes in bodies for node in nodes):
        return {}
    graph = Graph(meta_graph)
    found = {tensor: tuple(dict.fromkeys(_of_output(graph, tensor))) for tensor in tensors}
    return {tensor: hazards for tensor, hazards in found.items() if hazards}


def require_no_clock(path: Path, score: str, hazards: Iterable[Hazard]) -> None:
    """Raise ModelError (E-MODEL-PROBES) if the score is computed from the clock: no two nights agree on a pair.

    What else can differ from call to call is for the probe rows to show: a dropout may be there and switched off.
    """
    clocks = [str(hazard) for hazard in hazards if hazard.what == CLOCK]
    if clocks:
        raise ModelError(
            "E-MODEL-PROBES",
            f"the score {score!r} depends on the clock: a pair has a different score at another time",
            where=path,
            found="; ".join(clocks),
            expected="a score that depends on the pair alone",
            next_step="export a signature that takes the time as an input: a column of the pairs, or a constant "
            "of the night",
        )


def _of_output(graph: Graph, tensor: str) -> Iterator[Hazard]:
    computing = graph.computing(tensor)
    functions = {body.name: body for body, _ in computing if body.name != MAIN}
    writing = [(body, node) for body in functions.values() for node in body.nodes.values() if node.op in _WRITING]
    for body, node in [*computing, *writing]:
        if node.op in UNREPEATABLE_OPS:
            place = f"function {body.name}" if body.name != MAIN else "the main graph"
            yield Hazard(node.op, UNREPEATABLE_OPS[node.op], f"node {node.name} in {place}")
