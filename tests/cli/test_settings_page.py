"""A setting is declared once: its flag, its help and its row of the manual are made of the declaration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args, get_origin

import click
import pytest
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import batchscore
from batchscore.cli import COMMANDS, group, reference
from batchscore.cli.options import SHARED_OPTIONS
from batchscore.cli.reference import KINDS
from batchscore.settings.base import Settings, declaration
from batchscore.settings.limits import Limit
from batchscore.settings.setting import Argument, Setting, Switch
from batchscore.settings.toml_tables import TABLES

PAGE = Path(batchscore.__file__).parent / "docs" / "settings.md"

FLAGS = Path(__file__).with_name("flags.txt").read_text("utf-8")
"""The arguments and flags of each command, in the order of its help. Teams' jobs depend on every one of them."""


def command_of(name: str) -> click.Command:
    command: click.Command = group
    for word in name.split():
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    return command


def walk(command: click.Command, words: list[str]):
    subs = getattr(command, "commands", {})
    yield from (item for sub in subs for item in walk(subs[sub], [*words, sub])) if subs else [" ".join(words)]


SETTINGS = [(name, key) for name, kind in KINDS.items() for key in kind.declarations()]


def test_every_command_has_its_settings():
    commands = [name for word in COMMANDS for name in walk(command_of(word), [word])]
    assert [*KINDS] == [name for name in commands if name != "help"]
    assert {name for name in KINDS if command_of(name).params[-6:] == [*SHARED_OPTIONS]} <= set(TABLES)


def test_no_flag_is_lost():
    found = []
    for name in KINDS:
        found.append(f"batchscore {name}")
        for item in command_of(name).params:
            word = item.metavar if isinstance(item, click.Argument) else max(item.opts, key=len)
            found.append(f"    {word}")
    assert "\n".join([*found, ""]) == FLAGS, "a flag came or went: correct flags.txt if that is meant"


def test_the_page_is_what_its_generator_prints():
    assert PAGE.read_text("utf-8") == reference.render(), (
        "a setting has changed: run `python -m batchscore.cli.reference > batchscore/docs/settings.md`"
    )


# what `--help` says


def help_of(name: str) -> list[tuple[str, str]]:
    """The lines of a command's options: the flag with its metavar, and what it says."""
    command = command_of(name)
    return [
        item.get_help_record(click.Context(command)) for item in command.params if isinstance(item, click.Option)
    ]


def expected_line(name: str, key: str) -> tuple[str, str]:
    field, declared = KINDS[name].model_fields[key], KINDS[name].declarations()[key]
    flag = f"--{key.replace('_', '-')}"
    default = declared.default or field.default
    told = "" if default in (None, (), PydanticUndefined) else str(default)
    if isinstance(default, tuple):
        told = ",".join(map(str, default))
    if isinstance(declared, Switch):
        flag, told = (f"{flag} / --no-{key}", key) if default else (flag, "")
    notes = f"  [default: {told}]" if told else ""
    if field.is_required() and name not in TABLES:
        notes = "  [required]"
    return f"{flag} {declared.metavar}".strip(), declared.meaning + notes


@pytest.mark.parametrize(("name", "key"), SETTINGS)
def test_help_has_the_flag_the_metavar_the_meaning_and_the_default(name, key):
    declared = KINDS[name].declarations()[key]
    if isinstance(declared, Argument):
        assert declared.metavar in command_of(name).get_usage(click.Context(command_of(name))).split()
    elif key in KINDS[name].tables:
        assert not [flag for flag, _ in help_of(name) if flag.split()[0] == f"--{key}"]
    else:
        assert expected_line(name, key) in help_of(name)


# what a declaration has


@pytest.mark.parametrize(("name", "key"), SETTINGS)
def test_a_declaration_is_complete(name, key):
    field, declared = KINDS[name].model_fields[key], KINDS[name].declarations()[key]
    assert declared.meaning.endswith(".")
    assert not declared.more or declared.more.endswith(".")
    assert bool(declared.metavar) != isinstance(declared, Switch)
    assert isinstance(declared, Switch) == (field.annotation is bool)
    if "|" in declared.metavar:
        assert get_origin(field.annotation) is Literal
        assert declared.metavar.split("|") == [*get_args(field.annotation)]


@pytest.mark.parametrize("kind", KINDS.values())
def test_only_the_date_has_no_declaration_of_its_own(kind: type[Settings]):
    assert {*kind.model_fields} - {*kind.declarations()} <= {"date"}


def test_a_field_without_a_declaration_is_noticed_when_its_options_are_made():
    with pytest.raises(TypeError, match="a setting has no declaration"):
        declaration(FieldInfo.from_annotation(int))


# what is lost shows


def changed(declared: Setting, field: FieldInfo):
    """Each part of a declaration, with something else in its place."""
    if not isinstance(declared, Switch):
        yield declared, "metavar", "OTHER"
    yield declared, "meaning", "Something else."
    yield declared, "more", declared.more + " And more."
    if not field.is_required():
        yield declared, "default", "another one"
        has_factory = field.default_factory is not None
        yield (field, "default_factory", None) if has_factory else (field, "default", PydanticUndefined)
    if not declared.default and field.default not in (PydanticUndefined, None):
        yield field, "default", Limit("77%")


@pytest.mark.parametrize("name", KINDS)
def test_whatever_a_declaration_loses_is_missing_in_the_manual(name, monkeypatch):
    kind, page = KINDS[name], PAGE.read_text("utf-8")
    declarations = kind.declarations()
    for key, declared in declarations.items():
        field = kind.model_fields[key]
        for thing, attribute, value in changed(declared, field):
            with monkeypatch.context() as patch:
                patch.setattr(thing, attribute, value)
                assert reference.render() != page, f"{key} {attribute}"
        with monkeypatch.context() as patch:
            others = {other: declarations[other] for other in declarations if other != key}
            patch.setattr(kind, "declarations", lambda others=others: others)
            assert reference.render() != page, key
    assert reference.render() == page, "nothing is left changed"
