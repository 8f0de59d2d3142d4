"""Whether the pages of a Parquet file have checksums, which pyarrow checks and does not tell.

The headers of the first pages are read here, in Thrift's compact protocol: asking pyarrow for a column chunk's
place ends the process if the footer is damaged.
"""

from __future__ import annotations

from typing import BinaryIO

_FIRST_PAGE = 4
_HEADER_BYTES = 4096
_DICTIONARY_PAGE = 2
_TYPE, _COMPRESSED_SIZE, _CHECKSUM = 1, 3, 4
_TRUE, _FALSE, _I16, _I32, _I64, _BINARY, _STRUCT = 1, 2, 4, 5, 6, 8, 12


def has_checksums(file: BinaryIO) -> bool | None:
    """Whether the first data page of the Parquet file has one: writers give them to all pages or to none.

    None if no page stands at the beginning, as in a file without rows.
    """
    place = _FIRST_PAGE
    try:
        for _ in range(2):
            file.seek(place)
            header = file.read(_HEADER_BYTES)
            fields, length = _read_header(header)
            if fields[_TYPE] != _DICTIONARY_PAGE:
                return _CHECKSUM in fields
            place += length + max(fields[_COMPRESSED_SIZE], 0)
    except (IndexError, KeyError, ValueError, OverflowError, RecursionError):
        pass
    return None


def _read_header(data: bytes) -> tuple[dict[int, int], int]:
    """The whole numbers among a struct's fields by their ids, and the struct's length in bytes."""
    fields: dict[int, int] = {}
    number, at = 0, 0
    while (head := data[at]) != 0:
        at += 1
        number += head >> 4
        kind = head & 15
        if head >> 4 == 0:
            raise ValueError("fields that far apart stand in no page header")
        if kind == _I32:
            fields[number], at = _number(data, at)
        else:
            at = _skip(data, at, kind)
    return fields, at + 1


def _skip(data: bytes, at: int, kind: int) -> int:
    """Where the value that begins at `at` ends."""
    if kind in (_TRUE, _FALSE):
        return at
    if kind in (_I16, _I32, _I64):
        return _varint(data, at)[1]
    if kind == _BINARY:
        length, at = _varint(data, at)
        return at + length
    if kind == _STRUCT:
        return at + _read_header(data[at:])[1]
    raise ValueError(f"a value of kind {kind} stands in no page header")


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value, at + 1
        at, shift = at + 1, shift + 7
