"""A signature of a SavedModel, read from its bytes for planning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

from batchscore.savedmodel.model_files import MAX_MODEL_FILE_BYTES
from batchscore.system.regular_files import read_regular


class CannotPlanError(Exception):
    """There is no plan; the text is the reason, for `NotPlanned`."""


@dataclass(frozen=True)
class Input:
    """An input of the signature: its placeholder in the graph and its rank, 1 for [n] and 2 for [n, 1]."""

    name: str
    placeholder: str
    rank: int


@dataclass(frozen=True)
class Given:
    """What is planned: output tensor `score` of `graph`."""

    signature: str
    score_output: str
    graph: Any
    inputs: Mapping[str, Input]
    """By placeholder."""
    score: str


def read_signature(path: Path, signature: str, score_output: str) -> Given:
    """Read a signature of the SavedModel directory `path`, in which `read_saved_model` has found both of them."""
    saved_model = saved_model_pb2.SavedModel.FromString(read_regular(path / "saved_model.pb", MAX_MODEL_FILE_BYTES))
    serving = next(meta for meta in saved_model.meta_graphs if list(meta.meta_info_def.tags) == ["serve"])
    definition = serving.signature_def[signature]
    inputs = [_input(name, info) for name, info in sorted(definition.inputs.items())]
    return Given(
        signature,
        score_output,
        serving.graph_def,
        {item.placeholder: item for item in inputs},
        definition.outputs[score_output].name,
    )


def _input(name: str, info: Any) -> Input:
    placeholder, index = info.name.split(":")
    sizes = [dim.size for dim in info.tensor_shape.dim]
    column = len(sizes) == 2 and sizes[1] in (1, -1)  # noqa: PLR2004
    if info.tensor_shape.unknown_rank or index != "0" or not (len(sizes) == 1 or column) or sizes[0] != -1:
        raise CannotPlanError(f"input {name} is not of shape [n] or [n, 1]")
    return Input(name, placeholder, len(sizes))
