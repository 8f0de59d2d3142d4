"""The command line: options in, exit code out. Commands are imported when they are called."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from batchscore import __version__
from batchscore.errors import (
    EXIT_BUG,
    EXIT_OK,
    EXIT_SIGNAL_BASE,
    EXIT_USAGE,
    BatchscoreError,
    StoppedError,
    as_out_of_memory,
    did_you_mean,
)
from batchscore.system.environment import settle_environment

COMMANDS = {
    "run": "Score pairs and publish each user's top N.",
    "train": "Train a ranking model and publish it as the next version.",
    "adopt": "Publish any SavedModel as the next version of a model.",
    "inspect": "Show a model, and how `run` would use it.",
    "diff": "Compare two outputs.",
    "evaluate": "Measure an output by what users really did.",
    "golden": "Run golden cases and compare.",
    "rollback": "Publish the output before the published one again.",
    "data": "Make data to try batchscore on.",
    "help": "Show a page of the manual, or what an error means.",
}
"""Every command with its line in `batchscore --help`; each lives in the module of its name."""


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"batchscore.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}{did_you_mean(args[0], COMMANDS) or '.'}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="batchscore")
def group() -> None:
    """The nightly ranking job for TensorFlow Recommenders.

    Pairs of user and candidate in, each user's top N out: right and whole, or refused with last night's file
    untouched. `batchscore help` lists the pages of the manual; `batchscore help E-USERS-DROPPED` explains an error.
    """


def main() -> NoReturn:
    """Run the command line and exit with the code that docs/errors.md explains."""
    settle_environment()
    gc.disable()  # while modules load there is nothing to collect, and looking for it takes a tenth of the time
    _reopen_closed_streams()
    try:
        code = _with_deep_stack(group.main, prog_name="batchscore", standalone_mode=False)
        _leave(code if isinstance(code, int) else EXIT_OK)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        _leave(EXIT_USAGE)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "batchscore"
        message = f"E-CONFIG: {_format_usage(error)}\n  next:     see `{command} --help`"
        _fail(error, "E-CONFIG", EXIT_USAGE, message)
    except click.Abort:
        _leave(EXIT_SIGNAL_BASE + 2)
    except (BatchscoreError, StoppedError) as error:
        _fail(error, error.error_id, error.exit_code, str(error))
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - a bug, also a panic in polars: the traceback is for us, the id for the person on call
        shortage = as_out_of_memory(error)
        if shortage is not None:
            _fail(error, shortage.error_id, shortage.exit_code, str(shortage))
        message = f"E-BUG: a fault in batchscore {__version__} itself; please report it with these lines"
        _tell(message)
        _fail(error, "E-BUG", EXIT_BUG, traceback.format_exc())


def _with_deep_stack(function: Callable[..., object], **arguments: object) -> object:
    """`function(**arguments)`, its frames in one piece of memory.

    CPython keeps frames in chunks of 16 kB. Where a chunk happens to end within a loop, each turn maps the next one
    and gives it back: that made the imports of some commands 20 ms longer. A frame that asks for 2**16 values gets
    a chunk of 1 MB, of which only what is used takes memory.
    """
    return function(**arguments)


_with_deep_stack.__code__ = _with_deep_stack.__code__.replace(co_stacksize=2**16)


def _format_usage(error: click.UsageError) -> str:
    """What click says; of an unknown option with the nearest one, where click lists several by name."""
    if isinstance(error, click.NoSuchOption):
        return f"{error.message.rstrip('.')}{did_you_mean(error.option_name, error.possibilities or ()) or '.'}"
    return error.format_message()


def _fail(error: BaseException, error_id: str, exit_code: int, message: str) -> NoReturn:
    from batchscore.cli.failure import print_failure

    _tell(message)
    print_failure(error, error_id, exit_code, message)
    _leave(exit_code)


def _reopen_closed_streams() -> None:
    """Point closed standard streams at the null device, or our files would get their numbers, and others' words."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - open for as long as the process lives
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115


def _tell(message: str) -> None:
    from batchscore.cli.log import log_error

    log_error(message)


def _leave(code: int) -> NoReturn:
    """Flush and exit at once: threads inside TensorFlow are not waited for, and a closed pipe is no failure."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)
