"""A signature as one flat graph: function calls are replaced by the bodies that they call.

Works on `saved_model.pb` alone. No variable is loaded, so the cost does not depend on the size of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensorflow.core.framework import node_def_pb2, versions_pb2
from tensorflow.python.framework import op_def_registry

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_DROPPED_ATTRS = ("_output_shapes", "_class", "_has_manual_control_dependencies", "_collective_manager_ids")


class UnknownOpError(Exception):
    """The graph has an op that this TensorFlow does not know."""

    def __init__(self, node: Any) -> None:
        super().__init__(f"{node.name}: op {node.op} is unknown to this TensorFlow")


@dataclass(frozen=True)
class FlatGraph:
    """The nodes that an output needs, by name, producers first, and the functions that they still call.

    A data input is spelled `node:index`, a control input `^node`.
    """

    nodes: dict[str, node_def_pb2.NodeDef]
    functions: dict[str, Any]
    versions: versions_pb2.VersionDef

    def called_functions(self) -> list[Any]:
        """The functions that nodes call, directly or through one another, by name."""
        called: dict[str, Any] = {}
        waiting = list(self.nodes.values())
        while waiting:
            for name in _function_names(waiting.pop()):
                if name not in called and name in self.functions:
                    called[name] = self.functions[name]
                    waiting += called[name].node_def
        return [called[name] for name in sorted(called)]


def inline(graph: Any, output: str) -> tuple[FlatGraph, str]:
    """The flat graph that computes tensor `output` of `graph`, and the name of that tensor in it.

    Only calls are inlined; `If`, `While` and the like stay and keep their functions.
    """
    functions = {function.signature.name: function for function in graph.library.function}
    inliner = _Inliner(functions)
    tensor = inliner.resolve(_Scope("", _by_name(graph.node), {}, {}), output)
    return FlatGraph(inliner.flat, functions, graph.versions), tensor


@dataclass(frozen=True)
class _Scope:
    prefix: str
    nodes: dict[str, node_def_pb2.NodeDef]
    arguments: dict[str, str]
    """Inputs of the function by argument name, as tensors of the flat graph."""
    calls: dict[str, tuple[_Scope, list[str], list[str]]]
    """Inlined calls: scope of the body, its results as tensors of that scope, and the names of its controls."""

    def format_tensor(self, tensor: str) -> str:
        """`node:index` for what graphs call `node` or `node:index`, functions `argument` or `node:output:index`."""
        name, *rest = tensor.split(":")
        if len(rest) < 2:  # noqa: PLR2004
            return f"{name}:{rest[0] if rest else 0}"
        return f"{name}:{_output_index(self.nodes[name], rest[0], int(rest[1]))}"


class _Inliner:
    def __init__(self, functions: dict[str, Any]) -> None:
        self._functions = functions
        self.flat: dict[str, node_def_pb2.NodeDef] = {}

    def resolve(self, scope: _Scope, tensor: str) -> str:
        """The flat graph's name of `tensor` of `scope`; its producers are added to the flat graph first."""
        name, index = tensor.rsplit(":", 1)
        if name in scope.arguments:
            return scope.arguments[name]
        if scope.nodes[name].op in CALLS:
            body, results, _ = self._call(scope, name)
            return self.resolve(body, results[int(index)])
        if scope.nodes[name].op == "IdentityN":  # a custom gradient passes its tensors through one node
            return self.resolve(scope, scope.format_tensor(scope.nodes[name].input[int(index)]))
        return f"{self._add(scope, name)}:{index}"

    def _add(self, scope: _Scope, name: str) -> str:
        flat_name = scope.prefix + name
        if flat_name not in self.flat:
            node = node_def_pb2.NodeDef()
            node.CopyFrom(scope.nodes[name])
            node.name, node.device = flat_name, ""
            for attr in _DROPPED_ATTRS:
                node.attr.pop(attr, None)
            _fill_defaults(node)
            inputs = [self.resolve(scope, scope.format_tensor(i)) for i in node.input if not i.startswith("^")]
            controls = [c for i in node.input if i.startswith("^") for c in self._controls(scope, i[1:])]
            del node.input[:]
            node.input.extend([*inputs, *dict.fromkeys(f"^{control}" for control in controls)])
            self.flat[flat_name] = node
        return flat_name

    def _controls(self, scope: _Scope, name: str) -> list[str]:
        if name in scope.arguments:
            return [scope.arguments[name].rsplit(":", 1)[0]]
        if scope.nodes[name].op in CALLS:
            body, _, control_results = self._call(scope, name)
            return [control for result in control_results for control in self._controls(body, result)]
        return [self._add(scope, name)]

    def _call(self, scope: _Scope, name: str) -> tuple[_Scope, list[str], list[str]]:
        if name not in scope.calls:
            node = scope.nodes[name]
            function = self._functions[node.attr["f"].func.name]
            given = [self.resolve(scope, scope.format_tensor(i)) for i in node.input if not i.startswith("^")]
            arguments = dict(zip((a.name for a in function.signature.input_arg), given, strict=True))
            inner = _Scope(f"{scope.prefix}{name}/", _by_name(function.node_def), arguments, {})
            results = [inner.format_tensor(function.ret[output.name]) for output in function.signature.output_arg]
            scope.calls[name] = (inner, results, list(function.control_ret.values()))
        return scope.calls[name]


def _fill_defaults(node: Any) -> None:
    """Write out the attributes that an export leaves out because they have their default value."""
    definition = op_def_registry.get(node.op)
    if definition is None:
        raise UnknownOpError(node)
    for attr in definition.attr:
        if attr.name not in node.attr and attr.HasField("default_value"):
            node.attr[attr.name].CopyFrom(attr.default_value)


def _by_name(nodes: Any) -> dict[str, Any]:
    return {node.name: node for node in nodes}


def _output_index(node: Any, output: str, index: int) -> int:
    """Position among all outputs of `node` of the `index`th tensor of its output `output`."""
    definition = op_def_registry.get(node.op)
    if definition is None:
        raise UnknownOpError(node)
    before = 0
    for argument in definition.output_arg:
        if argument.name == output:
            return before + index
        if argument.number_attr:
            before += node.attr[argument.number_attr].i
        elif argument.type_list_attr:
            before += len(node.attr[argument.type_list_attr].list.type)
        else:
            before += 1
    raise KeyError(output)


def _function_names(node: Any) -> list[str]:
    attrs = node.attr.values()
    return [attr.func.name for attr in attrs if attr.HasField("func")] + [
        function.name for attr in attrs for function in attr.list.func
    ]
