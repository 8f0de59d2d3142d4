"""Rules of look-ups, embeddings, categories and texts."""

from __future__ import annotations

from dataclasses import replace

from batchscore.planning.graph.rowwise import Fact, Kind, NotProvenError, Op, Padding
from batchscore.planning.graph.rules.common import as_rows, mixes, no_padding, only_rows, require_weight


def lookup(op: Op) -> Fact:
    """LookupTableFindV2(table, keys, default)."""
    require_weight(op, 0, 2)
    fact = op.facts[1]
    if fact.kind not in (Kind.ROWS, Kind.FLAT, Kind.DISTINCT):
        raise NotProvenError(mixes(fact))
    padding = fact.padding and replace(fact.padding, zero=False)
    return replace(fact, padding=padding)


def gather(op: Op) -> Fact:
    """ResourceGather(variable, ids), GatherV2(values, ids, axis)."""
    values, ids = op.facts[0], op.facts[1]
    axis = int(op.constant(2)) if op.node.op == "GatherV2" else 0
    if op.attr("batch_dims").i != 0:
        raise NotProvenError("a gather with batch_dims")
    if values.kind is Kind.WEIGHT:
        if axis != 0:
            raise NotProvenError("it gathers along an axis other than the first")
        if ids.kind in (Kind.FLAT, Kind.DISTINCT):
            return ids
        rows = only_rows(op, 1)
        return replace(rows, padding=rows.padding and replace(rows.padding, zero=False))
    if (
        values.kind is Kind.DISTINCT
        and ids.kind is Kind.DISTINCT_ROWS
        and values.source == ids.source
        and axis == 0
    ):
        return as_rows(op, Fact(Kind.ROWS, axis=0, per_row=ids.per_row), padding=None)
    rows = only_rows(op)
    axis %= op.rank(0)
    if axis <= rows.axis or op.rank(1) > 1 or rows.padding is not None:
        raise NotProvenError("it picks rows of the batch")
    return as_rows(op, rows, padding=None)


def unique(op: Op) -> list[Fact]:
    """Unique, UniqueV2: harmless as long as what was distinct is gathered back to rows."""
    rows = only_rows(op)
    if op.rank(0) != 1 or rows.axis != 0:
        raise NotProvenError("distinct values of something other than one axis of rows")
    name = op.node.name
    return [
        Fact(Kind.DISTINCT, rows.inputs, source=name),
        Fact(Kind.DISTINCT_ROWS, rows.inputs, source=name, per_row=rows.per_row),
    ]


def one_hot(op: Op) -> Fact:
    """OneHot, with its new axis last."""
    rows = only_rows(op)
    if op.attr("axis").i not in (-1, op.rank(0)):
        raise NotProvenError("it puts its axis before the batch's")
    return as_rows(op, rows, padding=rows.padding and replace(rows.padding, zero=False))


def dense_bincount(op: Op) -> Fact:
    """DenseBincount of [rows, values]."""
    rows = only_rows(op)
    if op.rank(0) != 2 or rows.axis != 0:  # noqa: PLR2004
        raise NotProvenError("it counts over the batch")
    no_padding(rows)
    return as_rows(op, rows, padding=None)


def string_split(op: Op) -> list[Fact]:
    """StringSplitV2 of one text per row: (row and position of each word, words, [rows, longest])."""
    rows = only_rows(op)
    if op.rank(0) != 1 or rows.axis != 0 or rows.per_row != 1:
        raise NotProvenError("it splits something other than one text per row")
    source, inputs = op.node.name, rows.inputs
    return [
        Fact(Kind.FLAT_ROWS, inputs, source=source, pairs=True),
        Fact(Kind.FLAT, inputs, source=source),
        Fact(Kind.COUNT, inputs, source=source, pairs=True),
    ]


_FIRST_DIM_SIZE, _VALUE_ROWIDS = b"FIRST_DIM_SIZE", b"VALUE_ROWIDS"


def ragged_to_dense(op: Op) -> Fact:
    """RaggedTensorToTensor of the words of each row: padded to a fixed length, or to the longest of the batch."""
    types = list(op.attr("row_partition_types").list.s)
    values = op.facts[1]
    if types != [_FIRST_DIM_SIZE, _VALUE_ROWIDS] or values.kind is not Kind.FLAT:
        raise NotProvenError("ragged rows of this form are not analysed")
    require_weight(op, 0, 2)
    count, owner = op.facts[3], op.facts[4]
    if (count.kind, owner.kind) != (Kind.COUNT, Kind.FLAT_ROWS) or count.pairs or owner.pairs:
        raise NotProvenError("ragged rows of this form are not analysed")
    if not values.source == count.source == owner.source:
        raise NotProvenError("it combines texts of different lengths")
    shape = op.constant(0).reshape(-1)
    if len(shape) == 0 or int(shape[0]) != -1:
        raise NotProvenError("the number of rows is fixed")
    if len(shape) > 1 and int(shape[1]) > 0:
        return Fact(Kind.ROWS, op.all_inputs())
    return Fact(Kind.ROWS, op.all_inputs(), padding=Padding(1, op.node.name, op.is_zero(2)))
