"""Whether what a graph computes may keep the strings it is fed after the call is over.

A look-up reads a string and forgets it. A mutable table, a variable or a queue keeps it, and then the characters
must not be memory of Arrow. Found by walking from the fetched tensors to everything that they need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

READS = frozenset({
    "VarHandleOp", "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape", "VarIsInitializedOp",
    "HashTableV2", "MutableHashTableV2", "LookupTableFindV2", "LookupTableSizeV2", "LookupTableExportV2",
    "StatefulPartitionedCall", "If", "While", "Case",
    "Assert",
})  # fmt: skip
"""Ops that TensorFlow declares to have state, but that keep nothing of what they are given: reads of variables and
of look-up tables, calls (whose bodies are walked), checks."""


def find_keeping_ops(graph: Any, fetches: Iterable[str], is_stateful: Callable[[str], bool]) -> set[str]:
    """The ops, needed for `fetches`, that may keep what they are given: empty if none does.

    `graph` is a `proto.GraphProto` with its function library, `fetches` names operations in it. `is_stateful` says
    whether TensorFlow declares an op (by name) to have state.
    """
    functions = {function.signature.name: function for function in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    ops: set[str] = set()
    called: set[str] = set()
    for node in _ancestors(nodes, fetches):
        _collect(node, functions, ops, called)
    waiting = list(called)
    while waiting:
        newly: set[str] = set()
        for node in functions[waiting.pop()].node:
            _collect(node, functions, ops, newly)
        waiting += newly - called
        called |= newly
    return {op for op in ops - READS if is_stateful(op)}


def _ancestors(nodes: dict[str, Any], fetches: Iterable[str]) -> Iterator[Any]:
    waiting = list(dict.fromkeys(fetches))
    seen = set(waiting)
    while waiting:
        node = nodes[waiting.pop()]
        yield node
        for name in node.input:
            source = name.removeprefix("^").split(":")[0]
            if source not in seen:
                seen.add(source)
                waiting.append(source)


def _collect(node: Any, functions: dict[str, Any], ops: set[str], called: set[str]) -> None:
    if node.op in functions:
        called.add(node.op)
    else:
        ops.add(node.op)
    for attribute in node.attr:
        for function in (attribute.value.func, *attribute.value.list.func):
            if function.name in functions:
                called.add(function.name)
