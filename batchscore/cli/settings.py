"""Where the settings of a command come from."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from batchscore.cli.output import print_out
from batchscore.settings.base import Settings
from batchscore.settings.resolve import Resolved, resolve
from batchscore.settings.setting import Argument

SettingsT = TypeVar("SettingsT", bound=Settings)


def resolve_settings(
    kind: type[SettingsT],
    command: str,
    flags: Mapping[str, Any],
    config: Path | None = None,
    date: dt.datetime | None = None,
) -> Resolved[SettingsT]:
    """The settings of one command; see `settings.resolve`. Raises click.UsageError if an argument is missing."""
    for key, declared in kind.declarations().items():
        if isinstance(declared, Argument) and flags[key] is None and config is None:
            raise click.UsageError(f"Missing argument '{declared.metavar}'.", click.get_current_context())
    return resolve(kind, command, flags, config=config, date=date.date() if date else None, given_as="flag")


def print_config(resolved: Resolved[Any], *, as_json: bool = False) -> None:
    """Write each setting, its value and its source to stdout; in words what takes the place of one not given."""
    values = resolved.settings.model_dump(mode="json")
    if as_json:
        found = {name: {"value": value, "source": resolved.sources[name]} for name, value in values.items()}
        print_out(json.dumps(found, indent=1))
        return
    declared = resolved.settings.declarations()
    width = max(map(len, values))
    for name, value in values.items():
        default = declared[name].default if name in declared else ""
        print_out(f"{name:<{width}}  {_format(value) or default or '-'}  ({resolved.sources[name]})")


def _format(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return "" if value in (None, []) else str(value)
