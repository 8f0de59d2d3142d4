"""The form of README and manual: first lines, links, size, and what each page must name."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import click
import pytest

import batchscore
from batchscore.cli import COMMANDS
from batchscore.settings.run import RunSettings

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "batchscore" / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TEXTS = {path: path.read_text("utf-8") for path in (README, *PAGES)}
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_FLAG = re.compile(r"(?<=[`\s\[])--[a-z][a-z-]*[a-z](?![-\w])")


def names(paths):
    return [path.name for path in paths]


def anchors(text):
    """The anchors that GitHub gives to the headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_a_page_begins_with_its_title_and_what_it_is_for(path):
    title, empty, purpose, *_ = TEXTS[path].split("\n")
    assert re.fullmatch(r"# \S.*", title)
    assert empty == ""
    assert re.match(r"[A-Z]", purpose)
    assert re.findall(r"^# ", _FENCED.sub("", TEXTS[path]), re.MULTILINE) == ["# "]


@pytest.mark.parametrize("path", TEXTS, ids=names(TEXTS))
def test_no_link_is_dead(path):
    dead = []
    for link in _LINK.findall(_FENCED.sub("", TEXTS[path])):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_a_page_links_to_nothing_outside_the_manual(path):
    """The pages are shipped without the repository around them."""
    links = [link for link in _LINK.findall(TEXTS[path]) if not link.startswith(("https://", "#"))]
    assert [link for link in links if (path.parent / link.split("#")[0]).resolve().parent != DOCS] == []


def test_the_readme_leads_to_every_page():
    listed = re.findall(r"^\| \[.+?\]\(batchscore/docs/(.+?)\) \|", TEXTS[README], re.MULTILINE)
    assert sorted(listed) == names(PAGES)


def test_the_architecture_is_one_screen_and_names_every_room():
    text = (ROOT / "batchscore" / "ARCHITECTURE.md").read_text("utf-8")
    assert len(text.splitlines()) <= 64
    assert max(map(len, text.splitlines())) <= 116
    rooms = {path.parent.relative_to(ROOT / "batchscore").parts[0] for path in DOCS.parent.glob("*/__init__.py")}
    rooms |= {f"scoring/{path.parent.name}" for path in DOCS.parent.glob("scoring/*/__init__.py")} - {"scoring"}
    assert [room for room in sorted(rooms) if f"{room}/" not in text] == []
    named = {name for name in re.findall(r"`?([a-z_/]+(?:/|\.py))", text) if not name.startswith("tests/")}
    assert [name for name in sorted(named) if not (DOCS.parent / name).exists()] == []


def test_the_readme_is_short():
    assert len(README.read_bytes()) <= 10_240


def commands():
    """Each command and, where it is a group, each of its commands, by name."""
    found = {}
    for name in COMMANDS:
        command = importlib.import_module(f"batchscore.cli.{name}").command
        found[name] = command
        found |= {f"{name} {sub}": each for sub, each in getattr(command, "commands", {}).items()}
    return found


def test_every_command_stands_in_the_manual():
    manual = "".join(TEXTS.values())
    assert [name for name in commands() if f"batchscore {name}" not in manual] == []


OTHER_PROGRAMS = {"--update-golden", "--golden-model", "--peer", "--work", "--data", "--splits"}
"""Flags of pytest and of the scripts of the repository."""


def flags_of(command):
    parameters = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return {"--help"}.union(*((*parameter.opts, *parameter.secondary_opts) for parameter in parameters))


@pytest.mark.parametrize("path", TEXTS, ids=names(TEXTS))
def test_every_flag_that_is_named_exists(path):
    known = OTHER_PROGRAMS.union(*map(flags_of, commands().values()))
    assert set(_FLAG.findall(_FENCED.sub("", TEXTS[path]))) - known == set()


@pytest.mark.parametrize("path", TEXTS, ids=names(TEXTS))
def test_every_flag_of_a_command_line_is_the_command_s(path):
    known = commands()
    wrong = [
        line
        for line in re.findall(r"`(batchscore [^`]+)`", " ".join(_FENCED.sub("", TEXTS[path]).split()))
        if (name := line.split()[1]) in known and set(_FLAG.findall(line)) - flags_of(known[name])
    ]
    assert wrong == []


def test_the_page_on_python_has_every_function():
    told = set(
        re.findall(r"^\| `batchscore\.(\w+)` \| `batchscore (\w+)` \|", TEXTS[DOCS / "python.md"], re.MULTILINE)
    )
    functions = {name for name in batchscore.__all__ if inspect.isfunction(getattr(batchscore, name))}
    assert told == {(name, name) for name in functions}


def test_the_table_of_guards_has_their_defaults():
    table = TEXTS[DOCS / "nightly.md"].partition("## Guards")[2].partition("\n\n**")[0]
    rows = re.findall(r"^\| (`--.+?) \| (.+?) \|", table, re.MULTILINE)
    told = {flag: default for flags, default in rows for flag in re.findall(r"--([a-z-]+)", flags)}
    fields = RunSettings.model_fields
    defaults = {flag: fields[flag.replace("-", "_")].default for flag in told}
    assert {
        flag: "no" if default is False else getattr(default, "text", str(default))
        for flag, default in defaults.items()
    } == told
    assert len(told) == 14


def masked(message):
    return re.sub(r"[-+]?\d[\d,.]*", "#", message).rstrip(".")


def test_a_message_that_a_page_quotes_is_that_of_the_errors():
    """But for its first word, which may be a name. `...` stands before what is quoted from the middle of one."""
    examples = {}
    for error_id, message in re.findall(r"^(E-[A-Z0-9-]+): (.*)$", TEXTS[DOCS / "errors.md"], re.MULTILINE):
        examples.setdefault(error_id, []).append(masked(message))
    quoted = {
        quote
        for path in PAGES
        if path.name != "errors.md"
        for quote in re.findall(r"`[^`\n]*?(E-[A-Z0-9-]+): (?!\.\.\.)([^`\n]*)`", TEXTS[path])
    }
    assert len(quoted) > 10
    wrong = [
        (error_id, message)
        for error_id, message in quoted
        if not any(masked(message).partition(" ")[2] in example for example in examples[error_id])
    ]
    assert wrong == []


def test_readme_and_manual_say_the_same_of_the_exit_codes():
    tables = [
        re.findall(r"^\| (\d+|128 \+ N) \| [^`|]+ \| (yes|no)?", TEXTS[path], re.MULTILINE)
        for path in (README, DOCS / "errors.md")
    ]
    assert tables[0] == tables[1]
    assert [code for code, _ in tables[0]] == ["0", "1", "2", "3", "4", "5", "6", "7", "75", "128 + N"]
