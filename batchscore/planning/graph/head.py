"""The head: what is left to compute once per pair, as one XLA-compiled function that walks its rows in blocks.

A call has a fixed number of rows, so it is compiled once. Inside, a loop takes `BLOCK_ROWS` rows at a time: it
gathers the rows of each part's tables, computes, and writes the block's scores; what lies between the gather and
the scores stays in the processor's second-level cache. The loop ends after the blocks that hold pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.core.framework import graph_pb2

from batchscore.planning.graph.emit import PREFIX

CALL_ROWS = 65_536
BLOCK_ROWS = 512
BLOCKS_FEED = f"{PREFIX}/head/blocks"
SCORES = f"{PREFIX}/head/scores"


@dataclass(frozen=True)
class Block:
    """One block's graph and where its placeholders come from: tensors and feeds of the plan's outer graph."""

    nodes: Sequence[Any]
    score: str
    weights: Mapping[str, str]
    """Placeholder of the block -> weight tensor."""
    tables: Mapping[str, tuple[str, str]]
    """Placeholder of the block -> (feed of the table, feed of the row numbers)."""
    pairs: Mapping[str, str]
    """Placeholder of the block -> feed that holds one value per pair."""


def compile_head(outer: Sequence[Any], block: Block, versions: Any) -> graph_pb2.GraphDef:
    """The plan's graph: the nodes `outer` (weights, parts, feeds) and the compiled head over them.

    The head's feeds beside those of `block` are BLOCKS_FEED, int32 []: how many blocks hold pairs. Its result is
    SCORES, [CALL_ROWS].
    """
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(graph_pb2.GraphDef(node=outer, versions=versions), name="")
        fed = {name: graph.get_tensor_by_name(name) for name in _outer_names(block)}
        blocks = tf.compat.v1.placeholder(tf.int32, [], name=BLOCKS_FEED)
        with tf.name_scope(f"{PREFIX}/head/"):  # the call's node would else have a name that the model may have
            scores = _walk(block, versions, list(fed))(blocks, *fed.values())
        tf.identity(scores, name=SCORES)
    return _with_fixed_names(graph.as_graph_def())


def _outer_names(block: Block) -> list[str]:
    tables = [name for pair in block.tables.values() for name in pair]
    return list(dict.fromkeys([*block.weights.values(), *tables, *block.pairs.values()]))


def _walk(block: Block, versions: Any, names: list[str]) -> Any:
    definition = graph_pb2.GraphDef(node=block.nodes, versions=versions)

    def score_block(start: Any, outer: Mapping[str, Any]) -> Any:
        def cut(name: str) -> Any:
            values = outer[name]
            return tf.slice(values, [start, *[0] * (values.shape.rank - 1)], [BLOCK_ROWS, *values.shape[1:]])

        rows = {feed: cut(feed) for _, feed in block.tables.values()}
        given = {inner: tf.identity(outer[name]) for inner, name in block.weights.items()}
        given |= {inner: tf.gather(outer[table], rows[feed]) for inner, (table, feed) in block.tables.items()}
        given |= {inner: cut(name) for inner, name in block.pairs.items()}
        (score,) = tf.graph_util.import_graph_def(definition, given, [block.score], name="block")
        return tf.reshape(score, [BLOCK_ROWS])

    def batchscore_head(blocks: Any, *values: Any) -> Any:
        outer = dict(zip(names, values, strict=True))
        dtype = score_dtype(definition, block.score)

        def step(number: Any, scores: Any) -> tuple[Any, Any]:
            start = number * BLOCK_ROWS
            update = score_block(start, outer)
            return number + 1, gen_xla_ops.xla_dynamic_update_slice(scores, update, tf.reshape(start, [1]))

        empty = tf.zeros([CALL_ROWS], dtype)
        _, scores = tf.while_loop(lambda number, _: number < blocks, step, (tf.constant(0), empty))
        return scores

    return tf.function(batchscore_head, jit_compile=True, autograph=False)


def score_dtype(definition: graph_pb2.GraphDef, score: str) -> Any:
    """The dtype that tensor `score` of a graph has."""
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    return graph.get_tensor_by_name(score).dtype


def _with_fixed_names(definition: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """Functions in the order of their calls, under names of our own that are the same in every process.

    TensorFlow numbers functions, and arguments after them, by what else the process has traced; and the names must
    not meet those of the model's functions.
    """
    functions = {function.signature.name: function for function in definition.library.function}
    names: dict[str, str] = {}
    waiting = list(definition.node)
    while waiting:
        node = waiting.pop(0)
        node.attr.pop("_output_shapes", None)
        for _, attr in sorted(node.attr.items()):
            if attr.HasField("func"):
                called = attr.func.name
                if called not in names:
                    names[called] = f"{PREFIX}_{len(names)}"
                    waiting += functions[called].node_def
                attr.func.name = names[called]
    for called, name in names.items():
        _rename(functions[called], name)
    del definition.library.function[:]
    definition.library.function.extend(functions[called] for called in names)
    return definition


def _rename(function: Any, name: str) -> None:
    signature = function.signature
    signature.name = name
    arguments = {argument.name: f"argument_{i}" for i, argument in enumerate(signature.input_arg)}
    results = {result.name: f"result_{i}" for i, result in enumerate(signature.output_arg)}
    for argument in signature.input_arg:
        argument.name = arguments[argument.name]
    for result in signature.output_arg:
        result.name = results[result.name]
    returned = {results[key]: arguments.get(value, value) for key, value in function.ret.items()}
    function.ret.clear()
    function.ret.update(returned)
    function.arg_attr.clear()
    for node in function.node_def:
        inputs = [arguments.get(source, source) for source in node.input]
        del node.input[:]
        node.input.extend(inputs)
