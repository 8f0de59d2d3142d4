"""The flags that would make pair columns fit a model: pasted as they stand they are right, or refused.

A feature from the wrong column gives a plausible ranking, so a column is named only if something speaks for it: the
name, or that the model's vocabulary knows its values. No column is named twice. Elsewhere stands a word that is no
column.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

import pyarrow as pa

from batchscore.savedmodel.saved_model import TensorSpec
from batchscore.scoring.bind.casts import find_cast


class Evidence(Protocol):
    """What the first values of columns tell."""

    def knows(self, input_: str, column: str) -> bool | None:
        """Whether the vocabulary of the input knows the values of the column; None if that cannot be told."""

    def other_separator(self, column: str, separator: str) -> str | None:
        """The separator that most texts of the column hold, if none holds `separator`."""


def match_columns(
    inputs: Iterable[TensorSpec], columns: Mapping[str, pa.DataType], evidence: Evidence | None
) -> dict[str, str]:
    """Inputs that nothing feeds, and the column that should feed each; those that are in doubt are left out.

    `columns` are those that feed nothing yet. No two inputs get one column.
    """
    fitting = {spec.name: fitting_columns(spec, columns) for spec in inputs}
    known = {
        name: {column: None if evidence is None else evidence.knows(name, column) for column in fits}
        for name, fits in fitting.items()
    }
    named = {
        name: [column for column in fits if known[name][column] is not False and _is_same_name(name, column)]
        for name, fits in fitting.items()
    }
    matched = _forced(named, {})
    return _forced({name: [column for column, is_known in fits.items() if is_known]
                    for name, fits in known.items() if name not in matched}, matched)  # fmt: skip


def fitting_columns(spec: TensorSpec, columns: Mapping[str, pa.DataType]) -> list[str]:
    """The columns whose type can feed the input."""
    return [name for name, type_ in columns.items() if find_cast(type_, spec.dtype, is_id=spec.dtype == "string")]


def map_flag(name: str, column: str) -> str:
    """`--map name=column`, quoted for a shell."""
    return f"--map {shlex.quote(f'{name}={column}')}"


def no_column(columns: Collection[str]) -> str:
    """A word that stands for a column and is none."""
    word = "COLUMN"
    while word in columns:
        word += "_NAME"
    return word


def _forced(fitting: Mapping[str, list[str]], matched: Mapping[str, str]) -> dict[str, str]:
    """`matched`, with the inputs for which one column alone is left, and which alone want that one."""
    found = dict(matched)
    while True:
        taken = set(found.values())
        left = {name: [column for column in fits if column not in taken] for name, fits in fitting.items()}
        single = {name: fits[0] for name, fits in left.items() if len(fits) == 1 and name not in found}
        wanted = Counter(single.values())
        single = {name: column for name, column in single.items() if wanted[column] == 1}
        if not single:
            return found
        found |= single


def _is_same_name(one: str, other: str) -> bool:
    def plain(name: str) -> str:
        return "".join(character for character in name.lower() if character.isalnum())

    return bool(plain(one)) and plain(one) == plain(other)
