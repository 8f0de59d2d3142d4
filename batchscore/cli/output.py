"""Results on stdout, and what a person may want to read on stderr."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from batchscore.cli.log import log_warning
from batchscore.errors import reason_of


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
    """Write what a person may want to read to stderr; no one there is no failure."""
    with suppress(OSError, ValueError):
        click.echo(text, err=True)
