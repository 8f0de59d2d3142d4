"""Tables and facts of golden cases as text for people: CSV that tells null from empty, and a little TOML."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc

from batchscore.system.regular_files import read_regular

_DECIMAL = re.compile(r"decimal128\((\d+), *(-?\d+)\)")
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), *tz=(.+)\]")
_DICTIONARY = re.compile(r"dictionary<((?!dictionary).+)>")


def read_csv(path: Path) -> pa.Table:
    """The table in `path`, all columns as text; an unquoted empty cell is null.

    Raises OSError, ValueError, csv.Error or pa.ArrowException.
    """
    content = read_regular(path)
    header = next(csv.reader(io.StringIO(content.decode(), newline="")), [])
    return pc.read_csv(
        io.BytesIO(content),
        parse_options=pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pc.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def parse_type(name: str) -> pa.DataType:
    """The Arrow type that `name` spells: any that pyarrow prints, `dictionary<T>` for values of type T."""
    if match := _DECIMAL.fullmatch(name):
        return pa.decimal128(int(match[1]), int(match[2]))
    if match := _ZONED.fullmatch(name):
        return pa.timestamp(match[1], match[2])
    if match := _DICTIONARY.fullmatch(name):
        return pa.dictionary(pa.int32(), parse_type(match[1]))
    if name == "string_view":
        return pa.string_view()
    return pa.type_for_alias(name)


def csv_lines(table: pa.Table) -> list[str]:
    """The table as the lines of a CSV file that `read_csv` reads."""
    columns = [[_cell(scalar) for scalar in column] for column in table.columns]
    return [",".join(row) + "\n" for row in [table.column_names, *zip(*columns, strict=True)]]


def _cell(scalar: pa.Scalar) -> str:
    if not scalar.is_valid:
        return ""
    text = scalar.as_py() if pa.types.is_string(scalar.type) else str(scalar.cast(pa.string()).as_py())
    if text == "" or any(character in text for character in ',"\n\r') or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return str(text)


def toml_text(facts: Mapping[str, Any]) -> str:
    """The facts as TOML: texts, numbers and lists first, then a table for each mapping that is not empty."""
    lines = [f"{key} = {_toml_value(value)}\n" for key, value in facts.items() if not isinstance(value, Mapping)]
    for key, table in facts.items():
        if isinstance(table, Mapping) and table:
            lines.append(f"\n[{key}]\n")
            lines += [f"{_toml_key(name)} = {_toml_value(value)}\n" for name, value in table.items()]
    return "".join(lines)


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml_value(name)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _toml_text(value)
    items = "".join(f"  {_toml_value(item)},\n" for item in value)
    return f"[\n{items}]" if items else "[]"


def _toml_text(text: str) -> str:
    if "'''" not in text and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        if "\n" in text:
            return f"'''\n{text}'''"
        if "'" not in text:
            return f"'{text}'" if '"' in text or "\\" in text else f'"{text}"'
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
