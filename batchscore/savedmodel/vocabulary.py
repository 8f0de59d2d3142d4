"""The look-up tables of a model and the ids in them, read from its bytes.

A table is filled from constants of the graph, from a text asset, or from the checkpoint. An input of a signature
has a vocabulary where its values, unchanged but for shape and spelling, are looked up in a table that has a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from batchscore.savedmodel.card import KnownTable
from batchscore.savedmodel.formats import choose_meta_graph
from batchscore.savedmodel.graph import (
    MAIN,
    Body,
    Graph,
    GraphTooLargeError,
    Source,
    attribute,
    constant,
    data_inputs,
    node_name,
    variable_key,
)
from batchscore.savedmodel.model_files import readable_model
from batchscore.savedmodel.proto import DTYPES
from batchscore.savedmodel.safety import ASSETS
from batchscore.savedmodel.saved_model import Signature, read_meta_graphs
from batchscore.savedmodel.variables_index import Variable, read_variables
from batchscore.system.regular_files import open_regular

_TABLES = ("HashTableV2", "MutableHashTableV2")
_FILLERS = ("LookupTableImport", "LookupTableImportV2", "InitializeTable", "InitializeTableV2")
_FROM_TEXT = ("InitializeTableFromTextFile", "InitializeTableFromTextFileV2")
_LOOKUPS = ("LookupTableFind", "LookupTableFindV2")
_HASHES = ("StringToHashBucket", "StringToHashBucketFast", "StringToHashBucketStrong")
_SAME_ID = frozenset({"Reshape", "ExpandDims", "Squeeze", "Cast", "AsString"})
_WHOLE_LINE = -2
_CHUNK_BYTES = 1 << 20

Ids = Callable[[int], list[str | int]]


def _no_ids(count: int) -> list[str | int]:
    del count
    return []


@dataclass(frozen=True)
class LookUpTable:
    """A look-up table. `entries` is None if the bytes do not tell; `filled_from` says where its keys stand.

    `ids(count)` gives up to `count` keys, text or integers; none if only TensorFlow could read them.
    """

    name: str
    op: str
    key_dtype: str
    value_dtype: str
    entries: int | None = None
    filled_from: str | None = None
    ids: Ids = field(default=_no_ids, compare=False, repr=False)

    def for_card(self) -> KnownTable:
        """How a run finds the table in the model's session."""
        return KnownTable(
            shared_name=self.name, op=self.op, key_dtype=self.key_dtype, value_dtype=self.value_dtype,
            entries=self.entries,
        )  # fmt: skip


@dataclass(frozen=True)
class InputVocabulary:
    """What is known about the ids of an input: the table that it feeds, or the `reason` why there is none."""

    table: LookUpTable | None
    reason: str


def find_tables(
    graph: Graph, assets: Mapping[str, str], variables: list[Variable], model: Path
) -> dict[str, LookUpTable]:
    """Every table of the graph that has a name, by name.

    `assets` maps the nodes that stand for assets to their file names; `variables` are those of the checkpoint.
    """
    tables: dict[str, LookUpTable] = {}
    for _, node in graph.nodes():
        if node.op in _TABLES:
            table = _table(node)
            tables[table.name] = table
    for body, node in graph.nodes():
        inputs = data_inputs(node)
        if node.op in _FILLERS and len(inputs) > 1:
            filled = _filled_by_values(graph, _sources(graph, body, inputs[1]), variables)
        elif node.op in _FROM_TEXT and len(inputs) > 1:
            whole_lines = attribute(node, "key_index").i == _WHOLE_LINE
            filled = _filled_by_text(_sources(graph, body, inputs[1]), assets, model, whole_lines=whole_lines)
        else:
            continue
        for source in _sources(graph, body, inputs[0]):
            name = _table_name(source)
            if name in tables and tables[name].entries is None:
                tables[name] = replace(tables[name], **filled)
    return tables


def find_vocabularies(
    graph: Graph, signature: Signature, tables: Mapping[str, LookUpTable]
) -> dict[str, InputVocabulary]:
    """For each input of `signature` the table in which its values are looked up.

    Where an input feeds several tables the largest counts, if all sizes are known.
    """
    inputs = {node_name(spec.tensor): name for name, spec in signature.inputs.items()}
    used, hashed = _lookups(graph, signature, inputs)
    found = {}
    for name in signature.inputs:
        names = used.get(name, set())
        known = [tables[table] for table in sorted(names) if table in tables]
        if not names and name in hashed:
            found[name] = InputVocabulary(None, "its values are hashed: there is no vocabulary")
        elif not names:
            found[name] = InputVocabulary(None, "it is not looked up in a table")
        elif len(known) < len(names):
            found[name] = InputVocabulary(None, "its table has no name by which it could be found")
        elif len(known) == 1:
            found[name] = InputVocabulary(known[0], "the table that it is looked up in")
        elif any(table.entries is None for table in known):
            found[name] = InputVocabulary(None, f"it is looked up in {len(known)} tables, some of unknown size")
        else:
            largest = max(known, key=lambda table: table.entries or 0)
            found[name] = InputVocabulary(largest, f"the largest of {len(known)} tables that it is looked up in")
    return found


