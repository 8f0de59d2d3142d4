"""Rows to remember the scores of: drawn from a sample of pairs, or invented from what the model's bytes tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from batchscore.adoption.choice import Choice
from batchscore.config import RunSettings
from batchscore.errors import InputError, UsageError
from batchscore.limits import Limit
from batchscore.runtime.saved_model import TensorSpec
from batchscore.runtime.vocabulary import Table
from batchscore.scoring.badrows import BadRows
from batchscore.scoring.binding import bind
from batchscore.scoring.constants import parse_constant
from batchscore.scoring.inputs import open_pairs
from batchscore.scoring.reader import read_batches
from batchscore.scoring.scorer import ScorablePairs

DRAWN_ROWS = 64
INVENTED_ROWS = 32
_LEAST_ROWS = 16
_LOOKED_AT_IDS = 4096


@dataclass(frozen=True)
class ProbeRows:
    """A list of values, `count` each, for every input of the signature; where they come from, and doubts."""

    inputs: dict[str, list[Any]]
    count: int
    origin: str
    warnings: tuple[str, ...] = ()

    def keep(self, mask: np.ndarray) -> ProbeRows:
        """The rows at which `mask` is true."""
        chosen = np.flatnonzero(mask)
        left_out = f"{self.count - len(chosen)} probe rows have no finite score and were left out"
        inputs = {name: [values[row] for row in chosen] for name, values in self.inputs.items()}
        return replace(self, inputs=inputs, count=len(chosen), warnings=(*self.warnings, left_out))

    def describe(self) -> list[str]:
        """A line for each input with its first values."""
        return [f"{name}: {', '.join(map(repr, values[:3]))}, ..." for name, values in self.inputs.items()]


def draw_rows(path: Path, choice: Choice) -> ProbeRows:
    """Up to 64 rows of the Parquet file `path`, evenly from its first batch, bound like the pairs of a run.

    Raises InputError where it is no usable Parquet file or has no usable row, UsageError (E-BINDING) where its
    columns do not fit.
    """
    pairs = open_pairs(path)
    settings = RunSettings(
        input=path,
        output=path.with_suffix(".ranked.parquet"),
        map=choice.map,
        set=choice.set,
        fill=choice.fill,
        date=choice.date,
        user_column=choice.column_of(choice.user_input),
        candidate_column=choice.column_of(choice.candidate_input),
    )
    binding = bind(pairs.schema, choice.signature, None, settings)
    bad = BadRows(Limit("off"), pairs.rows)
    usable = next(
        (part for part in bad.drop_unusable(read_batches(pairs, binding.columns), binding) if len(part)), None
    )
    if usable is None:
        raise InputError(
            "E-BAD-ROWS",
            "no row of the sample can be scored",
            where=path,
            found="; ".join(f"{reason}: {count:,}" for reason, count in sorted(bad.by_reason.items())) or "no rows",
            next_step="give a sample of the pairs that the nightly run scores",
        )
    wanted = _fixed_rows(choice) or min(DRAWN_ROWS, len(usable))
    spread = np.unique(np.linspace(0, len(usable) - 1, min(wanted, len(usable))).round().astype(np.int64))
    few = f"the sample gives only {len(spread)} probe rows; {_LEAST_ROWS} or more tell more"
    return ProbeRows(
        inputs=_values(usable, np.resize(spread, wanted)),
        count=wanted,
        origin=f"drawn from {path.name}",
        warnings=(few,) if len(spread) < _LEAST_ROWS else (),
    )


def invent_rows(choice: Choice, *, with_unknown: bool) -> ProbeRows:
    """32 rows: ids from the model's vocabularies, else made up; features over a small range; constants as they are.

    `with_unknown`: in the last row but one the user, in the last the candidate is an id that no model knows.
    """
    count = _fixed_rows(choice) or INVENTED_ROWS
    inputs: dict[str, list[Any]] = {}
    warnings = []
    for index, (name, spec) in enumerate(choice.signature.inputs.items()):
        if name in choice.set:
            inputs[name] = [_constant(choice, spec)] * count
            continue
        table = choice.vocabularies[name].table
        ids = table.ids(_LOOKED_AT_IDS) if table is not None else []
        if spec.dtype != "string":
            ids = [item for item in ids if str(item).lstrip("-").isdecimal()]
        inputs[name] = _spread(spec, ids, count, index) if ids else _made_up(spec, count)
        if not ids and name in (choice.user_input, choice.candidate_input):
            warnings.append(
                f"the probe rows have made-up values of {name}: no vocabulary of it can be read from the bytes; "
                "real pairs tell more (--probes)"
            )
    if with_unknown and count > 2:  # noqa: PLR2004 - one row stays as it is
        for row, name in ((-2, choice.user_input), (-1, choice.candidate_input)):
            inputs[name][row] = _unknown(choice.signature.inputs[name], choice.vocabularies[name].table)
    return ProbeRows(inputs, count, "invented", tuple(warnings))


def _fixed_rows(choice: Choice) -> int | None:
    """The number of rows that the signature itself fixes."""
    fixed = {spec.shape[0] for spec in choice.signature.inputs.values() if spec.shape and spec.shape[0]}
    return min(fixed, default=None)


def _values(pairs: ScorablePairs, rows: np.ndarray) -> dict[str, list[Any]]:
    chosen = pa.array(rows)
    values = {name: array.take(chosen).to_pylist() for name, array in pairs.feeds.items()}
    return values | {name: [value.as_py()] * len(rows) for name, value in pairs.constants.items()}


def _constant(choice: Choice, spec: TensorSpec) -> Any:
    text = choice.set[spec.name]
    try:
        return parse_constant(spec.dtype, text, choice.date).as_py()
    except ValueError as error:
        raise UsageError(
            "E-BINDING",
            f"--set {spec.name}={text}: {error}",
            where=choice.saved.path,
            found=text,
            expected=str(spec),
            next_step="correct --set",
        ) from error


def _spread(spec: TensorSpec, ids: list[str | int], count: int, step: int) -> list[Any]:
    """Known ids from everywhere in the part of the vocabulary that was looked at, another order for each input."""
    places = (np.linspace(0, len(ids) - 1, count).round().astype(np.int64) * (2 * step + 1)) % len(ids)
    as_input: Callable[[Any], Any] = str if spec.dtype == "string" else int
    return [as_input(ids[place]) for place in places]


def _made_up(spec: TensorSpec, count: int) -> list[Any]:
    if spec.dtype == "string":
        return [f"probe-{row}" for row in range(count)]
    if spec.dtype == "bool":
        return [row % 2 == 0 for row in range(count)]
    if spec.dtype.startswith(("int", "uint")):
        return [row % 8 for row in range(count)]
    return [(row % 16) / 8 for row in range(count)]


def _unknown(spec: TensorSpec, table: Table | None) -> Any:
    if spec.dtype == "string":
        return "batchscore-unknown-id"
    return 0 if table is None else int(np.iinfo(np.dtype(spec.dtype)).max)
