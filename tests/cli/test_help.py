"""Every command helps and loads nothing heavy for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from batchscore.cli import COMMANDS

HEAVY = ("tensorflow", "polars", "tf_keras", "tensorflow_recommenders")

SHOW_HELP = """
import sys
from batchscore.cli import group
for arguments in {arguments}:
    try:
        group.main(args=arguments, prog_name="batchscore", standalone_mode=False)
    except SystemExit as left:
        assert not left.code, arguments
print("LOADED", sorted(set(sys.modules) & set({heavy})))
"""


def subcommands(name: str) -> list[list[str]]:
    """The command and, where it is a group, each of its commands."""
    import importlib

    command = importlib.import_module(f"batchscore.cli.{name}").command
    return [[name], *([name, sub] for sub in getattr(command, "commands", {}))]


def installed_commands() -> list[list[str]]:
    return [arguments for name in COMMANDS for arguments in subcommands(name)]


@pytest.mark.process
def test_help_loads_neither_tensorflow_nor_polars():
    arguments = [["--help"], ["--version"], *([*command, "--help"] for command in installed_commands())]
    script = SHOW_HELP.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("LOADED []\n")


def test_every_command_has_help(batchscore):
    for command in installed_commands():
        told = batchscore(*command, "--help")
        assert (told.exit_code, told.err) == (0, "")
        assert told.out.startswith(f"Usage: batchscore {' '.join(command)} ")
        assert "\nOptions:\n" in told.out


def test_every_option_has_help():
    import importlib

    import click

    def walk(command: click.Command, path: str):
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.help:
                yield f"{path} {parameter.opts[0]}"
        for name, sub in getattr(command, "commands", {}).items():
            yield from walk(sub, f"{path} {name}")

    bare = [
        option
        for name in COMMANDS
        for option in walk(importlib.import_module(f"batchscore.cli.{name}").command, f"batchscore {name}")
    ]
    assert bare == []


def test_the_group_lists_every_command_with_its_line(batchscore):
    told = batchscore("--help")
    width = max(map(len, COMMANDS))
    for name, line in COMMANDS.items():
        assert f"\n  {name:<{width}}  {line}\n" in told.out


def test_without_a_command_help_is_shown_as_a_usage_error(batchscore):
    told = batchscore()
    assert told.exit_code == 2
    assert told.err.startswith("Usage: batchscore [OPTIONS] COMMAND")
