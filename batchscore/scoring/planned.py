"""Scoring by a plan: parts once a distinct input, the head once a pair, several calls of it at a time.

Before any score is kept the plan is compared with the signature itself; where the scores differ, or the plan cannot
be used, the signature scores the whole run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import pyarrow as pa

from batchscore.errors import ModelError
from batchscore.runtime.plan import Plan
from batchscore.runtime.plan_loading import load_plan
from batchscore.runtime.session import Session
from batchscore.runtime.tolerance import score_tolerance
from batchscore.scoring.casts import placeholders
from batchscore.scoring.parts import PartTables, Placed, find_order
from batchscore.scoring.positions import find_positions, row_bytes
from batchscore.scoring.scorer import ScorablePairs, ScoredPairs, Scorer

_BATCHES_IN_FLIGHT = 3
_TESTED_BLOCKS = 2
_SEED = 20_261_124


@dataclass(frozen=True)
class PlanCheck:
    """Scores of the plan against those of the signature: the pair that differs most, and both its scores.

    `failure` says why they could not be compared; then there is no pair.
    """

    rows: int
    worst: float
    tolerance: float
    user: str
    candidate: str
    signature_score: float
    plan_score: float
    failure: str | None = None

    @classmethod
    def failed(cls, failure: str) -> PlanCheck:
        """A comparison that could not be made."""
        return cls(0, np.inf, 0.0, "", "", np.nan, np.nan, failure)

    @property
    def ok(self) -> bool:
        """Whether the plan may be used."""
        return self.failure is None and self.worst <= self.tolerance

    def describe(self) -> str:
        """What the check found, in one line."""
        if self.failure is not None:
            return f"it could not be checked: {self.failure}"
        verdict = "it gives the model's scores" if self.ok else "it gives other scores"
        return (
            f"{verdict}: user {self.user}, candidate {self.candidate}: {self.plan_score:.9g} by the plan, "
            f"{self.signature_score:.9g} by the model (tolerance {self.tolerance:.3g})"
        )


def plan_required(why_not: str) -> ModelError:
    """The error of a run that has to use a plan and cannot."""
    return ModelError(
        "E-PLAN-REQUIRED",
        "the run cannot be done with a plan",
        found=why_not,
        next_step="run with --plan auto, which scores with the model itself where there is no plan",
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
        """Score each batch; order and length are kept. Raises ModelError: E-MODEL-RUN, E-MODEL-OUTPUT."""
        first = next((pairs for pairs in batches if len(pairs)), None)
        if first is None:
            return
        batches = chain([first], batches)
        self.check = self._compare(first)
        if self._required and not self.check.ok:
            raise plan_required(self.check.describe())
        yield from self._score(batches) if self.check.ok else self._signature_scorer.score(batches)

    def close(self) -> None:
        """Wait for the calls that are under way and begin no other: the session may be closed after it."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._signature_scorer.close()

    def _score(self, batches: Iterator[ScorablePairs]) -> Iterator[ScoredPairs]:
        pending: deque[tuple[ScorablePairs, list[_Begun]]] = deque()
        for pairs in batches:
            starts = range(0, len(pairs), self._most_pairs)
            pending.append((pairs, [self._begin(pairs.slice(start, self._most_pairs)) for start in starts]))
            if len(pending) >= _BATCHES_IN_FLIGHT:
                yield _collect(*pending.popleft(), self._signature_scorer.score_dtype)
        while pending:
            yield _collect(*pending.popleft(), self._signature_scorer.score_dtype)

    def _begin(self, pairs: ScorablePairs) -> _Begun:
        """Place the pairs and begin to score them, in the order in which the head gathers best."""
        placed = self._place(pairs)
        order, size = find_order(placed), len(self._positions)
        calls = [order[first : first + size] for first in range(0, len(pairs), size)]
        return _Begun(
            order=order,
            scores=[self._pool.submit(self._run_head, pairs, placed, rows) for rows in calls],
            failures={row: why for part in placed for row, why in part.failures.items()},
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

    def _run_head(self, pairs: ScorablePairs, placed: list[Placed], rows: np.ndarray) -> np.ndarray:
        places = self._positions[: len(rows)]
        return self._call_head(pairs, placed, rows, places)[places]

    def _call_head(
        self, pairs: ScorablePairs, placed: list[Placed], rows: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """Scores, [call_rows], of `rows` of the pairs, put at `places`; what lies elsewhere means nothing."""
        head = self._plan.head
        blocks = -(-(int(places[-1]) + 1) // head.block_rows)
        numbers = []
        for part in placed:
            padded = np.zeros(head.call_rows, np.int32)
            padded[places] = np.maximum(part.rows[rows], 0)
            numbers.append(padded)
        spread = np.full(head.call_rows, rows[0])
        spread[places] = rows
        direct = _feeds(pairs, [item.name for item in head.inputs])
        inputs = [direct[item.name].take(pa.array(spread)) for item in head.inputs]
        tables = [table for part in placed for table in part.tables]
        (scores,) = self._head(np.array(blocks, np.int32), *numbers, *tables, *inputs)
        return scores.reshape(-1).astype(self._signature_scorer.score_dtype, copy=False)

    def _compare(self, first: ScorablePairs) -> PlanCheck:
        """Score a seeded sample of `first` and the probes both ways. A plan that fails is no reason to fail."""
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
        return _check(compared) if compared else PlanCheck.failed("the model failed on every pair that was tried")

    def _score_both_ways(self, sample: ScorablePairs) -> Iterator[_Compared]:
        """The pairs of `sample` with both scores; one pair without a score by the plan stands for all of them."""
        placed = self._place(sample)
        failed = np.zeros(len(sample), bool)
        failed[[row for part in placed for row in part.failures]] = True
        if failed.any():
            without = sample.slice(int(failed.argmax()), 1)
            with suppress(ModelError):  # as it should be: the model fails on it too
                yield _Compared(without, self._signature_scorer.score_once(without), np.array([np.nan], np.float32))
            sample = sample.keep(~failed)
            placed = self._place(sample) if len(sample) else []
        if len(sample):
            if not self._tested:
                self._test_positions(sample, placed)
            rows = np.arange(len(sample))
            yield _Compared(sample, self._signature_scorer.score_once(sample), self._run_head(sample, placed, rows))

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
class _Compared:
    pairs: ScorablePairs
    signature_scores: np.ndarray
    plan_scores: np.ndarray


@dataclass(frozen=True)
class _Begun:
    """Consecutive pairs of a batch, being scored: `scores` follow one another in the order of the rows `order`."""

    order: np.ndarray
    scores: list[Future[np.ndarray]]
    failures: Mapping[int, str]

    def collect(self) -> np.ndarray:
        """Scores [n]; they mean nothing where the model failed."""
        found = np.concatenate([call.result() for call in self.scores])
        scores = np.empty_like(found)
        scores[self.order] = found
        return scores


def _feeds(pairs: ScorablePairs, names: list[str]) -> dict[str, pa.Array]:
    return {
        name: pa.repeat(pairs.constants[name], len(pairs)) if name in pairs.constants else pairs.feeds[name]
        for name in names
    }


def _collect(pairs: ScorablePairs, begun: list[_Begun], dtype: np.dtype) -> ScoredPairs:
    scores = np.concatenate([np.empty(0, dtype), *(some.collect() for some in begun)])
    starts = accumulate((len(some.order) for some in begun), initial=0)
    failures = {
        start + row: why for start, some in zip(starts, begun, strict=False) for row, why in some.failures.items()
    }
    return ScoredPairs(pairs, scores, failures)


def _check(compared: list[_Compared]) -> PlanCheck:
    """All pairs together: the tolerance comes from the scores of all of them."""
    expected = np.concatenate([both.signature_scores for both in compared])
    found = np.concatenate([both.plan_scores for both in compared])
    ids = [(both.pairs, row) for both in compared for row in range(len(both.pairs))]
    with np.errstate(invalid="ignore"):
        difference = np.abs(found.astype(np.float64) - expected)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    difference = np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
    worst = int(difference.argmax())
    pairs, row = ids[worst]
    return PlanCheck(
        rows=len(ids),
        worst=float(difference[worst]),
        tolerance=score_tolerance(expected),
        user=str(pairs.user[row].as_py()),
        candidate=str(pairs.candidate[row].as_py()),
        signature_score=float(expected[worst]),
        plan_score=float(found[worst]),
    )
