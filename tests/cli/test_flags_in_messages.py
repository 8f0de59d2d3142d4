"""A message names only flags that its command has, or says whose flag it is (`adopt` --candidate-input)."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import click
import pytest

import batchscore
from batchscore.cli import COMMANDS

PACKAGE = Path(batchscore.__file__).parent

SPEAKS_FOR = {
    "adoption": ["adopt"],
    "settings/resolve.py": ["run", "train", "adopt", "evaluate"],
    "datasets": ["data"],
    "evaluation": ["evaluate"],
    "golden_cases": ["golden"],
    "interactions": ["train"],
    "networks": ["train"],
    "publishing": ["run"],
    "system/disk.py": ["run", "rollback"],
    "publishing/rollback.py": ["rollback"],
    "outputs": ["diff", "evaluate"],
    "engine": ["run", "adopt"],
    "savedmodel": ["run", "adopt"],
    "inspection/inspection.py": ["inspect"],
    "inspection/inspection_text.py": ["inspect"],
    "publishing/model_base.py": ["train", "adopt"],
    "scoring": ["run"],
    "scoring/bind/badrows.py": ["run"],
    "scoring/bind/constants.py": ["run", "adopt"],
    "scoring/source/pair_files.py": ["run", "adopt"],
    "scoring/source/parquet_source.py": ["run", "adopt"],
    "settings/adopt.py": ["adopt"],
    "settings/inspect.py": ["inspect"],
    "settings/lists.py": ["diff", "evaluate"],
    "settings/rollback.py": ["rollback"],
    "settings/execution.py": ["run"],
    "settings/guards.py": ["run"],
    "settings/run.py": ["run"],
    "settings/train.py": ["train"],
    "settings/toml_tables.py": ["run", "train", "adopt", "evaluate"],
    "system/memory.py": ["run"],
    "training": ["train"],
}
"""The commands that print what a file or a package says; the longest name counts."""

NO_MESSAGES = {
    "cli",
    "errors.py",
    "golden_cases/pytest_plugin.py",
    "planning",
    "planning/planner.py",
    "settings/paths.py",
    "__init__.py",
}
"""Declarations of flags, descriptions of ids, flags of other programs, command lines that are put together."""

ONLY_IN_ONE = {
    ("settings/resolve.py", "--output"): "only outputs are compared with what else is read",
    ("savedmodel/roles.py", "--user-input"): "said only if an adoption was given it",
    ("savedmodel/roles.py", "--candidate-input"): "said only if an adoption was given it",
    ("scoring/source/parquet_source.py", "--input"): "the default of a parameter: `adopt` gives its own",
}
WHOSE = r"`(?:batchscore )?\w+`? |run (?:again )?with |an earlier model \("
FLAG = re.compile(rf"(?P<whose>(?:{WHOSE})?)(?P<flag>--[a-z][a-z-]*[a-z])(?![a-z…-])")


def walk(command):
    yield command
    for sub in getattr(command, "commands", {}).values():
        yield from walk(sub)


def flags_of(name):
    command = importlib.import_module(f"batchscore.cli.{name}").command
    return {"--help"} | {
        option for item in walk(command) for parameter in item.params
        if isinstance(parameter, click.Option) for option in (*parameter.opts, *parameter.secondary_opts)
    }  # fmt: skip


FLAGS = {name: flags_of(name) for name in COMMANDS}


def owners_of(name):
    found = [place for place in (*SPEAKS_FOR, *NO_MESSAGES) if name == place or name.startswith(f"{place}/")]
    return max(found, key=len, default=None)


def texts(path):
    """Every text of a file but its docstrings; the constant parts of one f-string count as one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents | inside:
            yield node.lineno, node.value


FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
SPEAKING = [name for name in FILES if owners_of(name) in SPEAKS_FOR]


@pytest.mark.parametrize("name", SPEAKING)
def test_a_message_names_flags_of_its_command(name):
    commands = SPEAKS_FOR[owners_of(name)]
    wrong = [
        f"{name}:{line} {match['flag']} is no flag of {command}"
        for line, text in texts(FILES[name])
        for match in FLAG.finditer(text)
        for command in commands
        if not match["whose"] and match["flag"] not in FLAGS[command] and (name, match["flag"]) not in ONLY_IN_ONE
    ]
    assert not wrong


def test_files_that_name_a_flag_speak_for_a_command():
    silent = [name for name in FILES if owners_of(name) is None]
    assert not [name for name in silent for _, text in texts(FILES[name]) if FLAG.search(text)]


def test_what_is_excepted_is_still_there():
    said = {
        (name, match["flag"]) for name in FILES for _, text in texts(FILES[name]) for match in FLAG.finditer(text)
    }
    assert set(ONLY_IN_ONE) <= said
