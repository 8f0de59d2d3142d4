"""What a run knows of whatever gives its pairs their scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.score.plan_check import PlanCheck


class PairScorer(Protocol):
    """Scores pairs. A pair's score depends on that pair alone, to the last bit."""

    def score(self, batches: Iterator[ScorablePairs]) -> Iterator[ScoredPairs]:
        """The batches with their scores, [n] each, in the order in which they came. Raises ModelError."""

    def close(self) -> None:
        """Wait for the calls that are under way and begin no other: the session may be closed after it."""

    @property
    def positions_left_out(self) -> int:
        """How many positions of a call the self-test found to give other bits."""

    @property
    def check(self) -> PlanCheck | None:
        """How the plan compares with the model; None if there is none, or nothing was compared yet."""

    @property
    def plan_sha256(self) -> str | None:
        """SHA-256 of the plan; None if there is none."""
