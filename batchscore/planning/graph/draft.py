"""The graph while it is being rewritten: nodes, and what is known of every tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow.core.framework import attr_value_pb2, node_def_pb2
from tensorflow.python.framework import tensor_util

from batchscore.planning.graph.facts import Dim, Known, Shape
from batchscore.planning.graph.rowwise import WEIGHT, Fact, Kind


@dataclass
class Draft:
    """Nodes by name, producers first, with facts, shapes, dtypes and known values of their tensors."""

    nodes: dict[str, node_def_pb2.NodeDef]
    facts: dict[str, Fact]
    known: Known

    def node_of(self, tensor: str) -> node_def_pb2.NodeDef:
        """The node that gives `tensor`."""
        return self.nodes[tensor.rsplit(":", 1)[0]]

    def sources(self, node: node_def_pb2.NodeDef) -> list[str]:
        """Data inputs of `node`, as tensors."""
        return [name for name in node.input if not name.startswith("^")]

    def inputs_of(self, node: node_def_pb2.NodeDef) -> frozenset[str]:
        """The placeholders that the data inputs of `node` depend on."""
        return frozenset().union(*(self.facts[source].inputs for source in self.sources(node)))

    def closure(self, tensor: str) -> list[str]:
        """Names of the nodes that `tensor` is computed from, producers first."""
        needed = {tensor.rsplit(":", 1)[0]}
        for name in reversed(self.nodes):
            if name in needed:
                needed.update(source.rsplit(":", 1)[0] for source in self.sources(self.nodes[name]))
        return [name for name in self.nodes if name in needed]

    def width(self, tensor: str) -> int | None:
        """Width of a tensor [n, width] of one row an entry, None if it is anything else."""
        fact, shape = self.facts[tensor], self.known.shapes.get(tensor)
        if fact.kind is not Kind.ROWS or fact.axis != 0 or fact.per_row != 1 or shape is None:
            return None
        match shape:
            case (Dim(0, 1), Dim(fixed, 0)):
                return fixed
        return None

    def add(self, op: str, inputs: list[str], shape: Shape | None, **attrs: Any) -> str:
        """Add a node after all others; its result is rows [n, ...] where an input is, otherwise a weight."""
        name = f"factorised/{len(self.nodes)}/{op}"
        self.nodes[name] = make_node(name, op, inputs, **attrs)
        tensor = f"{name}:0"
        rows = [self.facts[i].inputs for i in inputs if self.facts[i].kind is Kind.ROWS]
        self.facts[tensor] = Fact(Kind.ROWS, frozenset().union(*rows)) if rows else WEIGHT
        self.known.shapes[tensor] = shape
        self.known.dtypes[tensor] = attrs["T"] if "T" in attrs else self.known.dtypes[inputs[0]]
        return tensor

    def add_constant(self, value: np.ndarray) -> str:
        """Add a constant weight."""
        name = f"factorised/{len(self.nodes)}/Const"
        self.nodes[name] = make_constant(name, value)
        tensor = f"{name}:0"
        self.facts[tensor] = WEIGHT
        self.known.shapes[tensor] = tuple(Dim(size) for size in value.shape)
        self.known.dtypes[tensor] = self.nodes[name].attr["dtype"].type
        return tensor


def make_node(name: str, op: str, inputs: list[str], **attrs: Any) -> node_def_pb2.NodeDef:
    """A node; an attribute is a DataType number for names that say so, otherwise a bool, an int or bytes."""
    node = node_def_pb2.NodeDef(name=name, op=op, input=inputs)
    for key, value in attrs.items():
        attr = node.attr[key]
        if isinstance(value, attr_value_pb2.AttrValue):
            attr.CopyFrom(value)
        elif isinstance(value, bool):
            attr.b = value
        elif isinstance(value, bytes):
            attr.s = value
        elif (key[0].isupper() and key != "N") or "type" in key or key in ("SrcT", "DstT"):
            attr.type = value
        else:
            attr.i = value
    return node


def make_constant(name: str, value: np.ndarray) -> node_def_pb2.NodeDef:
    """A Const node."""
    proto = tensor_util.make_tensor_proto(value)
    return make_node(name, "Const", [], dtype=proto.dtype, value=attr_value_pb2.AttrValue(tensor=proto))
