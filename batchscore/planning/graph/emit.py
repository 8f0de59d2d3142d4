"""Writes pieces of a draft as nodes of the plan: weights, parts over inputs of their own, and the head's block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2

from batchscore.planning.graph.draft import Draft, make_constant, make_node
from batchscore.planning.graph.facts import Linear
from batchscore.planning.graph.rowwise import Kind

PREFIX = "batchscore"
"""Every node of a plan stands under this name, so that a plan never meets a name of the model."""


class Emitter:
    """Nodes of the plan's graph outside the compiled head."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self.nodes: dict[str, Any] = {}

    def weight(self, tensor: str) -> str:
        """The plan's name of a weight tensor."""
        return self._emit(tensor, f"{PREFIX}/weights", None)

    def part(self, tensor: str, part: str) -> str:
        """The plan's name of `tensor` computed from the placeholders of `part` (see `add_input`)."""
        return self._emit(tensor, f"{PREFIX}/{part}", f"{PREFIX}/{part}/rows")

    def add_input(self, placeholder: str, part: str, name: str, rank: int) -> str:
        """The placeholder ([m] or [m, 1], by rank) that feeds signature input `name` to `part`."""
        target = f"{PREFIX}/{part}/inputs/{name}"
        node = make_node(target, "Placeholder", [], dtype=self._draft.nodes[placeholder].attr["dtype"].type)
        for size in (-1, 1)[:rank]:
            node.attr["shape"].shape.dim.add(size=size)
        self.nodes[target] = node
        self.nodes[f"{PREFIX}/{part}/{placeholder}"] = make_node(
            f"{PREFIX}/{part}/{placeholder}", "Identity", [target], T=node.attr["dtype"].type
        )
        rows = f"{PREFIX}/{part}/rows"
        if rows not in self.nodes:
            self.nodes[rows] = make_node(
                rows, "Size", [target], T=node.attr["dtype"].type, out_type=types_pb2.DT_INT64
            )
        return f"{target}:0"

    def add(self, node: Any) -> str:
        """Add a node; the name of its first output."""
        self.nodes[node.name] = node
        return f"{node.name}:0"

    def guard(self, name: str, part: str) -> str:
        """The control input that makes `part` run check `name` of the model."""
        return "^" + self._emit_node(name, f"{PREFIX}/{part}", f"{PREFIX}/{part}/rows")

    def _emit(self, tensor: str, scope: str, rows: str | None) -> str:
        if self._draft.facts[tensor].kind is Kind.WEIGHT:
            scope = f"{PREFIX}/weights"
        name, index = tensor.rsplit(":", 1)
        target = f"{scope}/{name}"
        value = self._draft.known.values.get(tensor)
        if value is not None:
            target = f"{target}/{index}" if index != "0" else target
            if target not in self.nodes:
                self._emit_value(target, value, rows)
            return f"{target}:0"
        if target not in self.nodes:
            node = self._draft.nodes[name]
            inputs = [self._emit(source, scope, rows) for source in self._draft.sources(node)]
            checks = [f"^{self._emit_node(check, scope, rows)}" for check in self._checks_before(node, scope)]
            self.nodes[target] = copy_node(self._draft, node, target, [*inputs, *checks])
        return f"{target}:{index}"

    def _checks_before(self, node: Any, scope: str) -> list[str]:
        """The assertions that the model makes before `node`, as far as they look at this part's inputs alone."""
        controls = [name[1:] for name in node.input if name.startswith("^")]
        return [
            name
            for name in controls
            if self._draft.nodes[name].op == "Assert"
            and (inputs := self._draft.inputs_of(self._draft.nodes[name]))
            and all(f"{scope}/{given}" in self.nodes for given in inputs)
        ]

    def _emit_node(self, name: str, scope: str, rows: str | None) -> str:
        return self._emit(f"{name}:0", scope, rows).rsplit(":", 1)[0]

    def _emit_value(self, target: str, value: Linear, rows: str | None) -> None:
        """`fixed + per_row * rows` for the number of rows that the part is run on."""
        if not value.per_row.any() or rows is None:
            self.nodes[target] = make_constant(target, value.fixed)
            return
        wide, dtype = types_pb2.DT_INT64, make_constant("", value.fixed).attr["dtype"].type
        for node in (
            make_constant(f"{target}/per_row", value.per_row),
            make_constant(f"{target}/fixed", value.fixed.astype(np.int64)),
            make_node(f"{target}/scaled", "Mul", [f"{target}/per_row:0", f"{rows}:0"], T=wide),
            make_node(f"{target}/sum", "AddV2", [f"{target}/scaled:0", f"{target}/fixed:0"], T=wide),
            make_node(target, "Cast", [f"{target}/sum:0"], SrcT=wide, DstT=dtype, Truncate=False),
        ):
            self.nodes[node.name] = node


class BlockEmitter:
    """The head's block as nodes of its own graph, at a fixed number of rows. What it takes from outside is fed."""

    def __init__(self, draft: Draft, block_rows: int, feed: Callable[[str], str | None]) -> None:
        self._draft = draft
        self._rows = block_rows
        self._feed = feed
        self.nodes: dict[str, Any] = {}

    def emit(self, tensor: str) -> str:
        """The block's name of `tensor`; `feed` says which tensors come from outside, and under which name."""
        fed = self._feed(tensor)
        if fed is not None:
            return fed
        name, index = tensor.rsplit(":", 1)
        value = self._draft.known.values.get(tensor)
        if value is not None:
            target = f"{name}/{index}" if index != "0" else name
            self.nodes.setdefault(target, make_constant(target, value.at(self._rows)))
            return f"{target}:0"
        if name not in self.nodes:
            node = self._draft.nodes[name]
            inputs = [self.emit(source) for source in self._draft.sources(node)]
            self.nodes[name] = copy_node(self._draft, node, name, inputs)
        return tensor


def copy_node(draft: Draft, node: Any, target: str, inputs: list[str]) -> Any:
    """`node` under the name `target`, with `inputs` and without control inputs."""
    copy = type(node)()
    copy.CopyFrom(node)
    copy.name = target
    del copy.input[:]
    copy.input.extend(inputs)
    if node.op == "Squeeze" and not node.attr["squeeze_dims"].list.i:
        # which axes have length 1 must not depend on a part that happens to have one row
        shape = draft.known.shapes[draft.sources(node)[0]] or ()
        axes = [axis for axis, dim in enumerate(shape) if dim is not None and (dim.fixed, dim.per_row) == (1, 0)]
        copy.attr["squeeze_dims"].list.i.extend(axes)
    if node.op in ("HashTableV2", "MutableHashTableV2") and not node.attr["shared_name"].s:
        copy.attr["shared_name"].s = node.name.encode()
    return copy
