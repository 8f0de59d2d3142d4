"""Puts a plan together: analyse, rewrite, and write down what each part and the head compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from batchscore.errors import first_line
from batchscore.planning.graph import head as heads
from batchscore.planning.graph.compiled import is_compiled
from batchscore.planning.graph.describe import describe_steps
from batchscore.planning.graph.draft import Draft, make_constant, make_node
from batchscore.planning.graph.emit import PREFIX, BlockEmitter, Emitter
from batchscore.planning.graph.factorise import factorise
from batchscore.planning.graph.facts import infer
from batchscore.planning.graph.flops import count_flops
from batchscore.planning.graph.inline import FlatGraph, UnknownOpError, inline
from batchscore.planning.graph.rowwise import Kind, prove
from batchscore.planning.graph.rules.rule_table import RULES
from batchscore.planning.graph.saved import CannotPlanError, Given
from batchscore.planning.graph.sides import Sides, group_inputs
from batchscore.planning.plan import MAX_GRAPH_BYTES, Head, Part, Plan, PlanInput, PlanTable
from batchscore.savedmodel.proto import DTYPES

_TABLES = frozenset({"HashTableV2", "MutableHashTableV2", "MutableDenseHashTableV2"})
_HALVES = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)


def assemble(given: Given, user_inputs: frozenset[str], candidate_inputs: frozenset[str]) -> Plan:
    """The plan of `given`. Raises CannotPlanError with the reason if there is none."""
    try:
        graph, score = inline(given.graph, given.score)
        known = infer(graph, {item.placeholder: item.rank for item in given.inputs.values()})
    except (UnknownOpError, ValueError, TypeError, tf.errors.OpError) as error:
        raise CannotPlanError(f"the graph is not understood: {first_line(error)}") from error
    proof = prove(graph, known, given.inputs, RULES)
    original = Draft(graph.nodes, proof.facts, known)
    _require_row_wise(original, proof.stateful, score)
    roles = [
        frozenset(item.placeholder for item in given.inputs.values() if item.name in names)
        for names in (user_inputs, candidate_inputs)
    ]
    sides = group_inputs(original, score, given.inputs, *roles)
    flops_before = count_flops(original, original.closure(score))
    draft, factorised = factorise(original, sides, score)
    assembly = _Assembly(given, draft, sides, roles)
    return assembly.finish(graph, factorised, flops_before)


def _require_row_wise(draft: Draft, stateful: list[str], score: str) -> None:
    fact = draft.facts[score]
    if fact.kind is Kind.UNPROVEN:
        raise CannotPlanError(fact.reason)
    if stateful:
        raise CannotPlanError(f"{stateful[0]}: it changes state or draws random numbers")
    if fact.kind is not Kind.ROWS or fact.axis != 0 or fact.per_row != 1 or fact.padding is not None:
        raise CannotPlanError("the score output does not have one entry per pair")
    elements = [dim.at(1) for dim in (draft.known.shapes[score] or ()) if dim is not None]
    if int(np.prod(elements)) != 1:
        raise CannotPlanError("the score output has more than one value per pair")
    for name in draft.closure(score):
        node = draft.nodes[name]
        if node.op in _TABLES and not (node.attr["shared_name"].s or node.attr["use_node_name_sharing"].b):
            raise CannotPlanError(
                f"{name} ({node.op}): the look-up table has no name by which a plan could share it"
            )
        if any(attr.HasField("func") for attr in node.attr.values()):
            raise CannotPlanError(f"{name} ({node.op}): it calls a function")


@dataclass
class _Building:
    """A part while the head still asks for tables of it."""

    name: str
    inputs: list[PlanInput]
    tensors: dict[str, str] = field(default_factory=dict)
    """Tensor of the draft -> placeholder of the block."""
    widths: dict[str, int] = field(default_factory=dict)
    """Tensor of the draft -> width of its table."""


class _Assembly:
    def __init__(self, given: Given, draft: Draft, sides: Sides, roles: list[frozenset[str]]) -> None:
        self._given = given
        self._draft = draft
        self._sides = sides
        self._roles = roles
        self._emitter = Emitter(draft)
        self._parts: dict[frozenset[str], _Building] = {}
        self._weights: dict[str, str] = {}
        self._direct: dict[str, str] = {}
        self._block_feeds: dict[str, Any] = {}
        self._reshaped: dict[str, str] = {}
        self._block = BlockEmitter(draft, heads.BLOCK_ROWS, self._feed)

    def finish(self, graph: FlatGraph, score: str, flops_before: int) -> Plan:
        result = self._block.emit(score)
        self._require_full_precision()
        checks = self._checks(graph)
        parts = tuple(self._write_part(inputs, checks) for inputs in self._parts)
        if not parts:
            raise CannotPlanError("no part of the score can be computed less often than once per pair")
        if len(self._given.inputs) > 1 and frozenset(self._given.inputs) in self._parts:
            raise CannotPlanError("all inputs meet in one part, which would be computed once per pair")
        inputs = tuple(self._write_direct(placeholder) for placeholder in self._direct)
        block = heads.Block(
            nodes=[*self._block_feeds.values(), *self._block.nodes.values()],
            score=result,
            weights={inner: self._emitter.weight(tensor) for tensor, inner in self._weights.items()},
            tables={
                inner: (_table_feed(building.name, tensor_index), _rows_feed(building.name))
                for building in self._parts.values()
                for tensor_index, inner in enumerate(building.tensors.values())
            },
            pairs={self._direct[item]: f"{_pair_feed(i)}:0" for i, item in enumerate(self._direct)},
        )
        definition = heads.compile_head(list(self._emitter.nodes.values()), block, graph.versions)
        content = definition.SerializeToString(deterministic=True)
        if len(content) > MAX_GRAPH_BYTES:
            raise CannotPlanError(f"the graph holds {len(content):,} bytes of constants")
        left = [name for name in self._block.nodes if name in self._draft.nodes]
        return Plan(
            signature=self._given.signature,
            score_output=self._given.score_output,
            parts=parts,
            head=Head(
                output=f"{heads.SCORES}:0",
                dtype=DTYPES[self._draft.known.dtypes[score]],
                call_rows=heads.CALL_ROWS,
                block_rows=heads.BLOCK_ROWS,
                blocks_feed=f"{heads.BLOCKS_FEED}:0",
                inputs=inputs,
                steps=describe_steps(self._draft, left),
            ),
            flops_before=flops_before,
            flops_after=count_flops(self._draft, left) + self._mixed_flops(),
            tensorflow_version=tf.__version__,
            graph=content,
        )

    def _part_inputs(self, tensor: str) -> frozenset[str] | None:
        """The inputs of the part that `tensor` belongs to; None if the head computes it."""
        fact = self._draft.facts[tensor]
        if not fact.inputs or fact.inputs & self._sides.direct == fact.inputs:
            return None
        home = self._sides.home(fact.inputs)
        if home is not None:
            return self._sides.groups[home]
        compiled = is_compiled(self._draft, tensor.rsplit(":", 1)[0])
        return None if compiled and fact.kind is Kind.ROWS and fact.padding is None else fact.inputs

    def _feed(self, tensor: str) -> str | None:
        """The block's placeholder for `tensor` where the head does not compute it."""
        fact = self._draft.facts[tensor]
        name = tensor.rsplit(":", 1)[0]
        if fact.kind is Kind.WEIGHT:
            if tensor in self._draft.known.values:
                return None
            inner = self._weights.setdefault(tensor, f"weight_{len(self._weights)}:0")
            return self._placeholder(inner, tensor)
        if name in self._sides.direct:
            inner = self._direct.setdefault(name, f"pair_{len(self._direct)}:0")
            return self._placeholder(inner, tensor)
        inputs = self._part_inputs(tensor)
        return None if inputs is None else self._from_table(tensor, inputs)

    def _placeholder(self, inner: str, tensor: str) -> str:
        name = inner.rsplit(":", 1)[0]
        self._block_feeds[name] = make_node(name, "Placeholder", [], dtype=self._draft.known.dtypes[tensor])
        self._block_feeds[name].attr["shape"].shape.unknown_rank = True
        return inner

    def _from_table(self, tensor: str, inputs: frozenset[str]) -> str:
        building = self._building(inputs)
        if tensor not in building.tensors:
            shape = self._draft.known.shapes.get(tensor)
            if self._draft.facts[tensor].kind is not Kind.ROWS or shape is None or None in shape:
                node = self._draft.node_of(tensor)
                raise CannotPlanError(f"{node.name} ({node.op}): the sides meet while its width is not known")
            building.widths[tensor] = int(np.prod([dim.at(1) for dim in shape if dim is not None]))
            place = list(self._parts).index(inputs)
            building.tensors[tensor] = f"table_{place}_{len(building.tensors)}:0"
        inner = building.tensors[tensor]
        if inner not in self._reshaped:
            self._placeholder(inner, tensor)
            self._reshaped[inner] = self._in_its_shape(tensor, inner)
        return self._reshaped[inner]

    def _in_its_shape(self, tensor: str, inner: str) -> str:
        """The gathered rows [block, width] in the shape that `tensor` has for a block."""
        if self._draft.width(tensor) is not None:
            return inner
        shape = [dim.at(heads.BLOCK_ROWS) for dim in self._draft.known.shapes[tensor] or () if dim is not None]
        name = inner.rsplit(":", 1)[0]
        return self._reshape_block(inner, self._draft.known.dtypes[tensor], shape, f"{name}/shaped")

    def _reshape_block(self, inner: str, dtype: int, shape: list[int], name: str) -> str:
        self._block_feeds[f"{name}/shape"] = make_constant(f"{name}/shape", np.array(shape, np.int32))
        self._block_feeds[name] = make_node(
            name, "Reshape", [inner, f"{name}/shape:0"], T=dtype, Tshape=types_pb2.DT_INT32
        )
        return f"{name}:0"

    def _building(self, inputs: frozenset[str]) -> _Building:
        if inputs not in self._parts:
            ordered = sorted(inputs, key=lambda placeholder: self._given.inputs[placeholder].name)
            roles = [role for role, names in zip(("user", "candidate"), self._roles, strict=True) if names & inputs]
            name = roles[0] if len(roles) == 1 and inputs in self._sides.groups else f"part_{len(self._parts)}"
            self._parts[inputs] = _Building(name, [])
            for place, placeholder in enumerate(ordered):
                item = self._given.inputs[placeholder]
                feed = self._emitter.add_input(placeholder, name, str(place), item.rank)
                dtype = DTYPES[self._draft.known.dtypes[f"{placeholder}:0"]]
                self._parts[inputs].inputs.append(PlanInput(item.name, feed, dtype, item.rank))
        return self._parts[inputs]

    def _write_part(self, inputs: frozenset[str], checks: dict[frozenset[str], list[str]]) -> Part:
        building = self._parts[inputs]
        name = building.name
        guards = [
            self._emitter.guard(check, name)
            for needed, found in checks.items()
            if needed <= inputs
            for check in found
        ]
        tables = []
        for place, (tensor, width) in enumerate(building.widths.items()):
            dtype = self._draft.known.dtypes[tensor]
            value = self._emitter.part(tensor, name)
            target = f"{PREFIX}/{name}/tables/{place}"
            shape = self._emitter.add(make_constant(f"{target}/shape", np.array([-1, width], np.int32)))
            flat = make_node(target, "Reshape", [value, shape, *guards], T=dtype, Tshape=types_pb2.DT_INT32)
            feed = make_node(_table_feed(name, place).rsplit(":", 1)[0], "Placeholder", [], dtype=dtype)
            for size in (-1, width):
                feed.attr["shape"].shape.dim.add(size=size)
            tables.append(PlanTable(self._emitter.add(flat), self._emitter.add(feed), DTYPES[dtype], width))
        rows = make_node(_rows_feed(name).rsplit(":", 1)[0], "Placeholder", [], dtype=types_pb2.DT_INT32)
        rows.attr["shape"].shape.dim.add(size=heads.CALL_ROWS)
        needed = set().union(*(self._draft.closure(tensor) for tensor in building.widths))
        steps = describe_steps(self._draft, [node for node in self._draft.nodes if node in needed])
        return Part(name, tuple(building.inputs), tuple(tables), self._emitter.add(rows), steps)

    def _write_direct(self, placeholder: str) -> PlanInput:
        item = self._given.inputs[placeholder]
        dtype = self._draft.known.dtypes[f"{placeholder}:0"]
        node = make_node(_pair_feed(list(self._direct).index(placeholder)), "Placeholder", [], dtype=dtype)
        for size in (heads.CALL_ROWS, 1)[: item.rank]:
            node.attr["shape"].shape.dim.add(size=size)
        return PlanInput(item.name, self._emitter.add(node), DTYPES[dtype], item.rank)

    def _checks(self, graph: FlatGraph) -> dict[frozenset[str], list[str]]:
        """The model's own assertions by the inputs that they look at; each must fall into one part."""
        found: dict[frozenset[str], list[str]] = {}
        for name, node in graph.nodes.items():
            if node.op != "Assert":
                continue
            inputs = self._draft.inputs_of(node)
            if inputs and not any(inputs <= part for part in self._parts):
                raise CannotPlanError(f"{name} (Assert): it checks inputs of several parts")
            if inputs:
                found.setdefault(inputs, []).append(name)
        return found

    def _mixed_flops(self) -> int:
        """FLOPs of the parts in which sides meet: as a rule their tuples hardly recur, and no gain is promised."""
        needed: set[str] = set()
        for inputs, building in self._parts.items():
            if inputs not in self._sides.groups:
                needed = needed.union(*(self._draft.closure(tensor) for tensor in building.widths))
        return count_flops(self._draft, needed)

    def _require_full_precision(self) -> None:
        """Raise CannotPlanError if the head would compute in half precision, or from it.

        Sums in another order round otherwise there than the model does, by more than any check could let pass.
        """
        computed = [f"{name}:0" for name in self._block.nodes if name in self._draft.nodes]
        for tensor in (*computed, *(tensor for part in self._parts.values() for tensor in part.widths)):
            dtype = self._draft.known.dtypes[tensor]
            if dtype in _HALVES:
                node = self._draft.node_of(tensor)
                reason = f"it is {DTYPES[dtype]}, which a plan would round otherwise than the model"
                raise CannotPlanError(f"{node.name} ({node.op}): {reason}")


def _table_feed(part: str, place: int) -> str:
    return f"{PREFIX}/head/{part}/table_{place}:0"


def _rows_feed(part: str) -> str:
    return f"{PREFIX}/head/{part}/rows:0"


def _pair_feed(place: int) -> str:
    return f"{PREFIX}/head/pairs/{place}"
