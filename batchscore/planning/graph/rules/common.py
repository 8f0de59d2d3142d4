"""What the rules share: which of an op's inputs are rows, and the fact of its result."""

from __future__ import annotations

from batchscore.planning.graph.rowwise import Fact, Kind, NotProvenError, Op, Padding


def rows_of(op: Op) -> list[int]:
    """Indices of the inputs that are rows; all others must be weights."""
    rows = []
    for index, fact in enumerate(op.facts):
        if fact.kind is Kind.ROWS:
            rows.append(index)
        elif fact.kind is not Kind.WEIGHT:
            raise NotProvenError(mixes(fact))
    return rows


def mixes(fact: Fact) -> str:
    """Why an input that is neither a weight nor rows makes a tensor unprovable."""
    if fact.kind is Kind.SIZE or fact.kind is Kind.COUNT:
        return "its result depends on the number of rows in the batch"
    return f"it takes a tensor of another kind ({fact.kind.name})"


def require_weight(op: Op, *indices: int) -> None:
    """The inputs at `indices` must be weights."""
    for index in indices:
        if op.facts[index].kind is not Kind.WEIGHT:
            raise NotProvenError(f"its input {index} is not the same for every batch")


def only_rows(op: Op, index: int = 0) -> Fact:
    """Input `index` as rows; every other input must be a weight."""
    if rows_of(op) != [index]:
        raise NotProvenError("it combines rows of the batch with one another")
    return op.facts[index]


def same_rows(op: Op, count: int) -> Fact:
    """The first `count` inputs as rows along the same axis of the same number."""
    facts = op.facts[:count]
    if any(fact.kind is not Kind.ROWS for fact in facts):
        raise NotProvenError("it joins the batch with tensors that are no rows")
    if len({(fact.axis, fact.per_row) for fact in facts}) != 1:
        raise NotProvenError("it combines rows of the batch with one another (their axes do not line up)")
    return facts[0]


def as_rows(
    op: Op, like: Fact, *, axis: int | None = None, per_row: int | None = None, padding: Padding | None
) -> Fact:
    """The fact of a result that is rows like `like` but for the axis, the number per row and the padding given."""
    return Fact(
        Kind.ROWS,
        op.all_inputs(),
        axis=like.axis if axis is None else axis,
        per_row=like.per_row if per_row is None else per_row,
        padding=padding,
    )


def no_padding(*facts: Fact) -> None:
    """None of `facts` may be padded to the longest text of the batch."""
    if any(fact.padding for fact in facts):
        raise NotProvenError("its result depends on the longest text of the batch")
