"""How much arithmetic nodes take, for one row."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from batchscore.planning.graph.draft import Draft
from batchscore.planning.graph.rowwise import Kind

_PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"})
_FREE = frozenset({
    "Cast", "ConcatV2", "ExpandDims", "Fill", "GatherV2", "Identity", "LookupTableFindV2", "Pack", "Placeholder",
    "Reshape", "ResourceGather", "Slice", "Split", "SplitV", "Squeeze", "StopGradient", "StridedSlice", "Tile",
    "Transpose", "Unpack", "BroadcastTo", "EnsureShape", "OneHot",
})  # fmt: skip


def count_flops(draft: Draft, names: Iterable[str]) -> int:
    """FLOPs per row of the nodes `names`: products at two per multiply-add, other arithmetic at one per element."""
    return sum(_node_flops(draft, name) for name in names)


def _node_flops(draft: Draft, name: str) -> int:
    node = draft.nodes[name]
    if node.op in _FREE or draft.facts[f"{name}:0"].kind is not Kind.ROWS:
        return 0
    result = _elements(draft, f"{name}:0")
    sources = draft.sources(node)
    if node.op in _PRODUCTS:
        shape = draft.known.shapes.get(sources[0]) or (None,)
        inner = shape[-2 if "adj_x" in node.attr and node.attr["adj_x"].b else -1]
        return 2 * result * (1 if inner is None else inner.at(1))
    return max([result, *(_elements(draft, s) for s in sources if draft.facts[s].kind is Kind.ROWS)])


def _elements(draft: Draft, tensor: str) -> int:
    shape = draft.known.shapes.get(tensor)
    return prod(dim.at(1) for dim in shape if dim is not None) if shape is not None else 0
