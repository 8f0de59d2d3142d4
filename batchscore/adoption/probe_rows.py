"""Rows to remember the scores of, and how they are drawn from a sample of pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from batchscore.adoption.choice import Choice
from batchscore.errors import InputError
from batchscore.scoring.bind.badrows import BadRows
from batchscore.scoring.bind.binding import bind
from batchscore.scoring.pairs import ScorablePairs
from batchscore.scoring.source.parquet_source import open_pairs
from batchscore.settings.limits import Limit
from batchscore.settings.paths import DatedPath
from batchscore.settings.run import RunSettings

DRAWN_ROWS = 64
_MIN_ROWS = 16


@dataclass(frozen=True)
class ProbeRows:
    """A list of values, `count` each, for every input of the signature; where they come from, and doubts.

    `made_up` names inputs of ids whose values may all be unknown to the model.
    """

    inputs: dict[str, list[Any]]
    count: int
    origin: str
    warnings: tuple[str, ...] = ()
    made_up: frozenset[str] = frozenset()

    def keep(self, mask: np.ndarray) -> ProbeRows:
        """The rows at which `mask` is true."""
        chosen = np.flatnonzero(mask)
        left_out = f"{self.count - len(chosen)} probe rows have no finite score and were left out"
        inputs = {name: [values[row] for row in chosen] for name, values in self.inputs.items()}
        return replace(self, inputs=inputs, count=len(chosen), warnings=(*self.warnings, left_out))

    def describe(self) -> list[str]:
        """A line for each input with its first values."""
        return [f"{name}: {', '.join(map(repr, values[:3]))}, ..." for name, values in self.inputs.items()]


def draw_probe_rows(path: Path, choice: Choice) -> ProbeRows:
    """Up to 64 rows of the Parquet file `path`, evenly from its first batch, bound like the pairs of a run.

    Raises InputError if it is no usable Parquet file or has no usable row, UsageError (E-BINDING) if its
    columns do not fit.
    """
    pairs = open_pairs(path, require_success="no", flag="--probes")
    settings = RunSettings(
        input=path,
        output=DatedPath(path.with_suffix(".ranked.parquet")),
        map=choice.map,
        set=choice.set,
        fill=choice.fill,
        date=choice.date,
        user_column=choice.column_of(choice.user_input),
        candidate_column=choice.column_of(choice.candidate_input),
    )
    binding = bind(pairs.schema, choice.signature, None, settings)
    bad = BadRows(Limit("off"), pairs.row_count.known)
    usable = next((part for part in bad.drop_unusable(pairs.batches(binding.columns), binding) if len(part)), None)
    if usable is None:
        raise InputError(
            "E-BAD-ROWS",
            "no row of the sample can be scored",
            where=path,
            found=bad.left_out.describe() or "no rows",
            next_step="give a sample of the pairs that the nightly run scores",
        )
    wanted = fixed_rows(choice) or min(DRAWN_ROWS, len(usable))
    spread = np.unique(np.linspace(0, len(usable) - 1, min(wanted, len(usable))).round().astype(np.int64))
    few = f"the sample gives only {len(spread)} probe rows; {_MIN_ROWS} or more test more"
    return ProbeRows(
        inputs=_values(usable, np.resize(spread, wanted)),
        count=wanted,
        origin=f"drawn from {path.name}",
        warnings=(few,) if len(spread) < _MIN_ROWS else (),
    )


def fixed_rows(choice: Choice) -> int | None:
    """The number of rows that the signature itself fixes."""
    fixed = {spec.shape[0] for spec in choice.signature.inputs.values() if spec.shape and spec.shape[0]}
    return min(fixed, default=None)


def _values(pairs: ScorablePairs, rows: np.ndarray) -> dict[str, list[Any]]:
    chosen = pa.array(rows)
    values = {name: array.take(chosen).to_pylist() for name, array in pairs.feeds.items()}
    return values | {name: [value.as_py()] * len(rows) for name, value in pairs.constants.items()}
