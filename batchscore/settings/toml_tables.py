"""The TOML file of a job: a table a command, and nothing that no command knows."""

from __future__ import annotations

import ast
import codecs
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batchscore.errors import UsageError, did_you_mean, reason_of
from batchscore.system.regular_files import read_regular

DECLARATION_TABLES = ("features", "model", "tasks")
"""The tables that a training declares its model with, beside its own."""

TABLES = ("run", "train", "adopt", "evaluate", *DECLARATION_TABLES)
"""The tables that a TOML file may hold: one per command, and those that a training declares its model with."""

_UNQUOTED = re.compile(r"""\s*(?P<key>[\w.-]+)\s*=\s*(?P<value>(\{date\}|[^\s"'\[{#])[^"'#]*?)\s*(#.*)?""")
"""A line `key = value` whose value has no quotes and is no array or table."""

_ASSIGNED = re.compile(r"""\s*(?P<key>[\w.-]+|"[^"]*"|'[^']*')\s*=""")
_KEY_TWICE = "Cannot overwrite a value"
_TABLE_TWICE = re.compile(r"Cannot declare (\(.*?\)) twice")
"""What tomllib says of a key or a table that is given twice."""


def read_toml(path: Path) -> dict[str, Any]:
    """The TOML file `path`. Raises OSError if it cannot be read, ValueError if it is not TOML in UTF-8."""
    content = read_regular(path)
    if content.startswith(codecs.BOM_UTF8):
        raise ValueError("it begins with a byte order mark (BOM); save it as UTF-8 without one")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"it is not UTF-8: byte 0x{content[error.start]:02x} at position {error.start:,}"
        ) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(_explain(text, str(error))) from error
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error


def _explain(text: str, problem: str) -> str:
    """What is wrong with the TOML `text`; the words of tomllib, which are `problem`, if they say it best."""
    lines = text.splitlines()
    line = re.search(r"at line (\d+)", problem)
    number = int(line[1]) if line else len(lines)
    if problem.startswith(_KEY_TWICE):
        return _explain_repeated_key(lines, number)
    if table := _TABLE_TWICE.match(problem):
        name = ".".join(ast.literal_eval(table[1]))
        return f"line {number}: the table [{name}] is given twice; put all its keys below the first"
    return _explain_unquoted(lines, number) or problem


def _explain_repeated_key(lines: Sequence[str], number: int) -> str:
    """Which key is given twice: the last one that begins in the line `number` or, for a long value, before it."""
    assigned = filter(None, (_ASSIGNED.match(line) for line in reversed(lines[:number])))
    key = next((found["key"].strip("\"'") for found in assigned), "a key")
    return f"line {number}: {key} is given twice; keep one of them"


def _explain_unquoted(lines: Sequence[str], number: int) -> str | None:
    """What to write in the line `number`, if its value is text without quotes (`off`, `50%`, `26h`)."""
    assignment = _UNQUOTED.fullmatch(lines[number - 1]) if 0 < number <= len(lines) else None
    if assignment is None:
        return None
    key, value = assignment["key"], assignment["value"]
    return f'line {number}: {value} is text, and text needs quotes: {key} = "{value}"'


def _bracketed(name: str, value: object) -> str:
    return f"[{name}]" if isinstance(value, dict) else name


def read_table(config: Path, table: str, more: Sequence[str]) -> dict[str, Any]:
    """The settings of a command: its own `table` of the file `config`, and under their names the tables `more`.

    The tables of other commands may stand in the file too. Raises UsageError (E-CONFIG).
    """
    try:
        document = read_toml(config)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        raise UsageError(
            "E-CONFIG",
            f"the configuration cannot be read: {reason}",
            where=config,
            next_step="correct the file or --config",
        ) from error
    unknown = [name for name, value in document.items() if name not in TABLES or not isinstance(value, dict)]
    if unknown or table not in document:
        hint = "".join(did_you_mean(name, TABLES) for name in unknown[:1] if name not in TABLES)
        raise UsageError(
            "E-CONFIG",
            f"the configuration has unknown entries{hint}"
            if unknown
            else f"the configuration has no table [{table}]",
            where=config,
            found=", ".join(_bracketed(name, document[name]) for name in unknown or document) or "an empty file",
            expected=f"[{table}], and beside it only {', '.join(f'[{name}]' for name in TABLES if name != table)}",
            next_step="put every setting into its command's table"
            if unknown
            else f"add [{table}], or leave --config out if the flags say everything",
        )
    values: dict[str, Any] = {name: document[name] for name in more if name in document}
    for name, value in document[table].items():
        key = name.replace("-", "_")
        if key in values:
            places = f"in [{table}] and beside it" if key in more else "with a dash and with an underscore"
            raise UsageError(
                "E-CONFIG", f"{key} is given twice, {places}", where=config, next_step="keep one of them"
            )
        values[key] = value
    return values
