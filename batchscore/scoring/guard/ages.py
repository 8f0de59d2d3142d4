"""How old the input and the model are."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from batchscore.scoring.guard.verdict import Refusal, Verdict
from batchscore.scoring.source.pair_source import PairSource
from batchscore.settings.limits import Age
from batchscore.settings.paths import modified_at

_MAX_CLOCK_SKEW = 300
"""Seconds by which the clocks of two machines may differ without a warning."""


@dataclass(frozen=True)
class _Dated:
    """Something with a date: what messages call it, and what to do if it is too old."""

    name: str
    error_id: str
    where: Path
    date: dt.datetime
    verb: str
    advice: str

    @property
    def found(self) -> str:
        return f"{self.verb} {self.date:%Y-%m-%dT%H:%M:%SZ}"


def check_input_age(pairs: PairSource, limit: Age, now: dt.datetime) -> Verdict:
    """The age of the oldest file of the input. E-INPUT-TOO-OLD; E-CLOCK if any file has a date in the future."""
    dated = [
        _Dated("input", "E-INPUT-TOO-OLD", file.path, file.modified_at, "last modified", "rerun retrieval")
        for file in sorted(pairs.parts, key=lambda part: part.modified_at)
    ]
    return _check_age(dated[0], dated[-1], limit, now)


def check_model_age(model: Path, limit: Age, now: dt.datetime) -> Verdict:
    """The age of the SavedModel at `model`, since its saved_model.pb was written. E-MODEL-TOO-OLD, E-CLOCK."""
    path = model / "saved_model.pb"
    exported = _Dated(
        "model", "E-MODEL-TOO-OLD", path, modified_at(path.stat()), "exported", "train and export a new model"
    )
    return _check_age(exported, exported, limit, now)


def _check_age(oldest: _Dated, newest: _Dated, limit: Age, now: dt.datetime) -> Verdict:
    age, name = (now - oldest.date).total_seconds(), f"max_{oldest.name}_age"
    if (ahead := (newest.date - now).total_seconds()) > _MAX_CLOCK_SKEW:
        return _from_the_future(newest, ahead, limit, now)
    refusal = Refusal(
        oldest.error_id,
        f"the {oldest.name} is {_format_age(age)} old (limit {limit}).",
        where=oldest.where,
        found=oldest.found,
        advice=oldest.advice,
        accept=f"--max-{oldest.name}-age off",
    )
    return Verdict(name, max(age, 0), str(limit), refusal=refusal if limit.exceeded(age) else None)


def _from_the_future(dated: _Dated, ahead: float, limit: Age, now: dt.datetime) -> Verdict:
    """An age that cannot be measured: refused if it has a limit, otherwise a warning."""
    what = f"the date of the {dated.name} is {_format_age(ahead)} in the future: its age cannot be measured"
    refusal = Refusal(
        "E-CLOCK",
        f"{what} (limit {limit}).",
        where=dated.where,
        found=f"{dated.found}, and now it is {now:%Y-%m-%dT%H:%M:%SZ} here",
        advice="correct the clock, here or on the machine that wrote the file",
        accept=f"--max-{dated.name}-age off",
    )
    limited = limit.seconds is not None
    return Verdict(
        f"max_{dated.name}_age",
        None,
        str(limit),
        reason="its date is in the future",
        refusal=refusal if limited else None,
        warning=None if limited else what,
    )


def _format_age(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:.1f} d"  # noqa: PLR2004 - three days
