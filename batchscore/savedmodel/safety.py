"""A model is a program. This finds what it would do beyond computing, from its bytes, before anything is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from batchscore.errors import ModelError
from batchscore.savedmodel.graph import MAIN, Body, Graph, GraphTooLargeError, attribute, data_inputs, node_name
from batchscore.savedmodel.proto import SavedModelProto
from batchscore.savedmodel.risky_ops import CHECKPOINT_OPS, RISKY_OPS, TEXT_TABLE_OPS, computing_ops

ASSETS = "assets"
INIT_OP = "__saved_model_init_op"

_INIT_COLLECTIONS = frozenset({"saved_model_main_op", "legacy_init_op"})
_LISTED = 8


@dataclass(frozen=True)
class Hazard:
    """Something that a model would do beyond computing: the op (or asset), what it does, and where it stands."""

    op: str
    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.op} {self.what}: {self.where}"


def find_hazards(meta_graphs: Sequence[Any], model: Path) -> list[Hazard]:
    """What is found in the graphs (messages of `proto`), their function libraries and their assets.

    `model` is the SavedModel's directory. Each hazard is listed once, in the order of the file. An op is evaluated
    by its name, four also by their attributes; checkpoint ops are harmless if only saving and restoring reaches
    them, text tables where their file is an asset inside the model.
    """
    found: list[Hazard] = []
    for meta_graph in meta_graphs:
        found += _asset_hazards(meta_graph, model)
        found += _op_hazards(meta_graph)
    return list(dict.fromkeys(found))


def find_graph_hazards(graph_def: bytes) -> list[Hazard]:
    """The same for a serialized GraphDef alone, which has no assets and nothing to save: a plan's.

    Raises DecodeError if the bytes are no GraphDef.
    """
    meta_graph = SavedModelProto().meta_graphs.add()
    meta_graph.graph_def.MergeFromString(graph_def)
    return list(dict.fromkeys(_op_hazards(meta_graph)))


def require_trusted(model: Path, hazards: Sequence[Hazard], *, trust_model: bool) -> None:
    """Raise ModelError (E-MODEL-UNTRUSTED) if there are hazards and no one has said that they are wanted."""
    if trust_model or not hazards:
        return
    ops = Counter(hazard.op for hazard in hazards)
    more = len(hazards) - _LISTED
    raise ModelError(
        "E-MODEL-UNTRUSTED",
        "the model would do more than compute",
        where=model,
        found=", ".join(f"{op} ({count}x)" if count > 1 else op for op, count in ops.items()),
        expected="a graph that only computes, and assets inside the model's directory",
        details=[*map(str, hazards[:_LISTED]), *([f"and {more} more"] if more > 0 else [])],
        next_step="export the model without them, or, if you know who made it and why they are there, "
        "run with --trust-model",
    )


def is_inside(filename: str, model: Path) -> bool:
    """Whether the asset `filename` lies in the model's directory, symbolic links followed."""
    pure = PurePosixPath(filename)
    if not filename or pure.is_absolute() or ".." in pure.parts or "\\" in filename or "\0" in filename:
        return False
    root = model.resolve()
    return (root / ASSETS / pure).resolve().is_relative_to(root)


def _asset_hazards(meta_graph: Any, model: Path) -> Iterator[Hazard]:
    for asset in meta_graph.asset_file_def:
        if not is_inside(asset.filename, model):
            yield Hazard("asset", "leaves the model's directory", repr(asset.filename))


def _op_hazards(meta_graph: Any) -> Iterator[Hazard]:
    graph = Graph(meta_graph)
    checkpointing = _CheckpointReach(graph, meta_graph)
    assets = {node_name(asset.tensor_info.name) for asset in meta_graph.asset_file_def}
    for body, node in graph.nodes():
        what = None
        if node.op in CHECKPOINT_OPS:
            what = None if checkpointing.owns(body, node) else f"{CHECKPOINT_OPS[node.op]} while it scores or loads"
        elif node.op in TEXT_TABLE_OPS:
            what = None if _reads_asset(graph, body, node, assets) else "reads a file that is no asset of the model"
        elif node.op in RISKY_OPS:
            what = RISKY_OPS[node.op]
        elif node.op in computing_ops():
            what = _attribute_hazard(node)
        elif node.op not in graph.bodies:
            what = "is unknown: a custom op, or one that is not known to be harmless"
        if what is not None:
            place = f"function {body.name}" if body.name != MAIN else "the main graph"
            yield Hazard(node.op, what, f"node {node.name} in {place}")


def _attribute_hazard(node: Any) -> str | None:
    """What an op that is mostly harmless does with the attributes of this node."""
    if node.op == "PrintV2":
        stream = attribute(node, "output_stream").s
        return f"writes to {stream.decode(errors='replace')}" if stream.startswith(b"file:") else None
    if node.op == "FixedUnigramCandidateSampler":
        return "reads files" if attribute(node, "vocab_file").s else None
    if node.op in ("DecodeProtoV2", "EncodeProto"):
        described = attribute(node, "descriptor_source").s
        return None if described.startswith((b"local://", b"bytes://")) or not described else "reads files"
    return None


def _reads_asset(graph: Graph, body: Body, node: Any, assets: set[str]) -> bool:
    """Whether the file of a text table is, on every way to it, an asset that the loader names."""
    inputs = data_inputs(node)
    if len(inputs) < 2:  # noqa: PLR2004 - table and file name
        return False
    try:
        sources = graph.sources(body, inputs[1])
    except GraphTooLargeError:
        return False
    return bool(sources) and all(source.body == MAIN and source.name in assets for source in sources)


class _CheckpointReach:
    """Which nodes belong to saving and restoring the variables, and to nothing else."""

    def __init__(self, graph: Graph, meta_graph: Any) -> None:
        saver = meta_graph.saver_def
        self._saver = graph.reachable({node_name(saver.save_tensor_name), node_name(saver.restore_op_name)})
        others = {
            node_name(output.value.name) for item in meta_graph.signature_def for output in item.value.outputs
        }
        for item in meta_graph.collection_def:
            if item.key in _INIT_COLLECTIONS:
                others |= {node_name(name) for name in item.value.node_list.value}
        self._others = graph.reachable(others)

    def owns(self, body: Body, node: Any) -> bool:
        if body.name == MAIN:
            return node.name in self._saver[0] and node.name not in self._others[0]
        return body.name in self._saver[1] and body.name not in self._others[1]
