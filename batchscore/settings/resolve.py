"""The settings of a command from its flags, a TOML file and the environment, and where each value came from.

Precedence: flag > TOML > environment > default. A flag and its TOML key have one name (`--top-n` is `top_n`;
dashes are accepted too). Relative paths in a TOML file resolve against that file's folder, on the command line
against the working directory. `{date}` in a path becomes the value of `--date`.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from batchscore.errors import UsageError, did_you_mean, format_value, shorten
from batchscore.settings.base import Settings, is_path
from batchscore.settings.paths import DatedPath, fill_date, is_foreign, is_same_file, require_paths
from batchscore.settings.setting import Argument
from batchscore.settings.toml_tables import read_table
from batchscore.system.clock import utc_today

_FLAGS_ONLY = ("config", "print_config", "json", "quiet", "verbose")
"""What a command line may say, beside the date, that a file may not."""

_EXPECTED = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string": "must be text",
    "dict": "must be a table of name = value",
    "tuple": "must be a list",
}
"""Our words for values of a wrong type, by the first word of pydantic's kind of problem (`int_parsing`)."""

SettingsT = TypeVar("SettingsT", bound=Settings)


@dataclass(frozen=True)
class Resolved(Generic[SettingsT]):
    """Settings and, for each field, its source: `flag` or `argument`, the TOML file, `environment` or `default`."""

    settings: SettingsT
    sources: Mapping[str, str]


def resolve(
    kind: type[SettingsT],
    table: str,
    flags: Mapping[str, Any],
    *,
    config: Path | str | None = None,
    date: dt.date | str | None = None,
    environ: Mapping[str, str] | None = None,
    given_as: Literal["argument", "flag", "case.toml"] = "argument",
) -> Resolved[SettingsT]:
    """Settings of one command from its flags (None: not given), a TOML file and the environment.

    `date` is what `{date}` in paths and constants stands for: a date, or its text (2024-02-29); today in UTC if it
    is None. No file gives it: the date that is right tonight would be wrong on every other night.
    `given_as` is what messages call the flags: the Python API has arguments, a golden case its file. Raises
    UsageError: E-CONFIG names every wrong value and where it came from; E-OUTPUT-IS-INPUT if the output would
    replace the configuration.
    """
    day = _day(date)
    given = _from_environment(kind, os.environ if environ is None else environ)
    if config is not None:
        config = Path(config)
        given |= _from_file(kind, table, config)
    given |= {key: (value, given_as) for key, value in flags.items() if not _is_left_out(value)}
    values = {key: _dated(kind, key, value, day) for key, (value, _) in given.items()}
    sources = dict.fromkeys(kind.model_fields, "default") | {key: source for key, (_, source) in given.items()}
    if "date" in kind.model_fields:
        values["date"], sources["date"] = day, "default" if date is None else given_as
    try:
        settings = kind.model_validate(values)
    except ValidationError as error:
        problems = [_problem(item, kind, sources, given_as) for item in error.errors()]
        raise UsageError(
            "E-CONFIG",
            f"{len(problems)} setting(s) of `batchscore {table}` are not valid",
            details=problems,
            next_step=f"correct them; `batchscore {table} --help` lists every setting",
        ) from error
    output = getattr(settings, "output", None)
    if config is not None and output is not None and is_same_file(Path(output), config):
        raise UsageError(
            "E-OUTPUT-IS-INPUT", "output and configuration are the same file", where=output,
            next_step="give --output another path",
        )  # fmt: skip
    return Resolved(settings, sources)


