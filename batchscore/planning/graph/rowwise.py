"""Which tensors are row-wise: row i of the tensor depends on row i of the inputs and on nothing else of the batch.

`prove` walks the flat graph once, producers first, and gives every tensor a `Fact`. What it cannot prove is
UNPROVEN with the node and the reason; nothing is assumed. The rules stand in `rules.py`, one per kind of op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from tensorflow.core.framework import attr_value_pb2
from tensorflow.python.framework import op_def_registry

from batchscore.planning.graph.facts import Dim, Known, Shape
from batchscore.planning.graph.inline import FlatGraph


class Kind(Enum):
    """What a tensor is to the batch."""

    WEIGHT = auto()
    """The same for every batch: constants, variables, tables, and what is made of them."""
    SIZE = auto()
    """An integer tensor that the number of rows alone decides."""
    ROWS = auto()
    """One entry per row along one axis (`axis`), or `per_row` entries in a run."""
    FLAT = auto()
    """A changing number of entries per row along axis 0, in row order (the words of a text)."""
    FLAT_ROWS = auto()
    """The row number of each entry of a FLAT tensor, or [row, position] with `pairs`."""
    COUNT = auto()
    """The number of rows, or [rows, longest] with `pairs`, as an op that splits rows gave it."""
    DISTINCT = auto()
    """The distinct entries of a ROWS tensor, or their gathered weights."""
    DISTINCT_ROWS = auto()
    """For each entry of a ROWS tensor its position among the DISTINCT ones."""
    UNPROVEN = auto()


@dataclass(frozen=True)
class Padding:
    """A dimension as long as the longest row of the batch; what stands behind a row's own end is padding."""

    axis: int
    source: str
    zero: bool
    """Whether the padding is known to be zero (False for bool)."""


@dataclass(frozen=True)
class Fact:
    """What is known of one tensor. `inputs` are the placeholders that its values depend on."""

    kind: Kind
    inputs: frozenset[str] = frozenset()
    axis: int = 0
    per_row: int = 1
    padding: Padding | None = None
    source: str = ""
    """The tensor or node that FLAT, FLAT_ROWS, COUNT, DISTINCT and DISTINCT_ROWS tensors belong to."""
    pairs: bool = False
    reason: str = ""


WEIGHT = Fact(Kind.WEIGHT)
SIZE = Fact(Kind.SIZE)


class NotProvenError(Exception):
    """A rule does not hold; the text is the reason."""


@dataclass(frozen=True)
class Op:
    """One node as a rule sees it: attributes, and facts, shapes and known values of its data inputs."""

    node: Any
    names: list[str]
    facts: list[Fact]
    known: Known

    def shape(self, index: int) -> Shape:
        """Shape of input `index`."""
        shape = self.known.shapes.get(self.names[index])
        if shape is None:
            raise NotProvenError(f"the rank of its input {index} is not known")
        return shape

    def rank(self, index: int) -> int:
        """Rank of input `index`."""
        return len(self.shape(index))

    def output_shape(self, index: int = 0) -> Shape:
        """Shape of output `index`."""
        shape = self.known.shapes.get(f"{self.node.name}:{index}")
        if shape is None:
            raise NotProvenError("the rank of its result is not known")
        return shape

    def constant(self, index: int) -> Any:
        """Value of input `index`, which must be the same for every batch."""
        value = self.known.constant(self.names[index])
        if value is None:
            raise NotProvenError(f"its input {index} is no constant")
        return value

    def is_zero(self, index: int) -> bool:
        """Whether input `index` is known to be all zero."""
        value = self.known.constant(self.names[index])
        return value is not None and value.dtype.kind in "iufb" and not value.any()

    def attr(self, name: str) -> Any:
        """Attribute `name` as an AttrValue, empty if the op has none (reading a missing one would add it)."""
        return self.node.attr[name] if name in self.node.attr else attr_value_pb2.AttrValue()

    def all_inputs(self) -> frozenset[str]:
        """Every placeholder that one of the inputs depends on."""
        return frozenset().union(*(fact.inputs for fact in self.facts))


