"""What the scores look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchscore.config import RunSettings
from batchscore.scoring.guard.verdict import EXAMPLES, Refusal, Verdict

if TYPE_CHECKING:
    from batchscore.scoring.topn import RankedLists


def check_equal_scores(lists: RankedLists, pairs: int, settings: RunSettings) -> Verdict:
    """Whether all scores, of `pairs` pairs, are one number. E-SCORES-EQUAL."""
    lowest, highest = lists.scores.minimum, lists.scores.maximum
    equal = pairs > 1 and lowest is not None and lowest == highest
    allowed = settings.allow_equal_scores
    refusal = Refusal(
        "E-SCORES-EQUAL",
        f"all {pairs:,} scores are {lowest:.9g}.",
        where=settings.input,
        examples=lambda: _format_pairs(lists),
        advice="check that the model is trained and that --score-output names its score",
        accept="--allow-equal-scores",
    ) if equal and not allowed else None  # fmt: skip
    return Verdict("allow_equal_scores", float(equal), "off" if allowed else "0", refusal=refusal)


def _format_pairs(lists: RankedLists) -> list[str]:
    rows = lists.frame.head(EXAMPLES).rows(named=True)
    return [f"user {row['user']!r}, candidate {row['candidate']!r}" for row in rows]