def _from_environment(kind: type[Settings], environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The settings that the environment gives, each with its source."""
    variables = {key: declared.environment for key, declared in kind.declarations().items() if declared.environment}
    return {
        key: (environ[name], f"environment {name}") for key, name in variables.items() if environ.get(name)
    }  # fmt: skip


def _from_file(kind: type[Settings], table: str, config: Path) -> dict[str, tuple[Any, str]]:
    """The settings that the TOML file gives, each with its source; paths are resolved against the file's folder."""
    require_paths(config, next_step="correct --config")
    told = read_table(config, table, kind.tables)
    if "date" in told:
        raise UsageError(
            "E-CONFIG", "date cannot be set in a file: it would be wrong on any other night", where=config,
            next_step="leave it out, and give --date if the date is not today",
        )  # fmt: skip
    if switches := [name for name in _FLAGS_ONLY if name in told]:
        flags = " ".join(f"--{name.replace('_', '-')}" for name in switches)
        raise UsageError(
            "E-CONFIG", f"{', '.join(switches)} cannot be set in a file", where=config,
            next_step=f"leave it out, and give {flags} on the command line",
        )  # fmt: skip
    folder = config.resolve().parent
    return {key: (_anchored(kind, key, value, folder), str(config)) for key, value in told.items()}


def _is_left_out(value: object) -> bool:
    """Whether a flag was not given: None, or no value of a flag that may be repeated."""
    return value is None or (isinstance(value, tuple) and not value)


def _day(date: dt.date | str | None) -> dt.date:
    try:
        return dt.date.fromisoformat(date) if isinstance(date, str) else date or utc_today()
    except ValueError as error:
        raise UsageError(
            "E-CONFIG", f"{date!r} is not a date", expected="YYYY-MM-DD", next_step="correct --date"
        ) from error


def _names_beside(place: Sequence[str | int], kind: type[Settings]) -> list[str]:
    """The names that may stand at `place`, where an unknown one does."""
    if len(place) == 1:
        return [*kind.model_fields]
    return [
        name for model in _models_in(kind.model_fields[str(place[0])].annotation) for name in model.model_fields
    ]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _anchored(kind: type[Settings], key: str, value: Any, folder: Path) -> Any:
    if is_path(kind, key) and isinstance(value, str) and value:
        anchored = folder / value
        return value if is_foreign(value) and not anchored.exists() else str(anchored)
    if key == "model" and isinstance(value, dict) and "factory" in value:
        return value | {"factory_folder": str(folder / str(value.get("factory_folder", "")))}
    return value


def _dated(kind: type[Settings], key: str, value: Any, day: dt.date) -> Any:
    if not (is_path(kind, key) and isinstance(value, (str, Path)) and value):
        return value
    if kind.model_fields[key].annotation is DatedPath:
        return DatedPath(Path(value), day)
    return fill_date(value, day.isoformat())


def _problem(item: Mapping[str, Any], kind: type[Settings], sources: Mapping[str, str], given_as: str) -> str:
    setting, *within = map(str, item["loc"]) if item["loc"] else ("",)
    if setting in ("features", "tasks"):
        del within[1:2]  # which kind of feature or task pydantic took it for
    key = ".".join((setting, *(part for part in within if not part.isdigit())))
    message, hint = _message(item), ""
    if not item["loc"]:
        return message  # several settings, each from wherever it came; it names them
    if item["type"] == "missing":
        return f"{key}: not given{'' if within or given_as != 'flag' else _how_to_give(key, kind)}"
    if item["type"] == "union_tag_not_found":
        return f"{key}.kind: not given"
    if item["type"] == "union_tag_invalid":
        key += ".kind"
    if item["type"] == "extra_forbidden":
        message = "there is no such setting"
        hint = did_you_mean(str(item["loc"][-1]), _names_beside(item["loc"], kind))
    return f"{key}: {message} ({_given(item)}from {sources.get(setting, given_as)}){hint}"


def _message(item: Mapping[str, Any]) -> str:
    """What is wrong with a value."""
    if item["type"] == "union_tag_invalid":
        return f"must be one of {item['ctx']['expected_tags']}"
    kind, _, problem = item["type"].partition("_")
    if problem in ("parsing", "parsing_size", "type", "from_float") and kind in _EXPECTED:
        return _EXPECTED[kind]
    return str(item["msg"]).removeprefix("Value error, ").replace("Input should ", "must ")


def _given(item: Mapping[str, Any]) -> str:
    """`given: 'abc', `, the value as TOML spells it; empty if the message has it, as those of our own do."""
    if item["type"] in ("value_error", "extra_forbidden"):
        return ""
    value = item["ctx"]["tag"] if item["type"] == "union_tag_invalid" else item["input"]
    if isinstance(value, bool):
        return f"given: {str(value).lower()}, "
    return f"given: {format_value(value) if isinstance(value, str) else shorten(value)}, "


def _how_to_give(key: str, kind: type[Settings]) -> str:
    declared = kind.declarations()[key]
    word = declared.metavar if isinstance(declared, Argument) else f"--{key.replace('_', '-')}"
    return f"; add {word} or the key {key}"
