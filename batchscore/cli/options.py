"""What the job commands have in common: where their settings come from, and how much they say."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from batchscore.cli.console import log_warning
from batchscore.config import Resolved, Settings, resolve

_Function = TypeVar("_Function", bound=Callable[..., Any])
SettingsT = TypeVar("SettingsT", bound=Settings)


def shared_options(function: _Function) -> _Function:
    """Add --config, --date, --print-config, --json, --quiet and --verbose."""
    for option in reversed((
        click.option("--config", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.toml",
                     help="Read settings from this TOML file. Flags win over it."),
        click.option("--date", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD",
                     help="What {date} in paths stands for. Default: today (UTC)."),
        click.option("--print-config", is_flag=True, help="Print each setting with its source, and stop."),
        click.option("--json", "as_json", is_flag=True, help="Print the report to stdout as JSON."),
        click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong."),
        click.option("-v", "--verbose", is_flag=True, help="Say more."),
    )):  # fmt: skip
        function = option(function)
    return function


def resolve_settings(
    kind: type[SettingsT], table: str, flags: Mapping[str, Any], config: Path | None, date: dt.datetime | None
) -> Resolved[SettingsT]:
    """The settings of one command; see `config.resolve`."""
    return resolve(kind, table, flags, config=config, date=date.date() if date else None, given_as="flag")


def print_config(resolved: Resolved[Any]) -> None:
    """Write each setting, its value and its source to stdout."""
    values = resolved.settings.model_dump(mode="json")
    width = max(map(len, values))
    for name, value in values.items():
        print_out(f"{name:<{width}}  {_spell(value)}  ({resolved.sources[name]})")


def _spell(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{key}={item}" for key, item in value.items()) or None
    return "-" if value in (None, []) else str(value)


def print_out(text: str) -> None:
    """Write a result to stdout; a reader that has gone away is no failure, and any other only warns."""
    encoding = sys.stdout.encoding or "utf-8"
    text = text.rstrip("\n").encode(encoding, "backslashreplace").decode(encoding)
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        log_warning(f"the result could not be written to standard output: {error.strerror}")