Rule = Callable[[Op], "Fact | list[Fact]"]


@dataclass
class Proof:
    """Facts of every tensor, and which ops change state (they would run a different number of times)."""

    facts: dict[str, Fact] = field(default_factory=dict)
    stateful: list[str] = field(default_factory=list)


STATEFUL_READS = frozenset({
    "VarHandleOp", "ReadVariableOp", "ResourceGather", "ResourceGatherNd", "HashTableV2", "MutableHashTableV2",
    "MutableDenseHashTableV2", "LookupTableFindV2", "LookupTableSizeV2", "Placeholder", "Assert",
})  # fmt: skip
"""Ops that TensorFlow marks stateful although running them changes nothing."""


def prove(graph: FlatGraph, known: Known, inputs: Iterable[str], rules: dict[str, Rule]) -> Proof:
    """Facts of all tensors of `graph`, whose placeholders `inputs` hold one entry per row."""
    placeholders = set(inputs)
    proof = Proof()
    for node in graph.nodes.values():
        definition = op_def_registry.get(node.op)
        if definition is not None and definition.is_stateful and node.op not in STATEFUL_READS:
            proof.stateful.append(f"{node.name} ({node.op})")
        outputs = _count_outputs(node, known)
        names = [name for name in node.input if not name.startswith("^")]
        facts = [proof.facts[name] for name in names]
        values = [known.values.get(f"{node.name}:{index}") for index in range(outputs)]
        if values and all(value is not None for value in values):
            found: Fact | list[Fact] = [SIZE if value and value.per_row.any() else WEIGHT for value in values]
        elif node.name in placeholders:
            found = Fact(Kind.ROWS, frozenset({node.name}))
        elif node.op == "Placeholder":
            found = _unproven(node, "it is fed by something that is no input of the signature", frozenset())
        else:
            found = _apply(Op(node, names, facts, known), rules)
        each = found if isinstance(found, list) else [found] * max(outputs, 1)
        for index, fact in enumerate(each):
            proof.facts[f"{node.name}:{index}"] = fact
            _complete_shape(known, f"{node.name}:{index}", fact)
    return proof


def _complete_shape(known: Known, tensor: str, fact: Fact) -> None:
    """Rows have as many entries as the batch, also where TensorFlow lost sight of it."""
    shape = known.shapes.get(tensor)
    if fact.kind is Kind.ROWS and shape is not None and shape[fact.axis] is None:
        known.shapes[tensor] = (*shape[: fact.axis], Dim(0, fact.per_row), *shape[fact.axis + 1 :])


def _apply(op: Op, rules: dict[str, Rule]) -> Fact | list[Fact]:
    rule = rules.get(op.node.op)
    try:
        if all(fact.kind is Kind.WEIGHT for fact in op.facts):
            return _weight(op)
        unproven = next((fact for fact in op.facts if fact.kind is Kind.UNPROVEN), None)
        if unproven is not None and op.node.op not in ("Minimum", "Maximum"):
            return replace(unproven, inputs=op.all_inputs(), source="")
        return (rule or _no_rule)(op)
    except NotProvenError as error:
        return _unproven(op.node, str(error), op.all_inputs())


def _no_rule(_: Op) -> Fact:
    raise NotProvenError("not known to treat every row alone")


def _weight(op: Op) -> Fact:
    definition = op_def_registry.get(op.node.op)
    if definition is None or (definition.is_stateful and op.node.op not in STATEFUL_READS):
        raise NotProvenError("it changes state or draws random numbers")
    return WEIGHT


def _unproven(node: Any, reason: str, inputs: frozenset[str]) -> Fact:
    return Fact(Kind.UNPROVEN, inputs, reason=f"{node.name} ({node.op}): {reason}")


def _count_outputs(node: Any, known: Known) -> int:
    count = 0
    while f"{node.name}:{count}" in known.dtypes:
        count += 1
    return count
