"""Which nodes the head may be made of: those that XLA compiles and that then give what TensorFlow gives.

XLA clamps an index that is out of range and divides by zero without a word, where TensorFlow fails: such nodes stay
outside, and are computed once per distinct tuple of the inputs that meet in them.
"""

from __future__ import annotations

from tensorflow.core.framework import types_pb2

from batchscore.planning.graph.draft import Draft
from batchscore.planning.graph.rowwise import Kind
from batchscore.planning.graph.rules.rule_table import NOT_COMPILED, RULES

_FLOATS = frozenset({types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16})
_NUMBERS = _FLOATS | {
    types_pb2.DT_BOOL, types_pb2.DT_INT8, types_pb2.DT_INT16, types_pb2.DT_INT32, types_pb2.DT_INT64,
    types_pb2.DT_UINT8, types_pb2.DT_UINT16, types_pb2.DT_UINT32, types_pb2.DT_UINT64,
}  # fmt: skip
_FLOAT_ONLY = frozenset({"Div", "FloorDiv", "FloorMod", "Mod", "Pow", "TruncateDiv", "TruncateMod"})


def is_compiled(draft: Draft, name: str) -> bool:
    """Whether node `name` may be part of the head."""
    node = draft.nodes[name]
    sources = draft.sources(node)
    dtypes = [draft.known.dtypes.get(tensor) for tensor in (f"{name}:0", *sources)]
    if node.op not in RULES or node.op in NOT_COMPILED or not _NUMBERS.issuperset(dtypes):
        return False
    if node.op == "GatherV2":
        return draft.facts[sources[1]].kind is Kind.WEIGHT
    if node.op in _FLOAT_ONLY:
        return dtypes[0] in _FLOATS
    return not (node.op == "Cast" and dtypes[1] in _FLOATS and dtypes[0] not in _FLOATS | {types_pb2.DT_BOOL})
