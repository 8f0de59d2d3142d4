"""Rules of ops that map entries one by one, with broadcasting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from batchscore.planning.graph.facts import Dim, Linear
from batchscore.planning.graph.rowwise import WEIGHT, Fact, Kind, NotProvenError, Op, Padding
from batchscore.planning.graph.rules.common import as_rows, no_padding, only_rows, rows_of, same_rows


def elementwise(op: Op) -> Fact:
    """Broadcasting ops of one to three inputs: rows must meet rows of the same number, weights must not."""
    flat = next((fact for fact in op.facts if fact.kind in (Kind.FLAT, Kind.DISTINCT)), None)
    if flat is not None:
        return _elementwise_flat(op, flat)
    rows = rows_of(op)
    rank = max(op.rank(index) for index in range(len(op.facts)))
    from_right = {op.rank(index) - op.facts[index].axis for index in rows}
    if len(from_right) != 1 or len({op.facts[index].per_row for index in rows}) != 1:
        raise NotProvenError("it combines rows of the batch with one another (their axes do not line up)")
    right = from_right.pop()
    for index, fact in enumerate(op.facts):
        if fact.kind is Kind.WEIGHT and op.rank(index) >= right and op.shape(index)[-right] != Dim(1):
            raise NotProvenError("a weight has its own entry for each position in the batch")
    return as_rows(op, op.facts[rows[0]], axis=rank - right, padding=_elementwise_padding(op, rows, rank))


def _elementwise_flat(op: Op, flat: Fact) -> Fact:
    for index, fact in enumerate(op.facts):
        if fact.kind is Kind.WEIGHT:
            if op.rank(index) and op.rank(index) >= op.rank(op.facts.index(flat)):
                raise NotProvenError("a weight has its own entry for each position in the batch")
        elif (fact.kind, fact.source) != (flat.kind, flat.source) or op.rank(index) != op.rank(
            op.facts.index(flat)
        ):
            raise NotProvenError("it combines rows of the batch with one another")
    return replace(flat, inputs=op.all_inputs())


_ZERO_STAYS_ZERO = frozenset({
    "Abs", "Cast", "Erf", "Floor", "Identity", "Neg", "Relu", "Relu6", "Round", "Sign", "Sqrt", "Square",
    "StopGradient", "Tanh", "Expm1", "Log1p", "LeakyRelu", "Elu", "Selu", "Softsign", "Sin", "ZerosLike",
})  # fmt: skip


_ZERO_FROM_ZEROS = frozenset({"Add", "AddV2", "Sub", "Maximum", "Minimum", "LogicalOr", "NotEqual", "AddN"})


_ZERO_FROM_ONE = frozenset({"Mul", "LogicalAnd", "MulNoNan"})


def _elementwise_padding(op: Op, rows: list[int], rank: int) -> Padding | None:
    padded = [(index, op.facts[index].padding) for index in rows if op.facts[index].padding is not None]
    if not padded:
        return None
    spots = {(padding.axis + rank - op.rank(index), padding.source) for index, padding in padded if padding}
    if len(spots) != 1:
        raise NotProvenError("it combines texts of different lengths")
    axis, source = spots.pop()
    zeros = [
        op.is_zero(index) or (fact.padding is not None and fact.padding.zero) for index, fact in enumerate(op.facts)
    ]
    kind = op.node.op
    zero = (
        (kind in _ZERO_STAYS_ZERO and zeros[0])
        or (kind in _ZERO_FROM_ZEROS and all(zeros))
        or (kind in _ZERO_FROM_ONE and any(zeros))
        or (kind in ("RealDiv", "DivNoNan", "Xdivy") and zeros[0] and op.facts[1].padding is None)
        or (kind == "SelectV2" and zeros[2] and (zeros[0] or zeros[1]))
    )
    return Padding(axis, source, zero)


def select(op: Op) -> Fact:
    """The first `Select`: like its successor for one rank or a scalar condition; of rank 1 it picks whole rows."""
    if op.rank(0) != 1 or op.rank(1) == 1:
        return elementwise(op)
    no_padding(*op.facts)
    rows = same_rows(op, 3)
    if rows.axis != 0:
        raise NotProvenError("its condition does not line up with its values")
    return as_rows(op, rows, padding=None)


def unary(op: Op) -> Fact:
    """One input whose entries are mapped one by one, whatever it is."""
    fact = op.facts[0]
    if fact.kind in (Kind.FLAT, Kind.DISTINCT, Kind.FLAT_ROWS, Kind.COUNT, Kind.DISTINCT_ROWS) and op.node.op in (
        "Identity",
        "Cast",
    ):
        return fact
    return elementwise(op)


def maximum(op: Op) -> Fact:
    """Maximum; of an unproven value it is still known that it is at least the other input (see `_minimum`)."""
    for bound, value in ((0, 1), (1, 0)):
        if op.facts[value].kind is Kind.UNPROVEN:
            least = op.names[bound] if op.facts[bound].kind is Kind.WEIGHT else ""
            return replace(op.facts[value], source=least)
    return elementwise(op)


def minimum(op: Op) -> Fact:
    """Minimum, and Keras's clip min(depth, max(depth, value)), which is depth for any value."""
    if all(fact.kind is not Kind.UNPROVEN for fact in op.facts):
        return elementwise(op)
    for bound, value in ((0, 1), (1, 0)):
        least = op.facts[value].source
        if op.facts[bound].kind is Kind.WEIGHT and least:
            limit, low = op.constant(bound), op.known.constant(least)
            if low is not None and limit.ndim == low.ndim == 0 and low >= limit:
                op.known.values[f"{op.node.name}:0"] = Linear(limit, np.zeros((), np.int64))
                return WEIGHT
    return next(fact for fact in op.facts if fact.kind is Kind.UNPROVEN)


def bias_add(op: Op) -> Fact:
    """BiasAdd(rows, weight): the bias runs along another axis than the batch."""
    rows = only_rows(op)
    channels_first = op.attr("data_format").s == b"NCHW"
    if rows.axis == (1 if channels_first else op.rank(0) - 1):
        raise NotProvenError("a weight has its own entry for each position in the batch")
    return as_rows(op, rows, padding=rows.padding and replace(rows.padding, zero=False))
