"""The rule of each op: when its result is row-wise, given that its inputs are.

A rule takes an `Op` and gives the `Fact` of its outputs, or raises NotProvenError. Positions of axes are counted
from the left; `_only_rows` and `_same_rows` say which mixtures of weights and rows a rule admits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from batchscore.planning.facts import Dim, Linear, Shape
from batchscore.planning.rowwise import WEIGHT, Fact, Kind, NotProvenError, Op, Padding, Rule

_FIRST_DIM_SIZE, _VALUE_ROWIDS = b"FIRST_DIM_SIZE", b"VALUE_ROWIDS"


def _rows_of(op: Op) -> list[int]:
    """Indices of the inputs that are rows; all others must be weights."""
    rows = []
    for index, fact in enumerate(op.facts):
        if fact.kind is Kind.ROWS:
            rows.append(index)
        elif fact.kind is not Kind.WEIGHT:
            raise NotProvenError(_mixes(fact))
    return rows


def _mixes(fact: Fact) -> str:
    if fact.kind is Kind.SIZE or fact.kind is Kind.COUNT:
        return "its result depends on the number of rows in the batch"
    return f"it takes a tensor of another kind ({fact.kind.name})"


def _weight(op: Op, *indices: int) -> None:
    for index in indices:
        if op.facts[index].kind is not Kind.WEIGHT:
            raise NotProvenError(f"its input {index} is not the same for every batch")


def _only_rows(op: Op, index: int = 0) -> Fact:
    """Input `index` as rows; every other input must be a weight."""
    if _rows_of(op) != [index]:
        raise NotProvenError("it combines rows of the batch with one another")
    return op.facts[index]


def _result(op: Op, like: Fact, *, axis: int | None = None, per_row: int | None = None, padding: Padding | None) -> Fact:
    return Fact(
        Kind.ROWS,
        op.all_inputs(),
        axis=like.axis if axis is None else axis,
        per_row=like.per_row if per_row is None else per_row,
        padding=padding,
    )


def elementwise(op: Op) -> Fact:
    """Broadcasting ops of one to three inputs: rows must meet rows of the same number, weights must not."""
    flat = next((fact for fact in op.facts if fact.kind in (Kind.FLAT, Kind.DISTINCT)), None)
    if flat is not None:
        return _elementwise_flat(op, flat)
    rows = _rows_of(op)
    rank = max(op.rank(index) for index in range(len(op.facts)))
    from_right = {op.rank(index) - op.facts[index].axis for index in rows}
    if len(from_right) != 1 or len({op.facts[index].per_row for index in rows}) != 1:
        raise NotProvenError("it combines rows of the batch with one another (their axes do not line up)")
    right = from_right.pop()
    for index, fact in enumerate(op.facts):
        if fact.kind is Kind.WEIGHT and op.rank(index) >= right and op.shape(index)[-right] != Dim(1):
            raise NotProvenError("a weight has its own entry for each position in the batch")
    return _result(op, op.facts[rows[0]], axis=rank - right, padding=_elementwise_padding(op, rows, rank))


def _elementwise_flat(op: Op, flat: Fact) -> Fact:
    for index, fact in enumerate(op.facts):
        if fact.kind is Kind.WEIGHT:
            if op.rank(index) and op.rank(index) >= op.rank(op.facts.index(flat)):
                raise NotProvenError("a weight has its own entry for each position in the batch")
        elif (fact.kind, fact.source) != (flat.kind, flat.source) or op.rank(index) != op.rank(op.facts.index(flat)):
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


def _select(op: Op) -> Fact:
    """The first `Select`: a condition of rank 1 picks whole rows."""
    ranks = {op.rank(index) for index in range(3)}
    if len(ranks) > 1 and not (op.rank(0) == 1 and all(op.facts[i].kind is Kind.ROWS for i in range(3))):
        raise NotProvenError("its condition does not line up with its values")
    rows = _rows_of(op)
    if {(op.facts[i].axis, op.facts[i].per_row) for i in rows} != {(0, op.facts[rows[0]].per_row)}:
        raise NotProvenError("it combines rows of the batch with one another")
    if any(op.facts[i].padding for i in rows):
        raise NotProvenError("it combines texts of different lengths")
    if len(rows) != len(op.facts) and len(ranks) == 1 and op.rank(0) and any(
        op.facts[i].kind is Kind.WEIGHT and op.shape(i)[0] != Dim(1) for i in range(3)
    ):
        raise NotProvenError("a weight has its own entry for each position in the batch")
    return _result(op, op.facts[rows[0]], padding=None)


def _lookup(op: Op) -> Fact:
    """LookupTableFindV2(table, keys, default)."""
    _weight(op, 0, 2)
    fact = op.facts[1]
    if fact.kind not in (Kind.ROWS, Kind.FLAT, Kind.DISTINCT):
        raise NotProvenError(_mixes(fact))
    padding = fact.padding and replace(fact.padding, zero=False)
    return replace(fact, padding=padding)


def _gather(op: Op) -> Fact:
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
        rows = _only_rows(op, 1)
        return replace(rows, padding=rows.padding and replace(rows.padding, zero=False))
    if values.kind is Kind.DISTINCT and ids.kind is Kind.DISTINCT_ROWS and values.source == ids.source and axis == 0:
        return _result(op, Fact(Kind.ROWS, axis=0, per_row=ids.per_row), padding=None)
    rows = _only_rows(op)
    axis %= op.rank(0)
    if axis <= rows.axis or op.rank(1) > 1 or rows.padding is not None:
        raise NotProvenError("it picks rows of the batch")
    return _result(op, rows, padding=None)


def _unique(op: Op) -> list[Fact]:
    rows = _only_rows(op)
    if op.rank(0) != 1 or rows.axis != 0:
        raise NotProvenError("distinct values of something other than one axis of rows")
    name = op.node.name
    return [
        Fact(Kind.DISTINCT, rows.inputs, source=name),
        Fact(Kind.DISTINCT_ROWS, rows.inputs, source=name, per_row=rows.per_row),
    ]


def _matmul(op: Op) -> Fact:
    rows = _only_rows(op)
    if op.attr("transpose_a").b or rows.axis != 0 or op.rank(0) != 2:  # noqa: PLR2004
        raise NotProvenError("it multiplies along the batch")
    _no_padding(rows)
    return _result(op, rows, padding=None)


def _batch_matmul(op: Op) -> Fact:
    rows = _rows_of(op)
    right = {op.rank(index) - op.facts[index].axis for index in rows}
    if any(op.facts[index].padding for index in rows):
        raise NotProvenError("a product over texts whose length depends on the batch")
    if len(rows) == 1 and rows == [0] and right == {2} and op.rank(1) == 2 and not op.attr("adj_x").b:  # noqa: PLR2004
        return _result(op, op.facts[0], padding=None)
    if len(right) != 1 or min(right) < 3 or len({op.facts[i].per_row for i in rows}) != 1:  # noqa: PLR2004
        raise NotProvenError("it multiplies rows of the batch with one another")
    distance = right.pop()
    for index, fact in enumerate(op.facts):
        if fact.kind is Kind.WEIGHT and op.rank(index) >= distance and op.shape(index)[-distance] != Dim(1):
            raise NotProvenError("a weight has its own entry for each position in the batch")
    rank = len(op.output_shape())
    return _result(op, op.facts[rows[0]], axis=rank - distance, padding=None)


def _einsum(op: Op) -> Fact:
    equation = op.attr("equation").s.decode()
    sources, result = equation.replace(" ", "").split("->")
    terms = sources.split(",")
    rows = _rows_of(op)
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
    return _result(op, op.facts[rows[0]], axis=result.index(label), padding=None)


def _no_padding(*facts: Fact) -> None:
    if any(fact.padding for fact in facts):
        raise NotProvenError("its result depends on the longest text of the batch")


def _bias_add(op: Op) -> Fact:
    rows = _only_rows(op)
    channels_first = op.attr("data_format").s == b"NCHW"
    if rows.axis == (1 if channels_first else op.rank(0) - 1):
        raise NotProvenError("a weight has its own entry for each position in the batch")
    return _result(op, rows, padding=rows.padding and replace(rows.padding, zero=False))


def _same_rows(op: Op, count: int) -> Fact:
    """The first `count` inputs as rows along the same axis of the same number."""
    facts = op.facts[:count]
    if any(fact.kind is not Kind.ROWS for fact in facts):
        raise NotProvenError("it joins the batch with tensors that are no rows")
    if len({(fact.axis, fact.per_row) for fact in facts}) != 1:
        raise NotProvenError("it combines rows of the batch with one another (their axes do not line up)")
    return facts[0]


def _joined_padding(op: Op, count: int, axis: int) -> Padding | None:
    paddings = {(f.padding.axis, f.padding.source) if f.padding else None for f in op.facts[:count]}
    first = op.facts[0].padding
    if paddings == {None} or first is None:
        if paddings != {None}:
            raise NotProvenError("it combines texts of different lengths")
        return None
    if len(paddings) != 1 or first.axis == axis:
        raise NotProvenError("it combines texts of different lengths")
    zero = all(fact.padding is not None and fact.padding.zero for fact in op.facts[:count])
    return replace(first, zero=zero)


def _concat(op: Op) -> Fact:
    count = op.attr("N").i
    rows = _same_rows(op, count)
    axis = int(op.constant(count)) % op.rank(0)
    if axis == rows.axis:
        raise NotProvenError("it lengthens the batch")
    return _result(op, rows, padding=_joined_padding(op, count, axis))


def _pack(op: Op) -> Fact:
    count = op.attr("N").i
    rows = _same_rows(op, count)
    axis = op.attr("axis").i % (op.rank(0) + 1)
    _no_padding(*op.facts)
    return _result(op, rows, axis=rows.axis + (axis <= rows.axis), padding=None)


def _unpack(op: Op) -> Fact:
    rows = _only_rows(op)
    axis = op.attr("axis").i % op.rank(0)
    _no_padding(rows)
    if axis == rows.axis:
        raise NotProvenError("it takes the batch apart")
    return _result(op, rows, axis=rows.axis - (axis < rows.axis), padding=None)


def _expand_dims(op: Op) -> Fact:
    rows = _only_rows(op)
    new = int(op.constant(1)) % (op.rank(0) + 1)
    padding = rows.padding and replace(rows.padding, axis=rows.padding.axis + (new <= rows.padding.axis))
    return _result(op, rows, axis=rows.axis + (new <= rows.axis), padding=padding)


def squeezed_axes(op: Op) -> list[int]:
    """The axes that a Squeeze removes, the batch never being one of them."""
    rank = op.rank(0)
    axes = sorted(int(axis) % rank for axis in op.attr("squeeze_dims").list.i)
    if not axes:
        if any(dim is None for dim in op.shape(0)):
            raise NotProvenError("which axes it removes depends on the batch")
        axes = [axis for axis, dim in enumerate(op.shape(0)) if dim == Dim(1)]
    return axes


def _squeeze(op: Op) -> Fact:
    rows = _only_rows(op)
    axes = squeezed_axes(op)
    if rows.axis in axes or (rows.padding is not None and rows.padding.axis in axes):
        raise NotProvenError("it removes the batch's axis")
    padding = rows.padding and replace(
        rows.padding, axis=rows.padding.axis - sum(axis < rows.padding.axis for axis in axes)
    )
    return _result(op, rows, axis=rows.axis - sum(axis < rows.axis for axis in axes), padding=padding)


def _reshape(op: Op) -> Fact:
    if op.facts[0].kind is Kind.ROWS and op.facts[1].kind not in (Kind.WEIGHT, Kind.SIZE):
        raise NotProvenError("its shape depends on values")
    rows = op.facts[0]
    if rows.kind is not Kind.ROWS:
        raise NotProvenError(_mixes(rows))
    before, after = op.shape(0), op.output_shape()
    if rows.padding is not None or None in before or None in after:
        raise NotProvenError("it reshapes texts whose length depends on the batch")
    leading = _leading_ones(after)
    if _leading_ones(before) != rows.axis or leading == len(after) or not after[leading].per_row:  # type: ignore[union-attr]
        raise NotProvenError("it mixes the batch with another axis")
    batch = after[leading]
    rest = after[leading + 1 :]
    if batch is None or batch.fixed or any(dim is None or dim.per_row for dim in rest):
        raise NotProvenError("it mixes the batch with another axis")
    return _result(op, rows, axis=leading, per_row=batch.per_row, padding=None)


def _leading_ones(shape: Shape) -> int:
    count = 0
    while count < len(shape) and shape[count] == Dim(1):
        count += 1
    return count


def _transpose(op: Op) -> Fact:
    rows = _only_rows(op)
    permutation = [int(axis) for axis in op.constant(1)]
    padding = rows.padding and replace(rows.padding, axis=permutation.index(rows.padding.axis))
    return _result(op, rows, axis=permutation.index(rows.axis), padding=padding)


def _strided_slice(op: Op) -> Fact:
    source = op.facts[0]
    if source.kind in (Kind.FLAT_ROWS, Kind.COUNT) and source.pairs:
        return _first_of_pair(op, source)
    rows = _only_rows(op)
    axis, result_axis, padded_axis = 0, 0, None
    kept = -1
    for kind, whole in _slice_entries(op):
        if kind == "new":
            result_axis += 1
            continue
        if axis == rows.axis:
            if kind != "range" or not whole:
                raise NotProvenError("it cuts the batch")
            kept = result_axis
        if rows.padding is not None and axis == rows.padding.axis:
            if kind != "range" or not whole:
                raise NotProvenError("it cuts texts whose length depends on the batch")
            padded_axis = result_axis
        axis += 1
        result_axis += kind == "range"
    padding = None if padded_axis is None or rows.padding is None else replace(rows.padding, axis=padded_axis)
    return _result(op, rows, axis=kept, padding=padding)


def _slice_entries(op: Op) -> list[tuple[str, bool]]:
    """What a StridedSlice does with each axis in turn: a `range` (and whether it is all of it), `one`, or a `new`."""
    begin, _, strides = (op.constant(index) for index in (1, 2, 3))
    masks = {name: op.attr(f"{name}_mask").i for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    entries: list[tuple[str, bool]] = []
    for position in range(len(begin)):
        bit = 1 << position
        if masks["ellipsis"] & bit:
            later = range(position + 1, len(begin))
            named = len([e for e in entries if e[0] != "new"]) + sum(not masks["new_axis"] >> i & 1 for i in later)
            entries += [("range", True)] * (op.rank(0) - named)
        elif masks["new_axis"] & bit:
            entries.append(("new", True))
        elif masks["shrink_axis"] & bit:
            entries.append(("one", False))
        else:
            whole = bool(masks["begin"] & bit and masks["end"] & bit and strides[position] == 1)
            entries.append(("range", whole))
    named = len([entry for entry in entries if entry[0] != "new"])
    return entries + [("range", True)] * (op.rank(0) - named)


def _first_of_pair(op: Op, source: Fact) -> Fact:
    """`pairs[:, 0]`, the row of each entry, or `[rows, longest][0]`, the number of rows."""
    entries = _slice_entries(op)
    wanted = [("range", True), ("one", False)] if source.kind is Kind.FLAT_ROWS else [("one", False)]
    if entries != wanted or int(op.constant(1)[-1]) != 0:
        raise NotProvenError("the position of a word in its text is not analysed")
    return replace(source, pairs=False)


def _slice(op: Op) -> Fact:
    rows = _only_rows(op)
    begin, size = op.constant(1), op.constant(2)
    for axis in {rows.axis} | ({rows.padding.axis} if rows.padding else set()):
        if int(begin[axis]) != 0 or int(size[axis]) != -1:
            raise NotProvenError("it cuts the batch")
    return _result(op, rows, padding=rows.padding)


def _split(op: Op) -> Fact:
    """Split(axis, value), SplitV(value, sizes, axis)."""
    value, at = (1, 0) if op.node.op == "Split" else (0, 2)
    rows = _only_rows(op, value)
    if int(op.constant(at)) % op.rank(value) in {rows.axis, rows.padding.axis if rows.padding else rows.axis}:
        raise NotProvenError("it takes the batch apart")
    return _result(op, rows, padding=rows.padding)


def _reduce(op: Op) -> Fact:
    rows = _only_rows(op)
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
        return _result(op, rows, padding=padding)
    padding = padding and replace(padding, axis=padding.axis - sum(axis < padding.axis for axis in axes))
    return _result(op, rows, axis=rows.axis - sum(axis < rows.axis for axis in axes), padding=padding)


def _last_axis(op: Op) -> Fact:
    rows = _only_rows(op)
    if rows.axis == op.rank(0) - 1 or (rows.padding is not None and rows.padding.axis == op.rank(0) - 1):
        raise NotProvenError("it normalises or sorts over the batch")
    return _result(op, rows, padding=rows.padding and replace(rows.padding, zero=False))


def _cumulative(op: Op) -> Fact:
    rows = _only_rows(op)
    if int(op.constant(1)) % op.rank(0) == rows.axis:
        raise NotProvenError("it accumulates over the batch")
    _no_padding(rows)
    return _result(op, rows, padding=None)


def _one_hot(op: Op) -> Fact:
    rows = _only_rows(op)
    if op.attr("axis").i not in (-1, op.rank(0)):
        raise NotProvenError("it puts its axis before the batch's")
    return _result(op, rows, padding=rows.padding and replace(rows.padding, zero=False))


def _dense_bincount(op: Op) -> Fact:
    rows = _only_rows(op)
    if op.rank(0) != 2 or rows.axis != 0:  # noqa: PLR2004
        raise NotProvenError("it counts over the batch")
    _no_padding(rows)
    return _result(op, rows, padding=None)


def _minimum(op: Op) -> Fact:
    """Minimum, and the clip that Keras writes as minimum(depth, maximum(depth, value)): it is depth for any value."""
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


def _fused_batch_norm(op: Op) -> list[Fact]:
    """Inference over rows; or training over [1, rows, width, 1], with which Keras normalises each row alone."""
    value = op.facts[0]
    if not op.attr("is_training").b:
        rows = _only_rows(op)
        if rows.axis != 0 or rows.padding is not None:
            raise NotProvenError("the batch is no longer its first axis")
        found = _result(op, rows, padding=None)
    else:
        if value.kind is not Kind.ROWS or value.axis != 1 or op.attr("data_format").s != b"NCHW":
            raise NotProvenError("it normalises over the batch (training mode)")
        if any(f.kind is Kind.ROWS and (f.axis, f.per_row) != (0, value.per_row) for f in op.facts[1:]):
            raise NotProvenError("its scale does not line up with the rows")
        if any(f.kind not in (Kind.ROWS, Kind.WEIGHT) for f in op.facts):
            raise NotProvenError("its scale is not row-wise")
        found = _result(op, value, padding=None)
    rest = Fact(Kind.UNPROVEN, op.all_inputs(), reason=f"{op.node.name}: statistics of the batch")
    return [found, *[rest] * 5]


def _fill(op: Op) -> Fact:
    """Fill(dims, value), BroadcastTo(value, dims): a constant with one entry a row."""
    dims, value = (0, 1) if op.node.op == "Fill" else (1, 0)
    shape = op.output_shape()
    axes = [axis for axis, dim in enumerate(shape) if dim is None or dim.per_row]
    if op.facts[dims].kind not in (Kind.WEIGHT, Kind.SIZE) or len(axes) != 1:
        raise NotProvenError("its shape is not that of rows")
    dim = shape[axes[0]]
    if dim is None or dim.fixed:
        raise NotProvenError("its shape is not that of rows")
    fact = op.facts[value]
    if fact.kind is Kind.ROWS:
        right = op.rank(value) - fact.axis
        if fact.padding is not None or len(shape) - right != axes[0] or fact.per_row != dim.per_row:
            raise NotProvenError("it repeats rows")
    elif fact.kind is not Kind.WEIGHT:
        raise NotProvenError(_mixes(fact))
    return Fact(Kind.ROWS, fact.inputs, axis=axes[0], per_row=dim.per_row)


def _tile(op: Op) -> Fact:
    rows = _only_rows(op)
    times = op.constant(1)
    if int(times[rows.axis]) != 1 or rows.padding is not None:
        raise NotProvenError("it repeats the batch")
    return _result(op, rows, padding=None)


def _string_split(op: Op) -> list[Fact]:
    rows = _only_rows(op)
    if op.rank(0) != 1 or rows.axis != 0 or rows.per_row != 1:
        raise NotProvenError("it splits something other than one text a row")
    source, inputs = op.node.name, rows.inputs
    return [
        Fact(Kind.FLAT_ROWS, inputs, source=source, pairs=True),
        Fact(Kind.FLAT, inputs, source=source),
        Fact(Kind.COUNT, inputs, source=source, pairs=True),
    ]


def _ragged_to_dense(op: Op) -> Fact:
    types = list(op.attr("row_partition_types").list.s)
    values = op.facts[1]
    if types != [_FIRST_DIM_SIZE, _VALUE_ROWIDS] or values.kind is not Kind.FLAT:
        raise NotProvenError("ragged rows of this form are not analysed")
    _weight(op, 0, 2)
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


def _maximum(op: Op) -> Fact:
    """Maximum; of an unproven value it is still known that it is at least the other input (see `_minimum`)."""
    for bound, value in ((0, 1), (1, 0)):
        if op.facts[value].kind is Kind.UNPROVEN:
            least = op.names[bound] if op.facts[bound].kind is Kind.WEIGHT else ""
            return replace(op.facts[value], source=least)
    return elementwise(op)


def _unary(op: Op) -> Fact:
    """One input whose entries are mapped one by one, whatever it is."""
    fact = op.facts[0]
    if fact.kind in (Kind.FLAT, Kind.DISTINCT, Kind.FLAT_ROWS, Kind.COUNT, Kind.DISTINCT_ROWS) and op.node.op in (
        "Identity",
        "Cast",
    ):
        return fact
    return elementwise(op)


_MATH = (
    "Abs Add AddV2 AddN Ceil ClipByValue Cos Cosh Div DivNoNan Elu Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod"
    " Greater GreaterEqual Inv IsFinite IsInf IsNan LeakyRelu Less LessEqual Log Log1p LogicalAnd LogicalNot"
    " LogicalOr Maximum Mod Mul MulNoNan Neg NotEqual OnesLike Pow RealDiv Reciprocal Relu Relu6 Rint Round Rsqrt"
    " SelectV2 Selu Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Square SquaredDifference StopGradient Sub Tan Tanh"
    " TruncateDiv TruncateMod Xdivy Xlogy ZerosLike BitwiseAnd BitwiseOr BitwiseXor LeftShift RightShift"
).split()
_TEXT = (
    "AsString RegexFullMatch StaticRegexFullMatch RegexReplace StaticRegexReplace StringJoin StringLength StringLower"
    " StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper"
    " Substr Bucketize"
).split()

RULES: dict[str, Rule] = {
    **dict.fromkeys(_MATH, elementwise),
    **dict.fromkeys(_TEXT, elementwise),
    **dict.fromkeys(("Identity", "Cast", "PreventGradient", "CheckNumerics", "EnsureShape"), _unary),
    **dict.fromkeys(("Sum", "Mean", "Max", "Min", "Prod", "All", "Any", "ArgMax", "ArgMin", "EuclideanNorm"), _reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "TopKV2"), _last_axis),
    **dict.fromkeys(("Cumsum", "Cumprod"), _cumulative),
    **dict.fromkeys(("ResourceGather", "GatherV2"), _gather),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _batch_matmul),
    **dict.fromkeys(("Fill", "BroadcastTo"), _fill),
    **dict.fromkeys(("Split", "SplitV"), _split),
    **dict.fromkeys(("Unique", "UniqueV2"), _unique),
    "BiasAdd": _bias_add,
    "ConcatV2": _concat,
    "DenseBincount": _dense_bincount,
    "Einsum": _einsum,
    "ExpandDims": _expand_dims,
    "FusedBatchNormV3": _fused_batch_norm,
    "LookupTableFindV2": _lookup,
    "MatMul": _matmul,
    "Maximum": _maximum,
    "Minimum": _minimum,
    "OneHot": _one_hot,
    "Pack": _pack,
    "RaggedTensorToTensor": _ragged_to_dense,
    "Reshape": _reshape,
    "Select": _select,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "StringSplitV2": _string_split,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unpack": _unpack,
}

_NOT_COMPILED = frozenset({
    *_TEXT, "LookupTableFindV2", "ResourceGather", "RaggedTensorToTensor", "StringSplitV2", "Unique", "UniqueV2",
    "DenseBincount", "CheckNumerics", "Assert",
})  # fmt: skip
COMPILED = frozenset(RULES) - _NOT_COMPILED
"""Ops that XLA compiles for numbers of fixed shape; what else mixes inputs is computed once a tuple of them."""
