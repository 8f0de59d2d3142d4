"""Where the settings of a job command come from; apart from its options, since validation takes long to import."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from batchscore.cli.options import print_out
from batchscore.settings.base import Settings
from batchscore.settings.resolve import Resolved, resolve

SettingsT = TypeVar("SettingsT", bound=Settings)


def resolve_settings(
    kind: type[SettingsT], table: str, flags: Mapping[str, Any], config: Path | None, date: dt.datetime | None
) -> Resolved[SettingsT]:
    """The settings of one command; see `settings.resolve`."""
    return resolve(kind, table, flags, config=config, date=date.date() if date else None, given_as="flag")


def print_config(resolved: Resolved[Any]) -> None:
    """Write each setting, its value and its source to stdout."""
    values = resolved.settings.model_dump(mode="json")
    width = max(map(len, values))
    for name, value in values.items():
        print_out(f"{name:<{width}}  {_format(value)}  ({resolved.sources[name]})")


def _format(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{key}={item}" for key, item in value.items()) or None
    return "-" if value in (None, []) else str(value)
