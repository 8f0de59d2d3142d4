"""What is known about the tensors of a flat graph: shapes as functions of the batch size, and constant values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow.core.framework import graph_pb2, types_pb2
from tensorflow.python.client import session
from tensorflow.python.framework import importer, op_def_registry, ops

from batchscore.planning.graph.inline import FlatGraph

_SIZES = (5, 7, 65_537)
"""Batch sizes that shapes are inferred for: what is linear through all three is taken as a + b * batch."""
_MAX_ELEMENTS = 64
_SHAPE_OPS = frozenset({"Shape", "Size", "Rank"})
_LINEAR_OPS = _SHAPE_OPS | {
    "AddV2", "Add", "Cast", "ConcatV2", "Const", "ExpandDims", "GatherV2", "Identity", "Mul", "Pack", "Prod",
    "Reshape", "Slice", "Split", "SplitV", "Squeeze", "StridedSlice", "Sub", "Sum", "Unpack", "FloorDiv",
}  # fmt: skip
"""Ops through which a number of rows stays linear, or is seen not to be."""


@dataclass(frozen=True)
class Dim:
    """One dimension: `fixed + per_row * batch`."""

    fixed: int
    per_row: int = 0

    def at(self, batch: int) -> int:
        """The dimension at a batch size."""
        return self.fixed + self.per_row * batch


Shape = tuple[Dim | None, ...]
"""Dimensions of a tensor; None is one that depends on values (the longest text of a batch)."""


@dataclass(frozen=True)
class Linear:
    """An integer tensor whose value is `fixed + per_row * batch`, element by element."""

    fixed: np.ndarray
    per_row: np.ndarray

    def at(self, batch: int) -> np.ndarray:
        """The value at a batch size."""
        value: np.ndarray = (self.fixed + self.per_row * batch).astype(self.fixed.dtype)
        return value


@dataclass(frozen=True)
class Known:
    """Shapes (None: not even the rank), dtypes (DataType numbers), and small values that no input decides."""

    shapes: dict[str, Shape | None]
    dtypes: dict[str, int]
    values: dict[str, Linear]

    def constant(self, tensor: str) -> np.ndarray | None:
        """The value of `tensor` if it is small and the same for every batch, otherwise None."""
        value = self.values.get(tensor)
        return None if value is None or value.per_row.any() else value.fixed


def infer(graph: FlatGraph, inputs: Mapping[str, int]) -> Known:
    """Import `graph` with every input (placeholder name -> rank, 1 or 2) at three batch sizes and compare.

    Nothing of the model is run: only shape arithmetic on constants.
    """
    seen = [_at(graph, inputs, batch) for batch in _SIZES]
    shapes: dict[str, Shape | None] = {}
    for tensor, shape in seen[0][0].items():
        others = [shape, *(shapes_[tensor] for shapes_, _, _ in seen[1:])]
        if any(other is None or len(other) != len(others[0] or ()) for other in others):
            shapes[tensor] = None
        else:
            shapes[tensor] = tuple(_dim(dims) for dims in zip(*others, strict=True))
    values = {}
    for tensor in seen[0][2].keys() & seen[1][2].keys() & seen[2][2].keys():
        linear = _linear([values_[tensor] for _, _, values_ in seen])
        if linear is not None:
            values[tensor] = linear
    return Known(shapes, seen[0][1], values)


def _dim(sizes: tuple[int | None, ...]) -> Dim | None:
    if None in sizes:
        return None
    linear = _linear([np.array(size, np.int64) for size in sizes])
    return None if linear is None else Dim(int(linear.fixed), int(linear.per_row))


def _linear(values: list[np.ndarray]) -> Linear | None:
    first, second, third = values
    if not (first.shape == second.shape == third.shape):
        return None
    if not np.issubdtype(first.dtype, np.integer):
        same = all(np.array_equal(first, value, equal_nan=first.dtype.kind == "f") for value in values)
        return Linear(first, np.zeros(first.shape, np.int64)) if same else None
    low, middle, high = _SIZES
    wide = [value.astype(np.int64) for value in values]
    per_row = (wide[1] - wide[0]) // (middle - low)
    fixed = wide[0] - per_row * low
    if any(
        not np.array_equal(fixed + per_row * size, value)
        for size, value in zip((low, middle, high), wide, strict=True)
    ):
        return None
    return Linear(fixed.astype(first.dtype), per_row)


def _at(
    graph: FlatGraph, inputs: Mapping[str, int], batch: int
) -> tuple[dict[str, Any], dict[str, int], dict[str, Any]]:
    imported = ops.Graph()
    definition = graph_pb2.GraphDef(versions=graph.versions)
    for node in graph.nodes.values():
        copy = definition.node.add()
        copy.CopyFrom(node)
        kept = [name for name in node.input if not name.startswith("^")]
        del copy.input[:]
        copy.input.extend(kept)
        if node.op == "LookupTableFindV2":
            _shape_like_keys(definition, copy)
        if node.name in inputs:
            shape = copy.attr["shape"].shape
            shape.Clear()
            for size in (batch, 1)[: inputs[node.name]]:
                shape.dim.add(size=size)
    definition.library.function.extend(graph.called_functions())
    with imported.as_default():
        importer.import_graph_def(definition, name="")
    shapes: dict[str, Any] = {}
    dtypes: dict[str, int] = {}
    decided: dict[str, bool] = {}
    for name in graph.nodes:
        operation = imported.get_operation_by_name(name)
        for output in operation.outputs:
            shapes[output.name] = None if output.shape.rank is None else tuple(output.shape.as_list())
            dtypes[output.name] = output.dtype.as_datatype_enum
        decided[name] = _is_decided(operation, decided)
    return shapes, dtypes, _evaluate(imported, [name for name in graph.nodes if decided[name]])


def _shape_like_keys(definition: Any, lookup: Any) -> None:
    """Put an op of the same shape in a look-up's place: without its table TensorFlow does not know the shape."""
    _, keys, default = lookup.input
    dtype = lookup.attr["Tout"].type
    shape = definition.node.add(name=f"{lookup.name}/keys_shape", op="Shape", input=[keys])
    shape.attr["T"].CopyFrom(lookup.attr["Tin"])
    shape.attr["out_type"].type = types_pb2.DT_INT32
    name = lookup.name
    lookup.Clear()
    lookup.name, lookup.op = name, "Fill"
    lookup.input.extend([shape.name, default])
    lookup.attr["T"].type = dtype
    lookup.attr["index_type"].type = types_pb2.DT_INT32


