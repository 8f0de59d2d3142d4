"""What the inputs of a signature take: one value per pair, or what no column of pairs can give."""

from __future__ import annotations

from pathlib import Path

from batchscore.errors import ModelError
from batchscore.savedmodel.formats import choose_meta_graph
from batchscore.savedmodel.graph import Graph, GraphTooLargeError, data_inputs, node_name
from batchscore.savedmodel.saved_model import Signature, TensorSpec, is_column, read_meta_graphs

_PARSERS = (
    "ParseExample",
    "ParseExampleV2",
    "ParseSingleExample",
    "ParseSequenceExample",
    "ParseSequenceExampleV2",
)


def require_columns(signature: Signature, path: Path) -> None:
    """Raise ModelError (E-MODEL-SIGNATURE) if an input takes no value of a pair: a list, a scalar, a tf.Example.

    `path` is the SavedModel; only a signature of one input of text costs a look at its graph.
    """
    _require_no_examples(signature, path)
    others = [spec for spec in signature.inputs.values() if not is_column(spec)]
    if not others:
        return
    advice = []
    if any(not spec.shape for spec in others):
        advice.append("a setting of the whole call belongs inside the model")
    if any(spec.shape and is_float(spec) for spec in others):
        advice.append("a vector is looked up inside, by an id")
    if any(spec.shape and not is_float(spec) for spec in others):
        advice.append(
            "a history or tags come as one text (a|b|c) that is split inside; a listwise model, which scores whole "
            "lists of candidates at once, cannot be fed"
        )
    raise ModelError(
        "E-MODEL-SIGNATURE",
        f"signature {signature.name!r} does not score pairs: an input does not take one value per pair",
        where=path,
        found="; ".join(f"input {spec} takes {describe_values(spec)}" for spec in others),
        expected="inputs of shape [n] or [n, 1], one value per pair",
        next_step=f"export a signature with such inputs: {'; '.join(advice)}",
    )


def describe_values(tensor: TensorSpec) -> str:
    """What an input that is no column takes, in words: how many values for each row."""
    shape = tensor.shape
    if not shape:
        return "one value for a whole call"
    sizes = " x ".join("L" if size is None else str(size) for size in shape[1:])
    if is_float(tensor):
        return f"a vector of {sizes} numbers per row"
    return f"a list of {sizes} values per row"


def describe_list_problem(tensor: TensorSpec) -> str:
    """Why an input `[n, L]` takes no column that is a feature."""
    return (
        f"input {tensor} takes a list of any length, and a column has one value per pair: text such as a|b|c would "
        "be a list of one; export the model with an input [n] that it splits itself"
    )


def is_float(tensor: TensorSpec) -> bool:
    """Whether the tensor holds floats of any width."""
    return tensor.dtype.startswith(("float", "bfloat"))


def _require_no_examples(signature: Signature, path: Path) -> None:
    if len(signature.inputs) != 1:
        return
    (spec,) = signature.inputs.values()
    if spec.dtype == "string" and _parses_examples(spec, path):
        raise ModelError(
            "E-MODEL-SIGNATURE",
            f"signature {signature.name!r} takes serialized tf.Examples, not columns",
            where=path,
            found=f"input {spec} feeds ParseExample",
            expected="an input for each column, of shape [n] or [n, 1]",
            next_step="choose a signature of raw columns with --signature (`batchscore inspect` lists them), or "
            "export one: features in, without tf.io.parse_example",
        )


def _parses_examples(spec: TensorSpec, path: Path) -> bool:
    graph = Graph(choose_meta_graph(read_meta_graphs(path), path))
    try:
        return any(
            source.name == node_name(spec.tensor)
            for body, node in graph.nodes()
            if node.op in _PARSERS
            for source in graph.sources(body, data_inputs(node)[0])
        )
    except GraphTooLargeError:
        return False
