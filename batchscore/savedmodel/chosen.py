"""What a SavedModel is scored with: one decision for `run`, `adopt`, `train` and `inspect`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchscore.savedmodel.pair_inputs import require_columns
from batchscore.savedmodel.repeatable import require_no_clock
from batchscore.savedmodel.saved_model import SavedModel, Signature, choose_signature
from batchscore.savedmodel.score import Score, choose_score, exact_dtype
from batchscore.savedmodel.versions import INCOMPLETE, by_reason


@dataclass(frozen=True)
class ChosenScore:
    """Signature and score, why each was chosen, and what the person should know of the choice."""

    signature: Signature
    signature_reason: str
    score: Score
    score_reason: str
    warnings: tuple[str, ...]


def choose_scoring(saved: SavedModel, signature: str | None = None, score_output: str | None = None) -> ChosenScore:
    """The signature and the score of `saved` that the flags ask for, or the card gives, or that are the only ones.

    Raises ModelError: E-MODEL-SIGNATURE, E-MODEL-OUTPUT, E-MODEL-PROBES if the score is computed from the clock.
    """
    chosen, signature_reason = choose_signature(saved, signature)
    require_columns(chosen, saved.path)
    score, score_reason = choose_score(chosen, score_output, saved.card)
    require_no_clock(saved.path, score.name, chosen.unrepeatable_ops(score.outputs))
    return ChosenScore(chosen, signature_reason, score, score_reason, _warnings(saved, chosen, score))


def _warnings(saved: SavedModel, signature: Signature, score: Score) -> tuple[str, ...]:
    warnings = []
    for reason, versions in by_reason(saved.passed_over).items():
        numbers = ", ".join(map(str, versions))
        is_ = "is " if reason == INCOMPLETE else ""
        warnings.append(f"version {numbers} of the model {is_}{reason}: scoring with version {saved.version}")
    if saved.hazards:
        warnings.append(f"trusted with --trust-model: {', '.join(sorted({item.op for item in saved.hazards}))}")
    wide = [signature.outputs[name].dtype for name in score.outputs]
    wide = [dtype for dtype in dict.fromkeys(wide) if exact_dtype(dtype) != np.float32]
    if wide:
        warnings.append(
            f"scores are {' and '.join(wide)}: ranked at full precision, rounded to float32 when written"
        )
    return tuple(warnings)
