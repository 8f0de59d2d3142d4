"""A SavedModel's variables and the shards that hold them, read from `variables/variables.index` without TensorFlow.

The index is a sorted string table in LevelDB's format (tensorflow/core/lib/io/table, uncompressed in bundles): a
48-byte footer points at an index block, that at data blocks of prefix-compressed keys. The empty key holds a
BundleHeaderProto (num_shards = 1), every other key a BundleEntryProto (shard_id = 3, offset = 4, size = 5), as in
tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchscore.errors import ModelError
from batchscore.savedmodel.model_files import MAX_MODEL_FILE_BYTES, readable_model
from batchscore.savedmodel.proto import DTYPES, BundleEntryProto, DecodeError
from batchscore.system.regular_files import read_regular

VARIABLES_INDEX = Path("variables") / "variables.index"

_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57
_MAX_SHARDS = 100_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SHARD_ID, _OFFSET, _SIZE = 3, 4, 5
_VARINT_BITS = 64
_MAX_KEY_BYTES = 4096
_VALUE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class CorruptIndexError(ValueError):
    """The file is no index of a tensor bundle."""


def read_shards(index: Path) -> dict[str, int]:
    """Name of every shard file that `index` names, with the least size in bytes that it must have."""
    data = read_regular(index, MAX_MODEL_FILE_BYTES)
    try:
        entries = _entries(data)
        shared, added, header = next(entries, (-1, b"", b""))
        if shared + len(added) != 0:
            raise CorruptIndexError("no header")
        shards = dict(_fields(header)).get(1, 0)
        if not 0 < shards <= _MAX_SHARDS:
            raise CorruptIndexError(f"{shards} shards")
        sizes = dict.fromkeys(range(shards), 0)
        for _, _, value in entries:
            fields = dict(_fields(value))
            shard = fields.get(_SHARD_ID, 0)
            sizes[shard] = max(sizes[shard], fields.get(_OFFSET, 0) + fields.get(_SIZE, 0))
    except (IndexError, KeyError, struct.error) as error:
        raise CorruptIndexError("damaged") from error
    return {f"variables.data-{shard:05d}-of-{shards:05d}": size for shard, size in sizes.items()}


@dataclass(frozen=True)
class Variable:
    """A tensor in the checkpoint: its key without the suffix that all have, dtype, shape and size in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


def read_variables(model: Path) -> list[Variable]:
    """Every variable in the index of the SavedModel directory `model`, none if it has no index.

    Left out are the bookkeeping of the object graph and slices of others. Raises ModelError: E-MODEL-INCOMPLETE
    if the index is damaged, E-MODEL-UNREADABLE if it cannot be read.
    """
    index = model / VARIABLES_INDEX
    if not index.is_file():
        return []
    with readable_model(model):
        data = read_regular(index, MAX_MODEL_FILE_BYTES)
    try:
        return _variables(data)
    except CorruptIndexError as error:
        raise ModelError(
            "E-MODEL-INCOMPLETE",
            "the index of the model's variables is damaged",
            where=index,
            next_step="copy or export the model again",
        ) from error


def _variables(data: bytes) -> list[Variable]:
    found, key = [], b""
    try:
        for shared, added, value in _entries(data):
            key = key[:shared] + added
            if len(key) > _MAX_KEY_BYTES:
                raise CorruptIndexError("a key is too long")
            name = key.decode(errors="replace").removesuffix(_VALUE_SUFFIX)
            if key and name != _OBJECT_GRAPH and "\0" not in name:
                entry = BundleEntryProto.FromString(value)
                shape = tuple(int(dim.size) for dim in entry.shape.dim)
                found.append(Variable(name, DTYPES.get(entry.dtype, f"type {entry.dtype}"), shape, int(entry.size)))
    except (IndexError, struct.error, DecodeError) as error:
        raise CorruptIndexError("damaged") from error
    return found


def _entries(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """How much of the key before it each key shares, the rest of it, and the value, of every entry in order."""
    footer = data[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise CorruptIndexError("not an index")
    _, position = _varint(footer, 0)  # the meta index block's handle comes first
    _, position = _varint(footer, position)
    left = len(data)
    for _, _, handle in _block(data, *_handle(footer, position)):
        offset, size = _handle(handle, 0)
        left -= size
        if left < 0:
            raise CorruptIndexError("its blocks overlap")
        yield from _block(data, offset, size)


def _handle(data: bytes, position: int) -> tuple[int, int]:
    """Offset and size of a block."""
    offset, position = _varint(data, position)
    return offset, _varint(data, position)[0]


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[int, bytes, bytes]]:
    block = data[offset : offset + size]
    if len(block) != size or data[offset + size] != 0:
        raise CorruptIndexError("damaged or compressed")
    end = size - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    position = 0
    while position < end:
        shared, position = _varint(block, position)
        added, position = _varint(block, position)
        length, position = _varint(block, position)
        rest = block[position : position + added]
        position += added
        yield shared, rest, block[position : position + length]
        position += length


def _fields(message: bytes) -> Iterator[tuple[int, int]]:
    """The varint fields of a protobuf message; fields of other types are stepped over."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield tag >> 3, value
        elif kind == _BYTES:
            length, position = _varint(message, position)
            position += length
        elif kind in (_FIXED32, _FIXED64):
            position += 4 if kind == _FIXED32 else 8
        else:
            raise CorruptIndexError("damaged")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _VARINT_BITS, 7):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, position
    raise CorruptIndexError("damaged")
