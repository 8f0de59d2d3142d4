"""The index of a tensor bundle: shards with their sizes, and nothing but CorruptIndexError for other bytes."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.savedmodel.variables_index import CorruptIndexError, read_shards

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)


def varint(number):
    found = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        found.append(low | (0x80 if number else 0))
        if not number:
            return bytes(found)


def field(number, value):
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def block(entries):
    """A table block: every key spelled in full, one restart."""
    body = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries)
    return body + struct.pack("<II", 0, 1)


def table(*data_blocks):
    """An index file of these blocks of (key, value), as TensorFlow lays it out."""
    content, handles = b"", []
    for entries in data_blocks:
        body = block(entries)
        handles.append((entries[-1][0] if entries else b"", varint(len(content)) + varint(len(body))))
        content += body + b"\0" + struct.pack("<I", 0)
    meta = varint(len(content)) + varint(len(block([])))
    content += block([]) + b"\0" + struct.pack("<I", 0)
    index = varint(len(content)) + varint(len(block(handles)))
    content += block(handles) + b"\0" + struct.pack("<I", 0)
    return content + (meta + index).ljust(40, b"\0") + MAGIC


def entry(shard, offset, size):
    shape = field(2, field(2, field(1, 3)))
    return (
        field(1, 1) + shape + field(3, shard) + field(4, offset) + field(5, size) + b"\x35" + struct.pack("<I", 7)
    )


def header(shards):
    return b"", field(1, shards) + field(3, field(1, 1))


@pytest.fixture
def index(tmp_path):
    return tmp_path / "variables.index"


def read(index, content):
    index.write_bytes(content)
    return read_shards(index)


def test_each_shard_must_reach_its_last_byte(index):
    content = table(
        [header(3), (b"a", entry(0, 0, 100)), (b"b", entry(2, 50, 7))],
        [(b"c", entry(0, 100, 28)), (b"d", entry(2, 0, 50))],
    )
    assert read(index, content) == {
        "variables.data-00000-of-00003": 128,
        "variables.data-00001-of-00003": 0,
        "variables.data-00002-of-00003": 57,
    }


def test_sizes_may_exceed_four_gigabytes(index):
    content = table([header(1), (b"a", entry(0, 2**40, 2**33))])
    assert read(index, content) == {"variables.data-00000-of-00001": 2**40 + 2**33}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x" * 47,
        b"\0" * 48,
        b"\0" * 40 + MAGIC,
        b"\xff" * 40 + MAGIC,
        table(),
        table([(b"a", entry(0, 0, 1))]),
        table([header(0)]),
        table([header(100_001)]),
        table([header(1), (b"a", entry(1, 0, 1))]),
        table([header(1), (b"a", b"\x1c")]),
        table([header(1), (b"a", b"\x08" + b"\xff" * 11)]),
    ],
    ids=["empty", "short", "no magic", "magic alone", "wild handles", "no entries", "no header", "no shards",
         "too many shards", "a shard too far", "a group", "an endless number"],
)  # fmt: skip
def test_what_is_no_index_is_corrupt(index, content):
    with pytest.raises(CorruptIndexError):
        read(index, content)


def test_a_compressed_block_is_corrupt(index):
    content = bytearray(table([header(1), (b"a", entry(0, 0, 1))]))
    size = len(block([header(1), (b"a", entry(0, 0, 1))]))
    content[size] = 1  # the type byte: snappy
    with pytest.raises(CorruptIndexError, match="compressed"):
        read(index, bytes(content))


VALID = table([header(2), *((b"key%03d" % number, entry(number % 2, number, 1)) for number in range(20))])


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_mutation_leads_to_anything_else(tmp_path_factory, data):
    index = tmp_path_factory.getbasetemp() / "mutated.index"
    content = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        shards = read(index, bytes(content))
    except CorruptIndexError:
        return
    assert all(isinstance(size, int) and size >= 0 for size in shards.values())


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=300), handles=st.binary(max_size=40))
def test_random_bytes_before_the_magic_number_are_corrupt_or_an_index(tmp_path_factory, body, handles):
    index = tmp_path_factory.getbasetemp() / "random.index"
    try:
        read(index, body + handles.ljust(40, b"\0") + MAGIC)
    except CorruptIndexError:
        return


def hostile_repeated_block():
    """An index block whose thousands of handles all name the same block of thousands of entries."""
    body = block([header(1), *[(b"k", entry(0, 0, 1))] * 5_000])
    content = body + b"\0" + struct.pack("<I", 0)
    handles = block([(b"", varint(0) + varint(len(body)))] * 5_000)
    index = varint(len(content)) + varint(len(handles))
    content += handles + b"\0" + struct.pack("<I", 0)
    return content + (varint(0) + varint(0) + index).ljust(40, b"\0") + MAGIC


def hostile_growing_keys():
    """Keys that share all of the key before, and add a byte: together a square of the file."""
    entries = b"".join(varint(number) + b"\1\0k" for number in range(15_000))
    body = b"\0\0" + varint(2) + field(1, 1) + entries + struct.pack("<II", 0, 1)
    content = body + b"\0" + struct.pack("<I", 0)
    handles = block([(b"", varint(0) + varint(len(body)))])
    index = varint(len(content)) + varint(len(handles))
    content += handles + b"\0" + struct.pack("<I", 0)
    return content + (varint(0) + varint(0) + index).ljust(40, b"\0") + MAGIC


@pytest.mark.timeout(20)
@pytest.mark.parametrize("content", [hostile_repeated_block(), hostile_growing_keys()], ids=["blocks", "keys"])
def test_a_hostile_index_costs_no_more_than_its_own_size_tells(index, content):
    index.write_bytes(content)
    tracemalloc.start()
    try:
        read_shards(index)
    except CorruptIndexError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 200 * len(content)
