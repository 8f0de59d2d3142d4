"""docs/errors.md has a section for every error id: its meaning, cause, what to look at, what to do, an example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import batchscore
from batchscore.cli.help import sections_of
from batchscore.errors import ERROR_IDS

PAGE = (Path(batchscore.__file__).parent / "docs" / "errors.md").read_text("utf-8")
SECTIONS = {title: text for title, text in sections_of(PAGE).items() if title.startswith("E-")}
CODES = {error_id: code for code, error_id in re.findall(r"^\| (.+?) \| `(E-.+?)` \|", PAGE, re.MULTILINE)}
LABELS = ["Cause", "Look at", "Do", "Example"]


def example_of(error_id: str) -> list[str]:
    """The lines of the example."""
    return SECTIONS[error_id].partition("**Example.**\n\n```\n")[2].partition("\n```\n")[0].splitlines()


def test_every_id_has_a_section_and_every_section_an_id():
    assert sorted(SECTIONS) == sorted(ERROR_IDS)


def test_sections_are_ordered_by_exit_code():
    codes = [int(CODES[error_id].split()[0]) for error_id in SECTIONS]
    assert codes == sorted(codes)


@pytest.mark.parametrize("error_id", ERROR_IDS)
def test_a_section_says_what_the_error_means_and_has_the_four_parts(error_id):
    _, meaning, *parts = SECTIONS[error_id].rstrip("\n").split("\n\n")
    assert meaning.split() == f"Exit {CODES[error_id]}: {ERROR_IDS[error_id]}.".split()
    labels = [found.group(1) for part in parts if (found := re.match(r"\*\*(.+?)\.\*\*", part))]
    assert labels == LABELS
    assert all(len(part.split()) > 4 for part in parts[:3])


@pytest.mark.parametrize("error_id", ERROR_IDS)
def test_the_example_is_a_message_of_this_error(error_id):
    first, *rest = example_of(error_id)
    assert first.startswith(f"{error_id}: ")
    assert all(line.startswith("  ") for line in rest)
    assert error_id in ("E-BUG", "E-STOPPED") or rest[-1].startswith("  next:     ")


def test_flags_of_the_page_exist():
    import importlib

    from batchscore.cli import COMMANDS

    commands = [importlib.import_module(f"batchscore.cli.{name}").command for name in COMMANDS]
    commands += [sub for command in commands for sub in getattr(command, "commands", {}).values()]
    known = {flag for command in commands for option in command.params
             for flag in (*option.opts, *option.secondary_opts)}  # fmt: skip
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - known == {"--help"}
