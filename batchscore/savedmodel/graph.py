"""The graph of a SavedModel, read from its bytes: who feeds whom, through functions and variables.

A *body* is the main graph (named "") or a function of the library. A *source* is the node in which a walk against
the flow ends. Nothing here computes; it answers where a value comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from batchscore.savedmodel.proto import AttrProto, TensorProto

MAIN = ""
"""Name of the main graph among the bodies."""

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_SAME_VALUE = frozenset({"Identity", "StopGradient", "EnsureShape", "GuaranteeConst", "ReadVariableOp"})
_STRING = 7
_MAX_STEPS = 200_000
_NO_ATTRIBUTE = AttrProto()


@dataclass(frozen=True)
class Source:
    """Output `output` of a node gives a value; `node` is None for an argument of a function that nothing calls."""

    body: str
    name: str
    node: Any
    output: int = 0


@dataclass
class Body:
    """The main graph or a function. `arguments` and `results` are those of the function, in order."""

    name: str
    nodes: dict[str, Any]
    arguments: dict[str, int] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)


class Graph:
    """One meta graph of a SavedModel (`MetaGraph` of `proto`)."""

    def __init__(self, meta_graph: Any) -> None:
        self._meta_graph = meta_graph
        graph_def = meta_graph.graph_def
        self.bodies = {MAIN: Body(MAIN, {node.name: node for node in graph_def.node})}
        for function in graph_def.library.function:
            returned = {item.key: item.value for item in function.ret}
            self.bodies[function.signature.name] = Body(
                function.signature.name,
                {node.name: node for node in function.node},
                {argument.name: index for index, argument in enumerate(function.signature.input_arg)},
                [returned.get(result.name, "") for result in function.signature.output_arg],
            )

    def nodes(self) -> Iterator[tuple[Body, Any]]:
        """Every node with the body that it stands in; also those whose names repeat."""
        graph_def = self._meta_graph.graph_def
        for node in graph_def.node:
            yield self.bodies[MAIN], node
        for function in graph_def.library.function:
            for node in function.node:
                yield self.bodies[function.signature.name], node

    def callee(self, node: Any) -> Body | None:
        """The function that `node` calls and whose results are its own, None if it is no plain call."""
        if node.op in CALLS:
            return self.bodies.get(attribute(node, "f").func.name)
        return self.bodies.get(node.op)

    @cached_property
    def call_sites(self) -> dict[str, list[tuple[Body, Any]]]:
        """For each function the plain calls of it."""
        sites: dict[str, list[tuple[Body, Any]]] = {name: [] for name in self.bodies}
        for body, node in self.nodes():
            called = self.callee(node)
            if called is not None and called.name != MAIN:
                sites[called.name].append((body, node))
        return sites

    def reachable(self, starts: set[str]) -> tuple[set[str], set[str]]:
        """Main-graph nodes on which the main-graph nodes `starts` depend, and functions that those may run."""
        main = self.bodies[MAIN].nodes
        nodes: set[str] = set()
        waiting = [name for name in starts if name in main]
        while waiting:
            name = waiting.pop()
            if name not in nodes:
                nodes.add(name)
                waiting += [producer for item in main[name].input if (producer := node_name(item)) in main]
        return nodes, self._run_by(*(main[name] for name in nodes))

    def computing(self, tensor: str) -> list[tuple[Body, Any]]:
        """The nodes from which the value of the main graph's `tensor` is computed, with the bodies they stand in.

        What only orders the ops is left out; of functions that are no plain calls (branches, loops) all count.
        """
        found: list[tuple[Body, Any]] = []
        seen: set[tuple[str, str, int]] = set()
        waiting = [(self.bodies[MAIN], tensor)]
        while waiting:
            body, item = waiting.pop()
            name, index = node_name(item), output_index(item)
            node = body.nodes.get(name)
            called = None if node is None else self.callee(node)
            key = (body.name, name, index if called is not None else 0)
            if key in seen:
                continue
            seen.add(key)
            if node is None:
                waiting += self._arguments(body, body.arguments[name]) if name in body.arguments else []
                continue
            found.append((body, node))
            if called is not None:
                waiting += [(called, result) for result in called.results[index : index + 1] if result]
                continue
            waiting += [(body, item) for item in data_inputs(node)]
            found += [(self.bodies[function], inner) for function in self._run_by(node)
                      for inner in self.bodies[function].nodes.values()]  # fmt: skip
        return found

    def _run_by(self, *nodes: Any) -> set[str]:
        """The functions that `nodes` may run, and those that these may."""
        functions: set[str] = set()
        called = {function for node in nodes for function in self._functions_of(node)}
        while called:
            function = called.pop()
            if function not in functions:
                functions.add(function)
                for inner in self.bodies[function].nodes.values():
                    called |= self._functions_of(inner)
        return functions

    def sources(self, body: Body, tensor: str, same: frozenset[str] = frozenset()) -> list[Source]:
        """Where the value of `tensor`, an input as it is written in `body`, may come from.

        The walk goes through calls in both directions, through variables to what is assigned to them in text, and
        through ops that pass their first input on: Identity and the like, and those in `same`. Raises
        GraphTooLargeError.
        """
        found: list[Source] = []
        seen: set[tuple[str, str]] = set()
        waiting = [(body, tensor)]
        while waiting:
            where, item = waiting.pop()
            if (where.name, item) in seen:
                continue
            seen.add((where.name, item))
            if len(seen) > _MAX_STEPS:
                raise GraphTooLargeError
            givers = self._givers(where, item, same)
            waiting += givers
            if not givers:
                name = node_name(item)
                found.append(Source(where.name, name, where.nodes.get(name), output_index(item)))
        return found

    def _givers(self, body: Body, tensor: str, same: frozenset[str]) -> list[tuple[Body, str]]:
        """The tensors whose value `tensor` has, one step against the flow; none if it is computed here."""
        name = node_name(tensor)
        node = body.nodes.get(name)
        if node is None:
            return self._arguments(body, body.arguments[name]) if name in body.arguments else []
        called = self.callee(node)
        if called is not None:
            results = called.results[output_index(tensor) :]
            return [(called, results[0])] if results and results[0] else []
        if node.op in _SAME_VALUE or node.op in same:
            return [(body, item) for item in data_inputs(node)[:1]]
        if node.op == "VarHandleOp":
            return self._assigned.get(variable_key(node), [])
        return []

    @cached_property
    def _assigned(self) -> dict[bytes, list[tuple[Body, str]]]:
        """For each text variable by its key, what is assigned to it and where."""
        assigned: dict[bytes, list[tuple[Body, str]]] = {}
        for body, node in self.nodes():
            if node.op == "AssignVariableOp" and attribute(node, "dtype").type == _STRING:
                handle, value = data_inputs(node)[:2]
                for source in self._handles(body, handle):
                    assigned.setdefault(variable_key(source.node), []).append((body, value))
        return assigned

    def _handles(self, body: Body, tensor: str) -> list[Source]:
        """The variables or tables that a handle may stand for."""
        found, seen, waiting = [], set(), [(body, tensor)]
        while waiting:
            where, item = waiting.pop()
            name = node_name(item)
            if (where.name, name) in seen:
                continue
            seen.add((where.name, name))
            node = where.nodes.get(name)
            if node is not None and node.op == "Identity":
                waiting.append((where, data_inputs(node)[0]))
            elif node is not None:
                found.append(Source(where.name, name, node))
            elif name in where.arguments:
                waiting += self._arguments(where, where.arguments[name])
        return found

    def _arguments(self, function: Body, index: int) -> list[tuple[Body, str]]:
        """What the calls of `function` pass as its argument `index`."""
        sites = self.call_sites[function.name]
        return [(body, inputs[index]) for body, node in sites if index < len(inputs := data_inputs(node))]

    def _functions_of(self, node: Any) -> set[str]:
        names = {node.op}
        for item in node.attr:
            names.add(item.value.func.name)
            names |= {function.name for function in item.value.list.func}
        return (names & self.bodies.keys()) - {MAIN}


class GraphTooLargeError(Exception):
    """A walk over the graph took too many steps."""


def attribute(node: Any, name: str) -> Any:
    """The attribute `name` of a node; an empty one if it has none. The last one counts, as in a map."""
    found = _NO_ATTRIBUTE
    for item in node.attr:
        if item.key == name:
            found = item.value
    return found


def data_inputs(node: Any) -> list[str]:
    """The inputs that carry values, without those that only order the ops."""
    return [item for item in node.input if not item.startswith("^")]


def node_name(tensor: str) -> str:
    """Name of the node in `name`, `name:1`, `name:output:1` or `^name`."""
    return tensor.removeprefix("^").partition(":")[0]


def output_index(tensor: str) -> int:
    """Which output `tensor` is of its node: 1 in `name:1` and in `name:output:1`."""
    last = tensor.rpartition(":")[2]
    return int(last) if ":" in tensor and last.isdigit() else 0


def constant(node: Any) -> Any:
    """The tensor (`TensorProto`) of a Const node."""
    return TensorProto.FromString(attribute(node, "value").tensor)


def variable_key(node: Any) -> bytes:
    """What tells the variable or table of a handle op from others: its shared name, otherwise the op's own."""
    key: bytes = attribute(node, "shared_name").s or node.name.encode()
    return key
