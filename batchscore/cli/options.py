"""What the job commands have in common: options, and results on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from batchscore.cli.console import log_warning
from batchscore.errors import reason_of
from batchscore.settings.paths import EMPTY_PATH

_Function = TypeVar("_Function", bound=Callable[..., Any])


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


def shared_options(function: _Function) -> _Function:
    """Add --config, --date, --print-config, --json, --quiet and --verbose."""
    for option in reversed((
        click.option("--config", type=FilePath(), metavar="FILE.toml",
                     help="Read settings from this TOML file. Flags win over it."),
        click.option("--date", type=Day(), metavar="YYYY-MM-DD",
                     help="What {date} in paths and constants stands for. Default: today (UTC)."),
        click.option("--print-config", is_flag=True, help="Print each setting with its source, and stop."),
        click.option("--json", "as_json", is_flag=True, help="Print the report to stdout as JSON."),
        click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong."),
        click.option("-v", "--verbose", is_flag=True, help="Say more."),
    )):  # fmt: skip
        function = option(function)
    return function


def list_options(function: _Function) -> _Function:
    """Add the flags that name the columns of ranked lists."""
    for role, meaning in reversed((
        ("user", "The user column of lists that are no output of `run`.  [default: user_id, else the first]"),
        ("candidate", "Their candidate column.  [default: the second, or the only other column of ids]"),
        ("rank", "Their rank: integers, whose order counts.  [default: rank]"),
        ("score", "Their score, by which lists without a rank are ordered; off: none.  [default: score]"),
    )):  # fmt: skip
        function = click.option(f"--{role}-column", metavar="COLUMN", help=meaning)(function)
    return function


def print_out(text: str) -> None:
    """Write a result to stdout; a reader that has gone away is no failure, and any other only warns."""
    encoding = sys.stdout.encoding or "utf-8"
    text = text.rstrip("\n").encode(encoding, "backslashreplace").decode(encoding)
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except (OSError, ValueError) as error:
        reason = reason_of(error)
        log_warning(f"the result could not be written to standard output: {reason}")


def print_aside(text: object) -> None:
    """Write what a person may want to read to stderr; nobody there is no failure."""
    with suppress(OSError, ValueError):
        click.echo(text, err=True)
