"""A pass over pairs: batches in, partial lists and figures out, which merge with those of other passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from batchscore.engine.session import Session
from batchscore.run_report import Clock
from batchscore.scoring.bind.badrows import BadRows
from batchscore.scoring.bind.binding import Binding
from batchscore.scoring.guard.unknown import UnknownIds, watch_unknown
from batchscore.scoring.left_out import LeftOut
from batchscore.scoring.pairs import ScorablePairs
from batchscore.scoring.rank.min_score import MinScore
from batchscore.scoring.rank.statistics import Statistics
from batchscore.scoring.rank.topn import TopN
from batchscore.scoring.score.model import RunModel, id_roles
from batchscore.scoring.score.pair_scorer import PairScorer
from batchscore.scoring.source.pair_source import PairBatch
from batchscore.settings.run import RunSettings


@dataclass
class PassState:
    """What passes over some of the pairs leave: bad rows, unknown ids, figures of the scores, the best pairs."""

    bad: BadRows
    unknown: list[UnknownIds]
    statistics: Statistics
    min_score: MinScore
    top: TopN

    def left_out(self) -> LeftOut:
        """All pairs that were read and cannot stand in a list."""
        return LeftOut.of(self.bad.left_out, self.min_score.left_out)

    def merge(self, other: Self) -> None:
        """Add what passes over other pairs of the same night left.

        The result is that of one pass over all of them, in whatever split and order.
        """
        self.bad.merge(other.bad)
        for ids, more in zip(self.unknown, other.unknown, strict=True):
            ids.merge(more)
        self.statistics.merge(other.statistics)
        self.min_score.merge(other.min_score)
        self.top.merge(other.top)


class ScoringPass:
    """A model that is loaded and bound, ready for pairs. The steps of a pair are in `add`."""

    def __init__(
        self, model: RunModel, binding: Binding, session: Session, scorer: PairScorer, settings: RunSettings
    ) -> None:
        self._binding = binding
        self._scorer = scorer
        self._settings = settings
        self._roles = id_roles(model, session, binding, settings)
        self._score_dtype = model.score.ranked_dtype

    def begin(self, total_rows: int | None, rejects_path: Path) -> PassState:
        """The state before the first pair of a night of `total_rows` rows (None: no one knows).

        `rejects_path` is where the rejects will lie if the run refuses.
        """
        return PassState(
            bad=BadRows(self._settings.max_bad_rows, total_rows, rejects_path=rejects_path),
            unknown=[UnknownIds(role) for role in self._roles],
            statistics=Statistics(self._binding.candidate_input),
            min_score=MinScore(self._settings.min_score),
            top=TopN(self._settings.top_n, self._binding.schema, self._score_dtype),
        )

    def add(
        self,
        batches: Iterator[PairBatch],
        state: PassState,
        clock: Clock,
        read_ids: Callable[[], Iterator[ScorablePairs]],
    ) -> None:
        """Take all pairs of `batches` into `state`. `read_ids` gives the ids of the whole night, if it is asked.

        Raises InputError (E-BAD-ROWS), RefusedError (E-UNKNOWN-USERS, E-UNKNOWN-CANDIDATES), ModelError:
        E-MODEL-NONFINITE, and what the scorer raises.
        """
        usable = clock.each("check", state.bad.drop_unusable(batches, self._binding))
        watched = clock.each("guard", watch_unknown(usable, state.unknown, read_ids))
        scored = clock.each("score", state.bad.drop_unranked(self._scorer.score(watched)))
        rankable = state.min_score.apply(state.statistics.watch(scored))
        for batch in clock.each("figures", rankable):
            with clock.stage("rank"):
                state.top.add(batch)
        state.bad.require_some_finite()