def _is_decided(operation: Any, decided: Mapping[str, bool]) -> bool:
    """Whether shapes alone decide the outputs of `operation`."""
    if operation.type in _SHAPE_OPS and operation.inputs[0].shape.is_fully_defined():
        return True
    definition = op_def_registry.get(operation.type)
    if operation.type not in _LINEAR_OPS or definition is None or definition.is_stateful:
        return False
    return all(decided[source.op.name] for source in operation.inputs)


def _evaluate(graph: Any, names: list[str]) -> dict[str, np.ndarray]:
    fetches = {
        output.name: output
        for name in names
        for output in graph.get_operation_by_name(name).outputs
        if output.shape.is_fully_defined()
        and output.shape.num_elements() <= _MAX_ELEMENTS
        and output.dtype.base_dtype.as_numpy_dtype is not object
    }
    with session.Session(graph=graph) as running:
        # the value of a Shape or Size op follows from the static shape of what it measures, which is never run
        measured = {
            output: _measure(operation)
            for name in names
            if (operation := graph.get_operation_by_name(name)).type in _SHAPE_OPS
            for output in operation.outputs
        }
        found = running.run(fetches, measured)
    return {name: np.asarray(value) for name, value in found.items()}


def _measure(operation: Any) -> np.ndarray:
    shape = operation.inputs[0].shape
    dtype = operation.outputs[0].dtype.as_numpy_dtype
    if operation.type == "Shape":
        return np.array(shape.as_list(), dtype)
    return np.array(shape.num_elements() if operation.type == "Size" else shape.rank, dtype)
