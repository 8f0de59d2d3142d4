"""A batch of pairs to scores.

TensorFlow's float32 results depend on the shape of a batch and, at some shapes, on a row's position in it. So
every call has one fixed shape, padded with a copy of a real row, on one intra-op thread; several callers share the
cores; and a self-test at the start finds the positions at which a row gets other bits than elsewhere. Those stay
empty. A pair's score is then the same whatever stands beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from batchscore.errors import ModelError
from batchscore.runtime.saved_model import Signature
from batchscore.runtime.score import Score, kept_type, take_column
from batchscore.runtime.session import Session

COMPUTE_ROWS = 4096
"""Rows of every call of the model, unless the signature itself fixes them."""

_BATCHES_IN_FLIGHT = 3
_TESTED_ROWS = 8


@dataclass(frozen=True)
class ScorablePairs:
    """n pairs without bad rows.

    `user`, `candidate` and `kept` have the pair file's types, large_string for string views; `feeds` has an array
    of each fed input's dtype, `constants` a scalar of each input that is the same all night; `rows` (int64) are row
    numbers within `file`.
    """

    file: str
    rows: np.ndarray
    user: pa.Array
    candidate: pa.Array
    kept: list[pa.Array]
    feeds: Mapping[str, pa.Array]
    constants: Mapping[str, pa.Scalar]

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, mask: np.ndarray) -> ScorablePairs:
        """The pairs at which `mask` is true."""
        chosen = pa.array(mask)
        return replace(
            self,
            rows=self.rows[mask],
            user=self.user.filter(chosen),
            candidate=self.candidate.filter(chosen),
            kept=[array.filter(chosen) for array in self.kept],
            feeds={name: array.filter(chosen) for name, array in self.feeds.items()},
        )


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs with their scores, float32 [n]; `failures` says for a position why the model gave it none (NaN)."""

    pairs: ScorablePairs
    scores: np.ndarray
    failures: Mapping[int, str] = field(default_factory=dict)

    def keep(self, mask: np.ndarray) -> ScoredPairs:
        """The pairs at which `mask` is true."""
        return ScoredPairs(self.pairs.keep(mask), self.scores[mask])


