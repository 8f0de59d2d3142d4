"""The manual's page of settings, made of their declarations: `python -m batchscore.cli.reference` prints it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_origin

import click
from pydantic.fields import FieldInfo

from batchscore.cli import group
from batchscore.cli.options import SHARED_OPTIONS, DeclaredOption, format_default, is_repeatable
from batchscore.settings.adopt import AdoptSettings
from batchscore.settings.base import Settings
from batchscore.settings.data import MovieLensSettings, SyntheticSettings
from batchscore.settings.golden import GoldenSettings
from batchscore.settings.inspect import InspectSettings
from batchscore.settings.lists import DiffSettings, EvaluateSettings
from batchscore.settings.rollback import RollbackSettings
from batchscore.settings.run import RunSettings
from batchscore.settings.setting import Argument, Setting, Switch
from batchscore.settings.toml_tables import TABLES
from batchscore.settings.train import TrainSettings

KINDS: dict[str, type[Settings]] = {
    "run": RunSettings,
    "train": TrainSettings,
    "adopt": AdoptSettings,
    "inspect": InspectSettings,
    "diff": DiffSettings,
    "evaluate": EvaluateSettings,
    "golden": GoldenSettings,
    "rollback": RollbackSettings,
    "data movielens": MovieLensSettings,
    "data synthetic": SyntheticSettings,
}
"""The settings of each command."""

_HEAD = """\
# Settings

Every flag of every command: its key in a TOML file, its default, and what it means.

This page is generated from the declarations in `batchscore/settings/`, as `batchscore COMMAND --help` is:
`python -m batchscore.cli.reference > batchscore/docs/settings.md`.

**Who wins.** A flag wins over the TOML file (`--config`), the file over the environment, and that over the default.
`--print-config` shows each value and where it came from. In Python the arguments of `batchscore.run(...)`,
`batchscore.train(...)` and the others have the names of the keys; None leaves a setting to the file or the default.

**The TOML file** has one table per command: `[run]`, `[train]`, `[adopt]`, `[evaluate]`. One file may hold several.
Text stands in quotes there, a limit too: `max_user_drop = "off"`. A key may have dashes (`top-n`). A key that no
setting has is refused.

**Flags that may be repeated** are lists or tables in TOML: `--keep title --keep genre` is
`keep = ["title", "genre"]`, and `--map user_id=member` is `user_id = "member"` in the table `[run.map]`.

**Paths** are files and folders of this machine. In TOML they are relative to the folder of the TOML file, on the
command line to the working directory. `{date}` in a path becomes the value of `--date`; no other `{name}` may stand
there. A URL (`s3://`), a pattern (`*.parquet`), a `~` or `$HOME` that no shell has expanded, and an empty path are
refused.

| value | what to write |
|---|---|
| `LIMIT` | a count (`100`), a share (`0.1%`), or `off` for no limit |
| `SHARE` | a share (`95%`) or `off`; for `--held-out` and `--validation` a number between 0 and 1 (`0.2`) |
| `TIMES` | a number above 0 (`3`, `2.5`) or `off` |
| `AGE` | minutes (`90m`), hours (`26h`), days (`30d`) or `off` |
| `SIZE` | an amount of memory: `4GB`, `512MiB`, or a number of bytes |
"""

_GUARDS = """\
Most limits are guards: a night that breaks one exits 6, and the published file stays. A guard decides when
everything is scored, unless its row says otherwise. The message names every guard that is broken.
"""

_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
"""The bounds that a field's metadata may have, by the name of the attribute that holds one."""


def render() -> str:
    """The whole page, as Markdown."""
    sections = [_HEAD, _shared(), *(_section(name, kind) for name, kind in KINDS.items())]
    return "\n".join(sections)


def _section(name: str, kind: type[Settings]) -> str:
    shared = [f"`{option.opts[-1]}`" for option in _command(name).params if option in SHARED_OPTIONS]
    rows = [_row(name, key, declared) for key, declared in kind.declarations().items()]
    key_column = ["TOML"] if name in TABLES else []
    table = _table(["flag", *key_column, "value", "default", "what it means"], rows)
    note = [_GUARDS] if name == "run" else []
    return "\n".join([f"## batchscore {name}", "", *note, table, f"Also: {', '.join(shared)}.", ""])


def _shared() -> str:
    rows = []
    for option in SHARED_OPTIONS:
        commands = ", ".join(f"`{name}`" for name in KINDS if option in _command(name).params)
        declared = option.declared
        rows.append([_flags(option), _value(declared), option.default_text, _meaning(declared), commands])
    table = _table(["flag", "value", "default", "what it means", "commands"], rows)
    return f"## Flags of several commands\n\n{table}"


def _row(name: str, key: str, declared: Setting) -> list[str]:
    field = KINDS[name].model_fields[key]
    option = next((item for item in _command(name).params if item.name == key), None)
    flag = _flags(option) if isinstance(option, DeclaredOption) else ""
    value = _value(declared, field) if flag else ""
    if isinstance(declared, Argument):
        flag = f"`{declared.metavar}`"
    keys = [_key(name, key, declared, field)] if name in TABLES else []
    default = "required" if field.is_required() else format_default(declared, field)
    return [flag, *keys, value, default, _meaning(declared)]


def _key(name: str, key: str, declared: Setting, field: FieldInfo) -> str:
    if key in KINDS[name].tables:
        return f"`{declared.metavar}`"
    is_table = get_origin(field.annotation) is dict and not declared.metavar.startswith("[")
    return f"`[{name}.{key}]`" if is_table else f"`{key}`"


def _flags(option: click.Option) -> str:
    return ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))


def _value(declared: Setting, field: FieldInfo | None = None) -> str:
    if isinstance(declared, Switch):
        return ""
    notes = [] if field is None else [*_bounds(field), *(["repeatable"] if is_repeatable(field) else [])]
    return f"`{declared.metavar}`" + (f" ({', '.join(notes)})" if notes else "")


def _bounds(field: FieldInfo) -> Iterator[str]:
    for item in field.metadata:
        for name, sign in _SIGNS.items():
            if getattr(item, name, None) is not None:
                yield f"{sign} {getattr(item, name):,}"


def _meaning(declared: Setting) -> str:
    return f"{declared.meaning} {declared.more}".rstrip()


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _command(name: str) -> click.Command:
    command: click.Command = group
    for word in name.split():
        found = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        if found is None:
            raise LookupError(name)
        command = found
    return command


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201 - what it is for
