"""Rules of ops that move entries: joining, cutting, reshaping, repeating."""

from __future__ import annotations

from dataclasses import replace

from batchscore.planning.graph.facts import Dim, Shape
from batchscore.planning.graph.rowwise import Fact, Kind, NotProvenError, Op, Padding
from batchscore.planning.graph.rules.common import as_rows, mixes, no_padding, only_rows, same_rows


def concat(op: Op) -> Fact:
    """ConcatV2, along another axis than the batch."""
    count = op.attr("N").i
    rows = same_rows(op, count)
    axis = int(op.constant(count)) % op.rank(0)
    if axis == rows.axis:
        raise NotProvenError("it lengthens the batch")
    return as_rows(op, rows, padding=_joined_padding(op, count, axis))


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


def pack(op: Op) -> Fact:
    """Pack: stacks rows along a new axis."""
    count = op.attr("N").i
    rows = same_rows(op, count)
    axis = op.attr("axis").i % (op.rank(0) + 1)
    no_padding(*op.facts)
    return as_rows(op, rows, axis=rows.axis + (axis <= rows.axis), padding=None)


def unpack(op: Op) -> Fact:
    """Unpack, along another axis than the batch."""
    rows = only_rows(op)
    axis = op.attr("axis").i % op.rank(0)
    no_padding(rows)
    if axis == rows.axis:
        raise NotProvenError("it takes the batch apart")
    return as_rows(op, rows, axis=rows.axis - (axis < rows.axis), padding=None)


def expand_dims(op: Op) -> Fact:
    """ExpandDims."""
    rows = only_rows(op)
    new = int(op.constant(1)) % (op.rank(0) + 1)
    padding = rows.padding and replace(rows.padding, axis=rows.padding.axis + (new <= rows.padding.axis))
    return as_rows(op, rows, axis=rows.axis + (new <= rows.axis), padding=padding)


def squeezed_axes(op: Op) -> list[int]:
    """The axes that a Squeeze removes, the batch never being one of them."""
    rank = op.rank(0)
    axes = sorted(int(axis) % rank for axis in op.attr("squeeze_dims").list.i)
    if not axes:
        if any(dim is None for dim in op.shape(0)):
            raise NotProvenError("which axes it removes depends on the batch")
        axes = [axis for axis, dim in enumerate(op.shape(0)) if dim == Dim(1)]
    return axes


def squeeze(op: Op) -> Fact:
    """Squeeze."""
    rows = only_rows(op)
    axes = squeezed_axes(op)
    if rows.axis in axes or (rows.padding is not None and rows.padding.axis in axes):
        raise NotProvenError("it removes the batch's axis")
    padding = rows.padding and replace(
        rows.padding, axis=rows.padding.axis - sum(axis < rows.padding.axis for axis in axes)
    )
    return as_rows(op, rows, axis=rows.axis - sum(axis < rows.axis for axis in axes), padding=padding)


def reshape(op: Op) -> Fact:
    """Reshape: every row's entries stay together, in order."""
    if op.facts[0].kind is Kind.ROWS and op.facts[1].kind not in (Kind.WEIGHT, Kind.SIZE):
        raise NotProvenError("its shape depends on values")
    rows = op.facts[0]
    if rows.kind is not Kind.ROWS:
        raise NotProvenError(mixes(rows))
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
    return as_rows(op, rows, axis=leading, per_row=batch.per_row, padding=None)


def _leading_ones(shape: Shape) -> int:
    count = 0
    while count < len(shape) and shape[count] == Dim(1):
        count += 1
    return count


def transpose(op: Op) -> Fact:
    """Transpose."""
    rows = only_rows(op)
    permutation = [int(axis) for axis in op.constant(1)]
    padding = rows.padding and replace(rows.padding, axis=permutation.index(rows.padding.axis))
    return as_rows(op, rows, axis=permutation.index(rows.axis), padding=padding)


def strided_slice(op: Op) -> Fact:
    """StridedSlice, of other axes than the batch."""
    source = op.facts[0]
    if source.kind in (Kind.FLAT_ROWS, Kind.COUNT) and source.pairs:
        return _first_of_pair(op, source)
    rows = only_rows(op)
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
    return as_rows(op, rows, axis=kept, padding=padding)


def _slice_entries(op: Op) -> list[tuple[str, bool]]:
    """What a StridedSlice does with each axis in turn: a `range` (and whether of all), `one`, or a `new`."""
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


def cut(op: Op) -> Fact:
    """Slice, of other axes than the batch."""
    rows = only_rows(op)
    begin, size = op.constant(1), op.constant(2)
    for axis in {rows.axis} | ({rows.padding.axis} if rows.padding else set()):
        if int(begin[axis]) != 0 or int(size[axis]) != -1:
            raise NotProvenError("it cuts the batch")
    return as_rows(op, rows, padding=rows.padding)


def split(op: Op) -> Fact:
    """Split(axis, value), SplitV(value, sizes, axis)."""
    value, at = (1, 0) if op.node.op == "Split" else (0, 2)
    rows = only_rows(op, value)
    if int(op.constant(at)) % op.rank(value) in {rows.axis, rows.padding.axis if rows.padding else rows.axis}:
        raise NotProvenError("it takes the batch apart")
    return as_rows(op, rows, padding=rows.padding)


def fill(op: Op) -> Fact:
    """Fill(dims, value), BroadcastTo(value, dims): a constant with one entry per row."""
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
        raise NotProvenError(mixes(fact))
    return Fact(Kind.ROWS, fact.inputs, axis=axes[0], per_row=dim.per_row)


def tile(op: Op) -> Fact:
    """Tile, along other axes than the batch."""
    rows = only_rows(op)
    times = op.constant(1)
    if int(times[rows.axis]) != 1 or rows.padding is not None:
        raise NotProvenError("it repeats the batch")
    return as_rows(op, rows, padding=None)
