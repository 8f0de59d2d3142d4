"""TF_TString headers over Arrow strings, read back by following their addresses."""

import ctypes

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.engine.libtensorflow import load_library
from batchscore.engine.tstring import HEADER_BYTES, address_of, find_layout_mismatch, read_strings

VIEW, LARGE = 3, 1

texts = st.lists(st.text(max_size=40), max_size=30)
string_types = st.sampled_from(
    [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.string_view(), pa.binary_view()]
)


def follow(headers, kind):
    """The texts that headers of a kind point at, and the addresses of their characters."""
    address_word = 1 if kind == VIEW else 2
    words = headers.reshape(-1, 3)
    assert all(int(word) & 3 == kind for word in words[:, 0])
    addresses = [int(word) for word in words[:, address_word]]
    sizes = [int(word) >> 2 for word in words[:, 0]]
    found = [ctypes.string_at(where, size) if size else b"" for where, size in zip(addresses, sizes, strict=True)]
    return found, addresses


@given(texts, string_types, st.booleans(), st.data())
def test_headers_point_at_every_string_of_any_column(values, string_type, encoded, data):
    column = pa.array([value.encode() for value in values], pa.binary()).cast(string_type)
    if encoded and not pa.types.is_binary_view(string_type) and not pa.types.is_string_view(string_type):
        column = column.dictionary_encode()
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    expected = [value.encode() for value in values[start:stop]]

    strings = read_strings(column[start:stop])

    assert len(strings) == len(expected)
    assert follow(strings.view(), VIEW)[0] == expected
    block = strings.copy()
    found, addresses = follow(block[: 3 * len(expected)], LARGE)
    assert found == expected
    inside = range(address_of(block) + HEADER_BYTES * len(expected), address_of(block) + block.nbytes + 1)
    assert all(address in inside for address, text in zip(addresses, found, strict=True) if text)


def test_a_view_lies_in_the_memory_of_arrow():
    column = pa.array(["before", "one", "two"])[1:]
    _, addresses = follow(read_strings(column).view(), VIEW)
    assert addresses[0] == column.buffers()[2].address + len("before")


def test_rows_with_one_code_share_their_characters():
    column = pa.array(["one", "two", "one"]).dictionary_encode()
    _, addresses = follow(read_strings(column).view(), VIEW)
    assert addresses[0] == addresses[2] != addresses[1]


def test_only_the_characters_of_a_slice_are_copied():
    column = pa.array(["x" * 1_000_000, "one", "two"])[1:]
    assert read_strings(column).copy().nbytes == 2 * HEADER_BYTES + 8


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match="int64 is no column of strings"):
        read_strings(pa.array([1]))


def test_tensorflow_lays_out_strings_as_we_do():
    assert find_layout_mismatch(load_library()) is None


def test_tensorflow_reads_our_headers():
    library = load_library()
    column = pa.array(["", "one", "ünïcödé that is longer than a header"] * 3)
    strings = read_strings(column)
    for headers in (strings.view(), strings.copy()):
        for row, expected in enumerate(column.cast(pa.binary()).to_pylist()):
            header = address_of(headers) + row * HEADER_BYTES
            size = library.TF_StringGetSize(header)
            data = library.TF_StringGetDataPointer(header)
            assert (ctypes.string_at(data, size) if size else b"") == expected
    assert np.shares_memory(strings.characters, np.frombuffer(column.buffers()[2], np.uint8))
