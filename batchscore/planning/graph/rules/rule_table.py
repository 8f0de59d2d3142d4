"""The table of ops: which rule proves their results row-wise, and which of them the head may be made of.

A rule takes an `Op` and gives the `Fact` of its outputs, or raises NotProvenError. An op that has no rule ends the
proof: nothing is assumed of it.
"""

from __future__ import annotations

from batchscore.planning.graph.rowwise import Rule
from batchscore.planning.graph.rules.elementwise import bias_add, elementwise, maximum, minimum, select, unary
from batchscore.planning.graph.rules.lookups import (
    dense_bincount,
    gather,
    lookup,
    one_hot,
    ragged_to_dense,
    string_split,
    unique,
)
from batchscore.planning.graph.rules.products import (
    batch_matmul,
    cumulative,
    einsum,
    fused_batch_norm,
    last_axis,
    matmul,
    reduce,
)
from batchscore.planning.graph.rules.shapes import (
    concat,
    cut,
    expand_dims,
    fill,
    pack,
    reshape,
    split,
    squeeze,
    strided_slice,
    tile,
    transpose,
    unpack,
)

MATH = frozenset({
    "Abs", "Add", "AddN", "AddV2", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Ceil", "ClipByValue", "Cos", "Cosh",
    "Div", "DivNoNan", "Elu", "Equal", "Erf", "Erfc", "Exp", "Expm1", "Floor", "FloorDiv", "FloorMod", "Greater",
    "GreaterEqual", "Inv", "IsFinite", "IsInf", "IsNan", "LeakyRelu", "Less", "LessEqual", "Log", "Log1p",
    "LogicalAnd",
    "LogicalNot", "LogicalOr", "Mod", "Mul", "MulNoNan", "Neg", "NotEqual", "OnesLike", "Pow", "RealDiv",
    "Reciprocal",
    "Relu", "Relu6", "Rint", "Round", "Rsqrt", "SelectV2", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
    "Softsign", "Sqrt", "Square", "SquaredDifference", "StopGradient", "Sub", "Tan", "Tanh", "TruncateDiv",
    "TruncateMod", "Xdivy", "Xlogy", "ZerosLike",
})  # fmt: skip
TEXT = frozenset({
    "AsString", "Bucketize", "RegexFullMatch", "RegexReplace", "StaticRegexFullMatch", "StaticRegexReplace",
    "StringJoin", "StringLength", "StringLower", "StringStrip", "StringToHashBucket", "StringToHashBucketFast",
    "StringToHashBucketStrong", "StringToNumber", "StringUpper", "Substr",
})  # fmt: skip

RULES: dict[str, Rule] = {
    **dict.fromkeys(MATH, elementwise),
    **dict.fromkeys(TEXT, elementwise),
    **dict.fromkeys(("Identity", "Cast", "PreventGradient", "CheckNumerics", "EnsureShape"), unary),
    **dict.fromkeys(
        ("Sum", "Mean", "Max", "Min", "Prod", "All", "Any", "ArgMax", "ArgMin", "EuclideanNorm"), reduce
    ),
    **dict.fromkeys(("Softmax", "LogSoftmax", "TopKV2"), last_axis),
    **dict.fromkeys(("Cumsum", "Cumprod"), cumulative),
    **dict.fromkeys(("ResourceGather", "GatherV2"), gather),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), batch_matmul),
    **dict.fromkeys(("Fill", "BroadcastTo"), fill),
    **dict.fromkeys(("Split", "SplitV"), split),
    **dict.fromkeys(("Unique", "UniqueV2"), unique),
    "BiasAdd": bias_add,
    "ConcatV2": concat,
    "DenseBincount": dense_bincount,
    "Einsum": einsum,
    "ExpandDims": expand_dims,
    "FusedBatchNormV3": fused_batch_norm,
    "LookupTableFindV2": lookup,
    "MatMul": matmul,
    "Maximum": maximum,
    "Minimum": minimum,
    "OneHot": one_hot,
    "Pack": pack,
    "RaggedTensorToTensor": ragged_to_dense,
    "Reshape": reshape,
    "Select": select,
    "Slice": cut,
    "Squeeze": squeeze,
    "StridedSlice": strided_slice,
    "StringSplitV2": string_split,
    "Tile": tile,
    "Transpose": transpose,
    "Unpack": unpack,
}

NOT_COMPILED = TEXT | {
    "LookupTableFindV2", "ResourceGather", "RaggedTensorToTensor", "StringSplitV2", "Unique", "UniqueV2",
    "DenseBincount", "CheckNumerics", "EuclideanNorm",
}  # fmt: skip
"""Ops that XLA does not compile, or that fail on bad values where XLA would go on."""
