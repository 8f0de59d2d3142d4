"""Scoring by a plan: parts once per distinct input, the head once per pair, several calls of it at a time.

Before any score is kept the plan is compared with the signature itself; where the scores differ, or the plan cannot
be used, the signature scores the whole run. Pairs of all later batches are compared as they pass; if one of them
differs, the run has to begin again without the plan.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import pyarrow as pa

from batchscore.engine.fed_table import FedTable
from batchscore.engine.session import Session
from batchscore.errors import ModelError
from batchscore.planning.plan import Plan
from batchscore.planning.plan_loading import load_plan
from batchscore.scoring.bind.casts import placeholders
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.score.parts import PartTables, Placed, find_order
from batchscore.scoring.score.per_pair import PerPair
from batchscore.scoring.score.plan_check import Compared, PlanCheck, PlanUnfitError, SpreadCheck, check_scores
from batchscore.scoring.score.positions import find_positions, row_bytes
from batchscore.scoring.score.scorer import Scorer

_BATCHES_IN_FLIGHT = 3
_TESTED_BLOCKS = 2
_SEED = 20_261_124


def plan_required(reason: str) -> ModelError:
    """The error of a run that has to use a plan and cannot."""
    return ModelError(
        "E-PLAN-REQUIRED",
        "the run cannot be done with a plan",
        found=reason,
        next_step="run with --plan auto, which scores with the model itself if there is no plan",
    )


class PlannedScorer:
    """Scores pairs by `plan`, or by `signature_scorer` where the plan does not give its scores."""

    def __init__(
        self,
        session: Session,
        plan: Plan,
        signature_scorer: Scorer,
        *,
        threads: int,
        budget_bytes: int,
        probes: ScorablePairs | None,
        required: bool,
    ) -> None:
        self._plan = plan
        self._signature_scorer = signature_scorer
        self._probes = probes
        self._required = required
        loaded = load_plan(session, plan)
        share = budget_bytes // max(len(plan.parts), 1)
        head = plan.head
        self._parts = [
            PartTables(call, part, head_rows=head.call_rows, budget_bytes=share)
            for call, part in zip(loaded.parts, plan.parts, strict=True)
        ]
        self._head = loaded.head
        self._positions = np.arange(head.call_rows)
        self._tested = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="head")
        self._most_pairs = min((part.most_pairs for part in self._parts), default=head.call_rows)
        self._pool.submit(self._compile_head)
        self.check: PlanCheck | None = None
        self.plan_sha256 = plan.sha256

    @property
    def positions_left_out(self) -> int:
        """How many positions of a call the self-test found to differ."""
        if self.check is None or not self.check.ok:
            return self._signature_scorer.positions_left_out
        head = self._plan.head.call_rows - len(self._positions)
        return head + sum(part.positions_left_out for part in self._parts)

    def score(self, batches: Iterator[ScorablePairs]) -> Iterator[ScoredPairs]:
        """Score each batch; order and length are kept.

        Raises ModelError: E-MODEL-RUN, E-MODEL-OUTPUT; PlanUnfitError if the plan turns out only later to fail
        or to give other scores than the model: none of its scores may be kept then.
        """
        first = next((pairs for pairs in batches if len(pairs)), None)
        if first is None:
            return
        batches = chain([first], batches)
        compared = self._compare(first)
        self.check = compared if isinstance(compared, PlanCheck) else check_scores(compared)
        if self._required and not self.check.ok:
            raise plan_required(self.check.describe())
        if isinstance(compared, PlanCheck) or not self.check.ok:
            yield from self._signature_scorer.score(batches)
        else:
            yield from self._score(batches, compared)

    def close(self) -> None:
        """Wait for the calls that are under way and begin no other: the session may be closed after it."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._signature_scorer.close()

    def _score(self, batches: Iterator[ScorablePairs], compared: list[Compared]) -> Iterator[ScoredPairs]:
        scorer = self._signature_scorer
        spread = SpreadCheck(scorer.score_once, scorer.call_rows, self._pool, compared)
        pending: deque[tuple[ScorablePairs, list[_Started]]] = deque()
        for pairs in batches:
            starts = range(0, len(pairs), self._most_pairs)
            with self._none_kept_if_it_fails():
                pending.append((pairs, [self._begin(pairs.slice(start, self._most_pairs)) for start in starts]))
            if len(pending) >= _BATCHES_IN_FLIGHT:
                yield self._collect(*pending.popleft(), spread)
        while pending:
            yield self._collect(*pending.popleft(), spread)
        self._require_fit(spread.settle(to_the_end=True))

    def _collect(self, pairs: ScorablePairs, started: list[_Started], spread: SpreadCheck) -> ScoredPairs:
        with self._none_kept_if_it_fails():
            scored = _collect(pairs, started, self._signature_scorer.score_dtype)
        if len(pairs):
            spread.add(scored)
            self._require_fit(spread.settle(to_the_end=False))
        return scored

    def _require_fit(self, found: PlanCheck | None) -> None:
        self.check = found or self.check
        if found is not None and not found.ok:
            raise plan_required(found.describe()) if self._required else PlanUnfitError(found)

    @contextmanager
    def _none_kept_if_it_fails(self) -> Iterator[None]:
        """Within the block a call of the plan that fails means that the plan is unfit."""
        try:
            yield
        except ModelError as error:
            self._require_fit(PlanCheck.failed(error.in_one_line()))

    def _begin(self, pairs: ScorablePairs) -> _Started:
        """Place the pairs and begin to score them, in the order in which the head gathers best."""
        placed = [part.take(_feeds(pairs, [item.name for item in part.part.inputs])) for part in self._parts]
        kept = [part for part in placed if isinstance(part, Placed)]
        order = find_order(kept) if kept else np.arange(len(pairs))
        size = len(self._positions)
        calls = [order[first : first + size] for first in range(0, len(pairs), size)]
        return _Started(
            order=order,
            scores=[self._pool.submit(self._run_head, pairs, placed, rows) for rows in calls],
            placed=placed,
        )

    def _compile_head(self) -> None:
        """Call the head once with nothing in it, while the first pairs are read: its first call compiles it."""
        head = self._plan.head
        rows = np.zeros(head.call_rows, np.int32)
        tables = [table for part in self._parts for table in part.tables]
        inputs = [placeholders(item.dtype, head.call_rows) for item in head.inputs]
        self._head(np.array(0, np.int32), *(rows for _ in self._parts), *tables, *inputs)

    def _place(self, pairs: ScorablePairs) -> list[Placed]:
        return [part.place(_feeds(pairs, [item.name for item in part.part.inputs])) for part in self._parts]

    def _run_head(self, pairs: ScorablePairs, placed: Sequence[Placed | PerPair], rows: np.ndarray) -> np.ndarray:
        places = self._positions[: len(rows)]
        return self._call_head(pairs, placed, rows, places)[places]

    def _call_head(
        self, pairs: ScorablePairs, placed: Sequence[Placed | PerPair], rows: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """Scores, [call_rows], of `rows` of the pairs, put at `places`; what lies elsewhere means nothing."""
        head = self._plan.head
        blocks = -(-(int(places[-1]) + 1) // head.block_rows)
        numbers: list[np.ndarray] = []
        tables: list[FedTable] = []
        for part in placed:
            found, theirs = part.for_call(rows)
            numbers.append(np.zeros(head.call_rows, np.int32))
            numbers[-1][places] = found
            tables += theirs
        spread = np.full(head.call_rows, rows[0])
        spread[places] = rows
        direct = _feeds(pairs, [item.name for item in head.inputs])
        inputs = [direct[item.name].take(pa.array(spread)) for item in head.inputs]
        (scores,) = self._head(np.array(blocks, np.int32), *numbers, *tables, *inputs)
        return scores.reshape(-1).astype(self._signature_scorer.score_dtype, copy=False)

    def _compare(self, first: ScorablePairs) -> list[Compared] | PlanCheck:
        """A seeded sample of `first` and the probes, scored both ways; or why they cannot be.

        A plan that fails is no reason to fail.
        """
        rows = min(self._signature_scorer.call_rows, self._plan.head.call_rows // 2)  # half the positions agree
        mask = np.zeros(len(first), bool)
        mask[np.random.default_rng(_SEED).permutation(len(first))[:rows]] = True
        samples = [first.keep(mask)]
        if self._probes is not None:
            samples.append(self._probes.slice(0, rows))
        try:
            self._place(first.slice(0, self._most_pairs))  # all of them, while the head is compiled
            compared = [both for sample in samples for both in self._score_both_ways(sample)]
        except ModelError as error:
            return PlanCheck.failed(error.in_one_line())
        return compared or PlanCheck.failed("the model failed on every pair that was tried")

    def _score_both_ways(self, sample: ScorablePairs) -> Iterator[Compared]:
        """The pairs of `sample` with both scores; one pair without a score by the plan stands for all of them."""
        placed = self._place(sample)
        failed = np.zeros(len(sample), bool)
        failed[[row for part in placed for row in part.failures]] = True
        if failed.any():
            without = sample.slice(int(failed.argmax()), 1)
            with suppress(ModelError):  # as it should be: the model fails on it too
                yield Compared(without, self._signature_scorer.score_once(without), np.array([np.nan], np.float32))
            sample = sample.keep(~failed)
            placed = self._place(sample) if len(sample) else []
        if len(sample):
            if not self._tested:
                self._test_positions(sample, placed)
            rows = np.arange(len(sample))
            yield Compared(sample, self._signature_scorer.score_once(sample), self._run_head(sample, placed, rows))

    def _test_positions(self, pairs: ScorablePairs, placed: list[Placed]) -> None:
        """All blocks are one compiled loop: what holds for the positions of two holds for those of all."""
        head = self._plan.head
        tested = min(_TESTED_BLOCKS * head.block_rows, head.call_rows)
        places = np.arange(tested)
        usable = find_positions(
            lambda rows: row_bytes(self._call_head(pairs, placed, rows, places)[:tested]),
            len(pairs),
            tested,
            what="pair",
        )
        in_block = np.ones(head.block_rows, bool)
        in_block[np.setdiff1d(places, usable) % head.block_rows] = False
        self._positions = np.flatnonzero(np.tile(in_block, head.call_rows // head.block_rows))
        self._tested = True


@dataclass(frozen=True)
class _Started:
    """Consecutive pairs of a batch, being scored: `scores` follow one another in the order of the rows `order`."""

    order: np.ndarray
    scores: list[Future[np.ndarray]]
    placed: Sequence[Placed | PerPair]

    @property
    def failures(self) -> dict[int, str]:
        """Why the model failed on a pair, once all are scored."""
        return {row: reason for part in self.placed for row, reason in part.failures.items()}

    def collect(self) -> np.ndarray:
        """Scores [n]; they mean nothing if the model failed."""
        found = np.concatenate([call.result() for call in self.scores])
        scores = np.empty_like(found)
        scores[self.order] = found
        return scores


def _feeds(pairs: ScorablePairs, names: list[str]) -> dict[str, pa.Array]:
    return {
        name: pa.repeat(pairs.constants[name], len(pairs)) if name in pairs.constants else pairs.feeds[name]
        for name in names
    }


def _collect(pairs: ScorablePairs, started: list[_Started], dtype: np.dtype) -> ScoredPairs:
    scores = np.concatenate([np.empty(0, dtype), *(some.collect() for some in started)])
    starts = accumulate((len(some.order) for some in started), initial=0)
    failures = {
        start + row: reason
        for start, some in zip(starts, started, strict=False)
        for row, reason in some.failures.items()
    }
    return ScoredPairs(pairs, scores, failures)
