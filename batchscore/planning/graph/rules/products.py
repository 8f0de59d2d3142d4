"""Rules of products, and of what reduces, normalises or sorts along an axis."""

from __future__ import annotations

from dataclasses import replace

from batchscore.planning.graph.facts import Dim
from batchscore.planning.graph.rowwise import Fact, Kind, NotProvenError, Op
from batchscore.planning.graph.rules.common import as_rows, no_padding, only_rows, rows_of


def matmul(op: Op) -> Fact:
    """MatMul(rows, weight)."""
    rows = only_rows(op)
    if op.attr("transpose_a").b or rows.axis != 0 or op.rank(0) != 2:  # noqa: PLR2004
        raise NotProvenError("it multiplies along the batch")
    no_padding(rows)
    return as_rows(op, rows, padding=None)


def batch_matmul(op: Op) -> Fact:
    """BatchMatMul: the batch is one of its batch axes, or `rows [.., n, d]` meets one weight `[d, e]`."""
    rows = rows_of(op)
    right = {op.rank(index) - op.facts[index].axis for index in rows}
    if any(op.facts[index].padding for index in rows):
        raise NotProvenError("a product over texts whose length depends on the batch")
    if len(rows) == 1 and rows == [0] and right == {2} and op.rank(1) == 2 and not op.attr("adj_x").b:  # noqa: PLR2004
        return as_rows(op, op.facts[0], padding=None)
    if len(right) != 1 or min(right) < 3 or len({op.facts[i].per_row for i in rows}) != 1:  # noqa: PLR2004
        raise NotProvenError("it multiplies rows of the batch with one another")
    distance = right.pop()
    for index, fact in enumerate(op.facts):
        if fact.kind is Kind.WEIGHT and op.rank(index) >= distance and op.shape(index)[-distance] != Dim(1):
            raise NotProvenError("a weight has its own entry for each position in the batch")
    rank = len(op.output_shape())
    return as_rows(op, op.facts[rows[0]], axis=rank - distance, padding=None)


def einsum(op: Op) -> Fact:
    """Einsum: the label of the batch stands in the result, and in no weight."""
    equation = op.attr("equation").s.decode()
    sources, result = equation.replace(" ", "").split("->")
    terms = sources.split(",")
    rows = rows_of(op)
    if "." in equation or any(op.facts[index].padding for index in rows):
        raise NotProvenError(f"the equation {equation} is not analysed")
    labels = {terms[index][op.facts[index].axis] for index in rows}
    if len(labels) != 1 or len({op.facts[index].per_row for index in rows}) != 1:
        raise NotProvenError("it multiplies rows of the batch with one another")
    label = labels.pop()
    if label not in result or any(label in terms[i] for i in range(len(terms)) if i not in rows):
        raise NotProvenError("it sums over the batch")
    if any(term.count(label) > 1 for term in terms):
        raise NotProvenError("it multiplies rows of the batch with one another")
    return as_rows(op, op.facts[rows[0]], axis=result.index(label), padding=None)


def reduce(op: Op) -> Fact:
    """Reductions, over axes other than the batch."""
    rows = only_rows(op)
    rank = op.rank(0)
    axes = {int(axis) % rank for axis in op.constant(1).reshape(-1)}
    if rows.axis in axes:
        raise NotProvenError("it reduces over the batch")
    padding = rows.padding
    if padding is not None and padding.axis in axes:
        if not (op.node.op in ("Sum", "Any") and padding.zero):
            raise NotProvenError("its result depends on the longest text of the batch")
        padding = None
    if op.attr("keep_dims").b:
        return as_rows(op, rows, padding=padding)
    padding = padding and replace(padding, axis=padding.axis - sum(axis < padding.axis for axis in axes))
    return as_rows(op, rows, axis=rows.axis - sum(axis < rows.axis for axis in axes), padding=padding)


def last_axis(op: Op) -> Fact:
    """Ops that treat vectors along the last axis."""
    rows = only_rows(op)
    if rows.axis == op.rank(0) - 1 or (rows.padding is not None and rows.padding.axis == op.rank(0) - 1):
        raise NotProvenError("it normalises or sorts over the batch")
    return as_rows(op, rows, padding=rows.padding and replace(rows.padding, zero=False))


def cumulative(op: Op) -> Fact:
    """Cumsum, Cumprod."""
    rows = only_rows(op)
    if int(op.constant(1)) % op.rank(0) == rows.axis:
        raise NotProvenError("it accumulates over the batch")
    no_padding(rows)
    return as_rows(op, rows, padding=None)


def fused_batch_norm(op: Op) -> list[Fact]:
    """Inference over rows; or training over [1, rows, width, 1], with which Keras normalises each row alone."""
    value = op.facts[0]
    if not op.attr("is_training").b:
        rows = only_rows(op)
        if rows.axis != 0 or rows.padding is not None:
            raise NotProvenError("the batch is no longer its first axis")
        found = as_rows(op, rows, padding=None)
    else:
        if value.kind is not Kind.ROWS or value.axis != 1 or op.attr("data_format").s != b"NCHW":
            raise NotProvenError("it normalises over the batch (training mode)")
        if any(f.kind is Kind.ROWS and (f.axis, f.per_row) != (0, value.per_row) for f in op.facts[1:]):
            raise NotProvenError("its scale does not line up with the rows")
        if any(f.kind not in (Kind.ROWS, Kind.WEIGHT) for f in op.facts):
            raise NotProvenError("its scale is not row-wise")
        found = as_rows(op, value, padding=None)
    rest = Fact(Kind.UNPROVEN, op.all_inputs(), reason=f"{op.node.name}: statistics of the batch")
    return [found, *[rest] * 5]
