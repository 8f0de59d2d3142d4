"""What a piece of a plan computes, in words for `inspect`."""

from __future__ import annotations

from collections.abc import Iterable

from batchscore.planning.graph.draft import Draft
from batchscore.planning.graph.facts import Dim
from batchscore.planning.graph.rowwise import Kind

_QUIET = frozenset({
    "Cast", "Const", "ExpandDims", "Identity", "Placeholder", "Reshape", "Slice", "Squeeze", "StridedSlice",
    "StopGradient", "Fill",
})  # fmt: skip


def describe_steps(draft: Draft, names: Iterable[str]) -> tuple[str, ...]:
    """One line a node that computes something of rows: op, shape of the result, name in the model."""
    return tuple(
        f"{node.op} {_shape(draft, name)} {'/'.join(name.split('/')[-3:])}".replace("  ", " ")
        for name in names
        if (node := draft.nodes[name]).op not in _QUIET
        and draft.facts[f"{name}:0"].kind not in (Kind.WEIGHT, Kind.SIZE, Kind.UNPROVEN)
        and f"{name}:0" not in draft.known.values
    )


def _shape(draft: Draft, name: str) -> str:
    shape = draft.known.shapes.get(f"{name}:0")
    return "" if shape is None else f"[{', '.join(_dimension(dim) for dim in shape)}]"


def _dimension(dim: Dim | None) -> str:
    if dim is None:
        return "?"
    return str(dim.fixed) if not dim.per_row else "n" if dim.per_row == 1 else f"{dim.per_row} n"
