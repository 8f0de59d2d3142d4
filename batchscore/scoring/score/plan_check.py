"""Whether a plan gives the model's scores: pairs that were scored both ways, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from batchscore.arrays.tolerance import score_tolerance
from batchscore.errors import ModelError
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs

PAIRS_A_SAMPLE = 2048
"""Of so many pairs one is scored both ways, so that the comparison takes less than a hundredth of a run."""

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
        verdict = "the plan gives the model's scores" if self.ok else "the plan gives other scores"
        return (
            f"{verdict}: user {self.user}, candidate {self.candidate}: {self.plan_score:.9g} by the plan, "
            f"{self.signature_score:.9g} by the model (tolerance {self.tolerance:.3g})"
        )


class PlanUnfitError(Exception):
    """Scores that the plan has given are not the model's: nothing of them may be kept. `check` says which."""

    def __init__(self, check: PlanCheck) -> None:
        self.check = check
        super().__init__(check.describe())


@dataclass(frozen=True)
class Compared:
    """Pairs, and what each is scored by the signature and by the plan."""

    pairs: ScorablePairs
    signature_scores: np.ndarray
    plan_scores: np.ndarray


def check_scores(compared: Sequence[Compared]) -> PlanCheck:
    """All pairs together: the tolerance comes from the scores of all of them, since one alone has no spread.

    Scores wider than float32 are ranked as they are, so they are compared by ulps of float64.
    """
    expected = np.concatenate([both.signature_scores for both in compared])
    found = np.concatenate([both.plan_scores for both in compared])
    with np.errstate(invalid="ignore"):
        difference = np.abs(found.astype(np.float64) - expected)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    difference = np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
    worst = int(difference.argmax())
    ends = np.cumsum([len(both.pairs) for both in compared])
    place = int(np.searchsorted(ends, worst, side="right"))
    pairs, row = compared[place].pairs, worst - int(ends[place])
    return PlanCheck(
        rows=len(expected),
        worst=float(difference[worst]),
        tolerance=score_tolerance(expected, width=np.float32 if expected.dtype == np.float32 else np.float64),
        user=str(pairs.user[row].as_py()),
        candidate=str(pairs.candidate[row].as_py()),
        signature_score=float(expected[worst]),
        plan_score=float(found[worst]),
    )


class SpreadCheck:
    """The same for pairs of every batch of a run, while it goes on: they are scored by the signature in `pool`."""

    def __init__(
        self,
        score_once: Callable[[ScorablePairs], np.ndarray],
        call_rows: int,
        pool: Executor,
        compared: Sequence[Compared],
    ) -> None:
        """`score_once` scores at most `call_rows` pairs by the signature; `compared` has been compared before."""
        self._score_once = score_once
        self._call_rows = call_rows
        self._pool = pool
        self._compared = list(compared)
        self._draw = np.random.default_rng(_SEED)
        self._waiting: list[tuple[ScorablePairs, np.ndarray]] = []
        self._running: list[Future[list[Compared]]] = []

    def add(self, batch: ScoredPairs) -> None:
        """Take a few pairs of a batch that the plan has scored, and one that it has not, if there is one."""
        if batch.failures:
            failing = batch.pairs.take(np.array([min(batch.failures)]))
            self._running.append(self._pool.submit(self._compare_failure, failing))
        rows = np.unique(self._draw.integers(0, len(batch.scores), -(-len(batch.scores) // PAIRS_A_SAMPLE)))
        rows = np.setdiff1d(rows, list(batch.failures))[: self._call_rows]
        if sum(len(scores) for _, scores in self._waiting) + len(rows) > self._call_rows:
            self._begin()
        if len(rows):
            self._waiting.append((batch.pairs.take(rows), batch.scores[rows]))

    def settle(self, *, to_the_end: bool) -> PlanCheck | None:
        """What was found by now, None if nothing is new. At the end of a run all comparisons are waited for."""
        if to_the_end:
            self._begin()
        ended = [found for found in self._running if to_the_end or found.done()]
        self._running = [found for found in self._running if found not in ended]
        try:
            news = [both for found in ended for both in found.result()]
        except ModelError as error:
            return PlanCheck.failed(f"the model fails on a pair that the plan scores: {error.in_one_line()}")
        self._compared += news
        return check_scores(self._compared) if news else None

    def _begin(self) -> None:
        if self._waiting:
            self._running.append(self._pool.submit(self._compare, self._waiting))
            self._waiting = []

    def _compare(self, samples: list[tuple[ScorablePairs, np.ndarray]]) -> list[Compared]:
        pairs = _join([pairs for pairs, _ in samples])
        scores = np.concatenate([scores for _, scores in samples])
        return [Compared(pairs, self._score_once(pairs), scores)]

    def _compare_failure(self, pair: ScorablePairs) -> list[Compared]:
        """A pair on which the plan fails: the model has to fail on it too."""
        try:
            return [Compared(pair, self._score_once(pair), np.full(1, np.nan))]
        except ModelError:
            return []


def _join(samples: list[ScorablePairs]) -> ScorablePairs:
    first = samples[0]
    return replace(
        first,
        rows=np.concatenate([pairs.rows for pairs in samples]),
        user=_concatenate([pairs.user for pairs in samples]),
        candidate=_concatenate([pairs.candidate for pairs in samples]),
        kept=[],
        feeds={name: _concatenate([pairs.feeds[name] for pairs in samples]) for name in first.feeds},
    )


def _concatenate(arrays: list[pa.Array]) -> pa.Array:
    plain = [array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array for array in arrays]
    return pa.concat_arrays([array.cast(plain[0].type) for array in plain])