def read_vocabularies(path: Path, signature: Signature) -> dict[str, InputVocabulary]:
    """`find_vocabularies` of the SavedModel directory `path`. Raises ModelError if it cannot be read."""
    meta_graph = choose_meta_graph(read_meta_graphs(path), path)
    graph = Graph(meta_graph)
    with readable_model(path):
        tables = find_tables(graph, asset_nodes(meta_graph), read_variables(path), path)
        return find_vocabularies(graph, signature, tables)


def asset_nodes(meta_graph: Any) -> dict[str, str]:
    """The file name of each asset by the node that stands for it."""
    return {node_name(asset.tensor_info.name): asset.filename for asset in meta_graph.asset_file_def}


def _lookups(graph: Graph, signature: Signature, inputs: Mapping[str, str]) -> tuple[dict[str, set[str]], set[str]]:
    """Names of the tables (empty: a nameless one) that each input feeds, and the inputs that are hashed."""
    outputs = {node_name(spec.tensor) for spec in signature.outputs.values()}
    nodes, functions = graph.reachable(outputs)
    used: dict[str, set[str]] = {}
    hashed: set[str] = set()
    for body, node in graph.nodes():
        if node.name not in nodes if body.name == MAIN else body.name not in functions:
            continue
        if node.op in _LOOKUPS:
            table, key = data_inputs(node)[:2]
            names = {_table_name(source) for source in _sources(graph, body, table)}
            for name in _fed_by(graph, body, key, inputs):
                used.setdefault(name, set()).update(names)
        elif node.op in _HASHES:
            hashed |= _fed_by(graph, body, data_inputs(node)[0], inputs)
    return used, hashed


def _fed_by(graph: Graph, body: Body, tensor: str, inputs: Mapping[str, str]) -> set[str]:
    sources = _sources(graph, body, tensor, _SAME_ID)
    return {inputs[source.name] for source in sources if source.body == MAIN and source.name in inputs}


def _sources(graph: Graph, body: Body, tensor: str, same: frozenset[str] = frozenset()) -> list[Source]:
    try:
        return graph.sources(body, tensor, same)
    except GraphTooLargeError:
        return []


def _table(node: Any) -> LookUpTable:
    key, value = (attribute(node, name).type for name in ("key_dtype", "value_dtype"))
    return LookUpTable(
        name=variable_key(node).decode(errors="replace"),
        op=node.op,
        key_dtype=DTYPES.get(key, f"type {key}"),
        value_dtype=DTYPES.get(value, f"type {value}"),
    )


def _table_name(source: Source) -> str:
    """Name of the table that a handle stands for; empty if it has none."""
    if source.node is None or source.node.op not in _TABLES:
        return ""
    return variable_key(source.node).decode(errors="replace")


def _filled_by_values(graph: Graph, sources: list[Source], variables: list[Variable]) -> dict[str, Any]:
    for source in sources:
        if source.node is not None and source.node.op == "Const":
            tensor = constant(source.node)
            entries = int(np.prod([dim.size for dim in tensor.tensor_shape.dim], dtype=np.int64))
            return {"entries": entries, "filled_from": "the graph", "ids": _ConstantIds(tensor)}
        if source.node is not None and source.node.op == "RestoreV2":
            key = _restored_key(graph, source)
            for variable in variables:
                if variable.name == key and len(variable.shape) == 1:
                    return {"entries": variable.shape[0], "filled_from": "the checkpoint"}
    return {}


def _restored_key(graph: Graph, source: Source) -> str | None:
    """Which tensor of the checkpoint an output of RestoreV2 is."""
    names = data_inputs(source.node)[1:2]
    for given in _sources(graph, graph.bodies[source.body], names[0]) if names else []:
        if given.node is not None and given.node.op == "Const":
            listed = constant(given.node).string_val
            if source.output < len(listed):
                return bytes(listed[source.output]).decode(errors="replace")
    return None


def _filled_by_text(
    sources: list[Source], assets: Mapping[str, str], model: Path, *, whole_lines: bool
) -> dict[str, Any]:
    for source in sources:
        if source.name in assets and (path := model / ASSETS / assets[source.name]).is_file():
            return {
                "entries": _count_lines(path),
                "filled_from": f"{ASSETS}/{assets[source.name]}",
                "ids": _TextIds(path) if whole_lines else _no_ids,
            }
    return {}


def _count_lines(path: Path) -> int:
    lines, last = 0, b"\n"
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")


@dataclass(frozen=True)
class _ConstantIds:
    tensor: Any

    def __call__(self, count: int) -> list[str | int]:
        if DTYPES.get(self.tensor.dtype) == "string":
            return list(_texts(islice(self.tensor.string_val, count)))
        if self.tensor.tensor_content:
            dtype = np.dtype(DTYPES.get(self.tensor.dtype, "int64"))
            content = bytes(self.tensor.tensor_content[: count * dtype.itemsize])
            return [int(value) for value in np.frombuffer(content, dtype)]
        return [int(value) for value in islice(self.tensor.int64_val or self.tensor.int_val, count)]


@dataclass(frozen=True)
class _TextIds:
    path: Path

    def __call__(self, count: int) -> list[str | int]:
        with open_regular(self.path) as file:
            return list(_texts(line.rstrip(b"\n") for line in islice(file, count)))


def _texts(values: Iterator[bytes]) -> Iterator[str]:
    for value in values:
        try:
            yield value.decode()
        except UnicodeDecodeError:
            continue
