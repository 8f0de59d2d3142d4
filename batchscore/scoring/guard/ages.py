"""How old the input and the model are."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from batchscore.limits import Age
from batchscore.scoring.guard.verdict import Refusal, Verdict
from batchscore.scoring.inputs import Pairs


def check_input_age(pairs: Pairs, limit: Age, now: dt.datetime) -> Verdict:
    """The age of the oldest file of the input. E-INPUT-TOO-OLD."""
    oldest = min(pairs.files, key=lambda file: file.modified_at)
    age = (now - oldest.modified_at).total_seconds()
    refusal = Refusal(
        "E-INPUT-TOO-OLD",
        f"the input is {_format_age(age)} old (limit {limit}).",
        where=oldest.path,
        found=f"last modified {oldest.modified_at:%Y-%m-%dT%H:%M:%SZ}",
        advice="rerun retrieval",
        accept="--max-input-age off",
    )
    return Verdict("max_input_age", age, str(limit), refusal=refusal if limit.exceeded(age) else None)


def check_model_age(model: Path, limit: Age, now: dt.datetime) -> Verdict:
    """The age of the SavedModel at `model`, since its saved_model.pb was written. E-MODEL-TOO-OLD."""
    path = model / "saved_model.pb"
    exported = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
    age = (now - exported).total_seconds()
    refusal = Refusal(
        "E-MODEL-TOO-OLD",
        f"the model is {_format_age(age)} old (limit {limit}).",
        where=path,
        found=f"exported {exported:%Y-%m-%dT%H:%M:%SZ}",
        advice="train and export a new model",
        accept="--max-model-age off",
    )
    return Verdict("max_model_age", age, str(limit), refusal=refusal if limit.exceeded(age) else None)


def _format_age(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:.1f} d"  # noqa: PLR2004 - three days