class Scorer:
    """Scores pairs with one signature of a loaded model, on `threads` cores."""

    def __init__(
        self, session: Session, signature: Signature, score: Score, *, threads: int, keep: Sequence[str] = ()
    ) -> None:
        """`keep` names outputs, each of one value a pair, that go into the kept columns of the pairs."""
        self._session = session
        self._signature = signature
        self._score = score
        self._keep = list(keep)
        self._kept_dtypes = [kept_type(signature.outputs[name]).to_pandas_dtype() for name in keep]
        self._outputs = list(dict.fromkeys([*score.outputs, *keep]))
        fixed = {spec.shape[0] for spec in signature.inputs.values() if spec.shape and spec.shape[0]}
        self._compute_rows = min(fixed, default=COMPUTE_ROWS)
        self._positions = np.arange(self._compute_rows)
        self._tested = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="scorer")

    @property
    def positions_left_out(self) -> int:
        """How many positions of a call the self-test found to differ."""
        return self._compute_rows - len(self._positions)

    def score(self, batches: Iterator[ScorablePairs]) -> Iterator[ScoredPairs]:
        """Score each batch; order and length are kept, and kept outputs follow the kept columns.

        Raises ModelError: E-MODEL-RUN, E-MODEL-OUTPUT.
        """
        pending: deque[tuple[ScorablePairs, list[Future[_Chunk]]]] = deque()
        for pairs in batches:
            if not self._tested and len(pairs):
                self._test_positions(pairs)
            starts = range(0, len(pairs), len(self._positions))
            pending.append((pairs, [self._pool.submit(self._score_chunk, pairs, start) for start in starts]))
            if len(pending) >= _BATCHES_IN_FLIGHT:
                yield self._collect(*pending.popleft())
        while pending:
            yield self._collect(*pending.popleft())

    def close(self) -> None:
        """Wait for the calls that are under way and begin no other: the session may be closed after it."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _collect(self, pairs: ScorablePairs, chunks: list[Future[_Chunk]]) -> ScoredPairs:
        nothing = _Chunk(np.empty(0, np.float32), [np.empty(0, dtype) for dtype in self._kept_dtypes], {})
        done = _join([nothing, *(chunk.result() for chunk in chunks)])
        kept = [*pairs.kept, *(pa.array(column) for column in done.kept)]
        return ScoredPairs(replace(pairs, kept=kept), done.scores, done.failures)

    def _test_positions(self, pairs: ScorablePairs) -> None:
        """Score a few rows in all positions, and leave out each position that is not bit-equal to the majority.

        Then those rows stand side by side in one more call, in which each must keep its bits. A model that fails on
        every one of the rows is at fault itself: nothing is gained by isolating millions.
        """
        usable = np.ones(self._compute_rows, bool)
        tested: list[int] = []
        majority: list[tuple[Any, ...]] = []
        failure: ModelError | None = None
        for row in np.linspace(0, len(pairs) - 1, min(_TESTED_ROWS, len(pairs)), dtype=np.int64):
            try:
                found = self._call(pairs, np.full(self._compute_rows, row)).bits()
            except ModelError as error:
                failure = error
                continue  # a row that the model refuses is found and named where it is scored
            tested.append(int(row))
            majority.append(tuple(_most_common(column) for column in found))
            for column, common in zip(found, majority[-1], strict=True):
                usable &= column == common
        if failure is not None and not tested and len(pairs) >= _TESTED_ROWS:
            raise failure
        if tested:
            mixed = self._call(pairs, np.resize(tested, self._compute_rows)).bits()
            for column, common in zip(mixed, zip(*majority, strict=True), strict=True):
                usable &= column == np.resize(np.array(common, column.dtype), self._compute_rows)
        if usable.sum() * 2 < self._compute_rows:
            raise ModelError(
                "E-MODEL-RUN",
                "the model gives one pair different scores within one call",
                found=f"only {int(usable.sum()):,} of {self._compute_rows:,} positions agree",
                expected="a score that depends on the pair alone",
                next_step="export the model for serving: no dropout, no random op, no statistics over the batch",
            )
        self._positions = np.flatnonzero(usable)
        self._tested = True

    def _score_chunk(self, pairs: ScorablePairs, start: int) -> _Chunk:
        rows = np.arange(start, min(start + len(self._positions), len(pairs)))
        try:
            return self._score_rows(pairs, rows)
        except ModelError as error:
            if error.error_id != "E-MODEL-RUN":
                raise
            return self._isolate(pairs, rows, error)

    def _isolate(self, pairs: ScorablePairs, rows: np.ndarray, error: ModelError) -> _Chunk:
        """Find by bisection the rows on which the model fails; their score is NaN."""
        if len(rows) == 1:
            nothing = [np.zeros(1, dtype) for dtype in self._kept_dtypes]
            return _Chunk(np.array([np.nan], np.float32), nothing, {int(rows[0]): str(error)})
        chunks = []
        for half in np.array_split(rows, 2):
            try:
                chunks.append(self._score_rows(pairs, half))
            except ModelError as half_error:
                chunks.append(self._isolate(pairs, half, half_error))
        return _join(chunks)

    def _score_rows(self, pairs: ScorablePairs, rows: np.ndarray) -> _Chunk:
        padded = np.full(self._compute_rows, rows[0])
        places = self._positions[: len(rows)]
        padded[places] = rows
        return self._call(pairs, padded).at(places)

    def _call(self, pairs: ScorablePairs, rows: np.ndarray) -> _Chunk:
        chosen = pa.array(rows)
        feeds = {name: array.take(chosen) for name, array in pairs.feeds.items()}
        feeds |= {name: pa.repeat(value, len(rows)) for name, value in pairs.constants.items()}
        results = self._session.run(self._signature, feeds, self._outputs)
        kept = [
            take_column(name, results[name], len(rows)).astype(dtype)
            for name, dtype in zip(self._keep, self._kept_dtypes, strict=True)
        ]
        with np.errstate(over="ignore"):
            return _Chunk(self._score.compute(results, len(rows)).astype(np.float32), kept, {})


@dataclass(frozen=True)
class _Chunk:
    """Rows of a call: scores, the kept outputs, and why a row has no score."""

    scores: np.ndarray
    kept: list[np.ndarray]
    failures: dict[int, str]

    def at(self, places: np.ndarray) -> _Chunk:
        return _Chunk(self.scores[places], [column[places] for column in self.kept], self.failures)

    def bits(self) -> list[np.ndarray]:
        """Scores and kept outputs as whole numbers, equal only where all bits are."""
        return [column.view(f"u{column.dtype.itemsize}") for column in (self.scores, *self.kept)]


def _join(chunks: list[_Chunk]) -> _Chunk:
    """The rows of one chunk or more, one after another."""
    columns = zip(*(chunk.kept for chunk in chunks), strict=True)
    return _Chunk(
        np.concatenate([chunk.scores for chunk in chunks]),
        [np.concatenate(parts) for parts in columns],
        {row: reason for chunk in chunks for row, reason in chunk.failures.items()},
    )


def _most_common(column: np.ndarray) -> Any:
    values, counts = np.unique(column, return_counts=True)
    return values[np.argmax(counts)]
