"""Whether what a plan says of its graph is so: every tensor that is fed or fetched, its dtype and its shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batchscore.planning.plan import Plan, PlanInput
from batchscore.savedmodel.graph import attribute
from batchscore.savedmodel.proto import DTYPES, GraphProto

NODES = "batchscore/"
"""All nodes of a plan stand under this name, and no node of a model."""

FUNCTIONS = "batchscore_"
_OPEN = -1


def find_misfit(plan: Plan) -> str | None:
    """What the plan says that its graph does not bear out; None if all fits.

    Raises DecodeError if it is not a graph.
    """
    graph = GraphProto.FromString(plan.graph)
    return next(_misfits(plan, graph), None)


def _misfits(plan: Plan, graph: Any) -> Iterator[str]:
    nodes = {node.name: node for node in graph.node}
    yield from (f"node {name!r} is not under {NODES}" for name in nodes if not name.startswith(NODES))
    names = [function.signature.name for function in graph.library.function]
    yield from (f"function {name!r} is not one of a plan" for name in names if not name.startswith(FUNCTIONS))
    head = plan.head
    if head.call_rows % head.block_rows:
        yield f"calls of {head.call_rows} rows are not whole blocks of {head.block_rows}"
    for feed, dtype, shape in _feeds(plan):
        node = nodes.get(feed.removesuffix(":0"))
        found = None if node is None or node.op != "Placeholder" else (_dtype(node), _shape(node))
        if found != (dtype, shape):
            yield f"{feed} is fed {dtype} {shape}, and the graph has {found or 'no such placeholder'}"
    tables = [(table.output, table.dtype) for part in plan.parts for table in part.tables]
    for output, dtype in ((head.output, head.dtype), *tables):
        node = nodes.get(output.removesuffix(":0"))
        if node is None or DTYPES.get(attribute(node, "T").type) != dtype:
            yield f"the graph has no {output} of {dtype}"
    feeds = sorted(feed for feed, _, _ in _feeds(plan))
    if feeds != sorted(f"{name}:0" for name, node in nodes.items() if node.op == "Placeholder"):
        yield "not every placeholder of the graph is fed once"


def _feeds(plan: Plan) -> Iterator[tuple[str, str, list[int]]]:
    """Every tensor that is fed, with its dtype and shape."""
    rows = plan.head.call_rows
    yield plan.head.blocks_feed, "int32", []
    for item in plan.head.inputs:
        yield item.tensor, item.dtype, _column(item, rows)
    for part in plan.parts:
        yield part.rows_feed, "int32", [rows]
        for item in part.inputs:
            yield item.tensor, item.dtype, _column(item, _OPEN)
        for table in part.tables:
            yield table.feed, table.dtype, [_OPEN, table.width]


def _column(item: PlanInput, rows: int) -> list[int]:
    return [rows, 1][: item.rank]


def _dtype(node: Any) -> str:
    return DTYPES.get(attribute(node, "dtype").type, "")


def _shape(node: Any) -> list[int]:
    return [int(dim.size) for dim in attribute(node, "shape").shape.dim]
