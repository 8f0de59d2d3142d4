"""Probe rows invented from what the model's bytes tell: ids of its vocabularies, otherwise made-up ones.

Rows of one call that are all alike hide what a score depends on besides its row, so they differ in the length of
text, in type as far as the input takes several, and in value.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np

from batchscore.adoption.choice import Choice
from batchscore.adoption.probe_rows import ProbeRows, fixed_rows
from batchscore.savedmodel.saved_model import TensorSpec
from batchscore.savedmodel.vocabulary import LookUpTable
from batchscore.scoring.bind.constants import parse_constant

INVENTED_ROWS = 32

_LOOKED_AT_IDS = 4096
_UNKNOWN = "batchscore-unknown-id"
_WORDS = ("night", "of", "the", "harbour", "returns")


class Daring(IntEnum):
    """How far invented values may go from what the model surely takes."""

    KNOWN = 0
    """Ids of the vocabularies and small numbers."""
    UNKNOWN_IDS = 1
    """Besides, a user and a candidate that no model knows."""
    ANYTHING = 2
    """Besides, features beyond a vocabulary: text of several words and of none, larger numbers."""


def invent_rows(choice: Choice, daring: Daring) -> ProbeRows:
    """32 rows, or as many as the signature fixes.

    Each row has its own ids if there are enough; features have values over a range, constants are as they are.
    From `UNKNOWN_IDS` on the user of the last row but one and the candidate of the last are unknown to any model.
    """
    count = fixed_rows(choice) or INVENTED_ROWS
    inputs: dict[str, list[Any]] = {}
    made_up: list[str] = []
    roles = (choice.user_input, choice.candidate_input)
    for index, (name, spec) in enumerate(choice.signature.inputs.items()):
        if name in choice.set:
            inputs[name] = [parse_constant(spec.dtype, choice.set[name], choice.date).as_py()] * count
            continue
        ids = _known_ids(spec, choice.vocabularies[name].table)
        values = _spread(spec, ids, count, index) if ids else _made_up(spec, count, whole=name in roles)
        if daring is Daring.ANYTHING and name not in roles:
            values = _widen(spec, values)
        inputs[name] = values
        if not ids and name in roles:
            made_up.append(name)
    if daring >= Daring.UNKNOWN_IDS and count > len(roles):
        for row, name in zip((-2, -1), roles, strict=True):
            inputs[name][row] = _unknown(choice.signature.inputs[name], choice.vocabularies[name].table)
    warnings = tuple(
        f"the probe rows have invented values of {name}: its vocabulary cannot be read from the model's files; "
        "real pairs test more (--probes)"
        for name in made_up
    )
    return ProbeRows(inputs, count, "invented", warnings, frozenset(made_up))


def _known_ids(spec: TensorSpec, table: LookUpTable | None) -> list[str | int]:
    """Ids of the table that the input can be fed with."""
    ids = table.ids(_LOOKED_AT_IDS) if table is not None else []
    return ids if spec.dtype == "string" else [item for item in ids if str(item).lstrip("-").isdecimal()]


def _spread(spec: TensorSpec, ids: list[str | int], count: int, step: int) -> list[Any]:
    """Known ids from everywhere in the part of the vocabulary that was looked at, another order for each input."""
    places = (np.linspace(0, len(ids) - 1, count).round().astype(np.int64) * (2 * step + 1)) % len(ids)
    return [_as_input(spec)(ids[place]) for place in places]


def _as_input(spec: TensorSpec) -> Callable[[Any], Any]:
    if spec.dtype == "string":
        return str
    if spec.dtype == "bool":
        return lambda value: bool(int(value))
    return int if spec.dtype.startswith(("int", "uint")) else float


def _made_up(spec: TensorSpec, count: int, *, whole: bool) -> list[Any]:
    """Values if no vocabulary tells any; `whole` asks for numbers without a fraction, as ids are."""
    if spec.dtype == "string":
        return [" ".join([f"probe-{row}", *_WORDS[: row % (len(_WORDS) + 1)]]) for row in range(count)]
    if spec.dtype == "bool":
        return [row % 2 == 0 for row in range(count)]
    if whole or spec.dtype.startswith(("int", "uint")):
        return [_as_input(spec)(row % 8) for row in range(count)]
    return [(row * 5 % 16) / 8 for row in range(count)]


def _widen(spec: TensorSpec, values: list[Any]) -> list[Any]:
    """Every fourth value replaced by one that a night may have too."""
    wide: tuple[Any, ...] = ()
    if spec.dtype == "string":
        words = [value for value in dict.fromkeys(values) if value][: len(_WORDS)]
        wide = (" ".join(words), "", " ".join([*_WORDS, *words]), "  ".join(words[:2]))
    elif spec.dtype != "bool":
        wide = tuple(_as_input(spec)(number) for number in (18, 35, 64, 100))
    return [wide[row // 4 % 4] if wide and row % 4 == 1 else value for row, value in enumerate(values)]


def _unknown(spec: TensorSpec, table: LookUpTable | None) -> Any:
    if spec.dtype == "string":
        return _UNKNOWN
    if table is None:
        return _as_input(spec)(0)
    return int(np.iinfo(np.dtype(spec.dtype)).max) if spec.dtype.startswith(("int", "uint")) else -1.0
