"""The options of the commands, made of the declarations of their settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import click
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from batchscore.settings.base import Settings
from batchscore.settings.paths import EMPTY_PATH
from batchscore.settings.setting import Argument, Setting, Switch


class FilePath(click.Path):
    """A path of the command line as a `Path`; an empty one would be the working directory, and is refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path that `value` is."""
        if value == "":
            self.fail(EMPTY_PATH, param, ctx)
        return super().convert(value, param, ctx)


class Day(click.DateTime):
    """A date of the command line, YYYY-MM-DD."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The date that `value` is."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not a date: write YYYY-MM-DD", param, ctx)


class DeclaredOption(click.Option):
    """An option of the command line and the declaration that it was made of."""

    def __init__(self, names: list[str], declared: Setting, default_text: str = "", **attributes: Any) -> None:
        ending = f"  [default: {default_text}]" if default_text else ""
        super().__init__(
            names, metavar=declared.metavar or None, help=declared.meaning + ending,
            is_flag=isinstance(declared, Switch), **attributes,
        )  # fmt: skip
        self.declared, self.default_text = declared, default_text


class DeclaredArgument(click.Argument):
    """An argument of the command line and the declaration that it was made of."""

    def __init__(self, name: str, declared: Argument, *, required: bool) -> None:
        super().__init__([name], metavar=declared.metavar, required=required)
        self.declared = declared


CONFIG = DeclaredOption(
    ["--config"],
    Setting("FILE.toml", "Read settings from this TOML file. Flags take precedence over it."),
    type=FilePath(),
)
DATE = DeclaredOption(
    ["--date"],
    Setting(
        "YYYY-MM-DD",
        "What {date} in paths and constants stands for.",
        "A file cannot set it: it would be wrong on any other night. In a crontab `%` must be escaped: "
        "`--date $(date +\\%F)`.",
    ),
    "today (UTC)",
    type=Day(),
)
PRINT_CONFIG = DeclaredOption(["--print-config"], Switch("Print each setting with its source, and stop."))
JSON = DeclaredOption(
    ["--json", "as_json"],
    Switch("Print the result to stdout as JSON.", "A failure too, with its message and exit code."),
)
QUIET = DeclaredOption(["-q", "--quiet"], Switch("Print only errors and warnings."))
VERBOSE = DeclaredOption(["-v", "--verbose"], Switch("Print more while it works."))

SHARED_OPTIONS = (CONFIG, DATE, PRINT_CONFIG, JSON, QUIET, VERBOSE)
"""What several commands take; a command that a TOML file may configure takes all of them."""


def job_parameters(kind: type[Settings]) -> list[click.Parameter]:
    """The parameters of a command that a TOML file may configure: its settings, and what such commands share."""
    return [*_of_settings(kind, in_file=True), *SHARED_OPTIONS]


def parameters(kind: type[Settings], *shared: DeclaredOption) -> list[click.Parameter]:
    """The parameters of a command that has no TOML file: its settings, and those of the shared options it takes."""
    return [*_of_settings(kind, in_file=False), *shared]


def _of_settings(kind: type[Settings], *, in_file: bool) -> Iterator[click.Parameter]:
    """What stands on the command line; arguments may be left out if a file may give them."""
    for key, declared in kind.declarations().items():
        if key not in kind.tables:
            yield _parameter(key, declared, kind.model_fields[key], in_file=in_file)


def _parameter(key: str, declared: Setting, field: FieldInfo, *, in_file: bool) -> click.Parameter:
    if isinstance(declared, Argument):
        return DeclaredArgument(key, declared, required=not in_file)
    name = key.replace("_", "-")
    if isinstance(declared, Switch):
        names = f"--{name}/--no-{name}" if field.default else f"--{name}"
        return DeclaredOption([names], declared, name if field.default else "", default=None)
    required = field.is_required() and not in_file
    return DeclaredOption(
        [f"--{name}"], declared, format_default(declared, field), multiple=is_repeatable(field), required=required
    )  # fmt: skip


def is_repeatable(field: FieldInfo) -> bool:
    """Whether a setting may be given several times: a list or a table."""
    return get_origin(field.annotation) in (dict, tuple)


def format_default(declared: Setting, field: FieldInfo) -> str:
    """What counts if a setting is not given, as text; empty if nothing does."""
    default = declared.default or field.default
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return "" if default in (None, PydanticUndefined) else str(default)
