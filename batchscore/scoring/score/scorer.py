"""A batch of pairs to scores.

Every call has one fixed shape, padded with a copy of a real row, on one intra-op thread; several callers share the
cores; and positions at which a row gets other bits than elsewhere (see `positions`) stay empty. A pair's score is
then the same whatever stands beside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa

from batchscore.engine.session import Session
from batchscore.errors import ModelError
from batchscore.savedmodel.saved_model import Signature
from batchscore.savedmodel.score import Score, kept_type, take_column
from batchscore.scoring.bind.casts import placeholders
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.score.positions import find_positions, row_bytes

COMPUTE_ROWS = 4096
"""Rows of every call of the model, unless the signature itself fixes them."""

_MIN_CALL_ROWS = 256
"""Rows of the smallest call that is made to compare a few pairs."""

_BATCHES_IN_FLIGHT = 3


class Scorer:
    """Scores pairs with one signature of a loaded model, on `threads` cores."""

    def __init__(
        self, session: Session, signature: Signature, score: Score, *, threads: int, keep: Sequence[str] = ()
    ) -> None:
        """`keep` names outputs, each of one value per pair, that go into the kept columns of the pairs."""
        self._session = session
        self._signature = signature
        self._score = score
        self._keep = list(keep)
        self._kept_dtypes = [kept_type(signature.outputs[name]).to_pandas_dtype() for name in keep]
        self._outputs = list(dict.fromkeys([*score.outputs, *keep]))
        fixed = {spec.shape[0] for spec in signature.inputs.values() if spec.shape and spec.shape[0]}
        self._compute_rows = min(fixed, default=COMPUTE_ROWS)
        self._is_open = not fixed and not signature.compiled
        self._positions = np.arange(self._compute_rows)
        self._tested = False
        self.check: None = None
        self.plan_sha256: None = None
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="scorer")

    @property
    def score_dtype(self) -> np.dtype:
        """The dtype of the scores."""
        return self._score.ranked_dtype

    @property
    def call_rows(self) -> int:
        """Rows of every call of the model."""
        return self._compute_rows

    @property
    def positions_left_out(self) -> int:
        """How many positions of a call the self-test found to differ."""
        return self._compute_rows - len(self._positions)

    def begin(self) -> None:
        """Call the model once with nothing in it, while the pairs are read: its first call takes longest.

        What becomes of it no one asks; whether the model fails is for the pairs to tell.
        """
        self._pool.submit(self._call_with_nothing)

    def score(self, batches: Iterator[ScorablePairs]) -> Iterator[ScoredPairs]:
        """Score each batch; order and length are kept, and kept outputs follow the kept columns.

        Raises ModelError: E-MODEL-RUN, E-MODEL-OUTPUT.
        """
        pending: deque[tuple[ScorablePairs, list[Future[_Chunk]]]] = deque()
        for pairs in batches:
            if not self._tested and len(pairs):
                call = partial(self._call_for_bits, pairs)
                self._positions = find_positions(
                    call, len(pairs), self._compute_rows, what="pair", run_all=self._pool.map,
                    suspects=self._signature.unrepeatable_ops(self._outputs),
                )  # fmt: skip
                self._tested = True
            starts = range(0, len(pairs), len(self._positions))
            pending.append((pairs, [self._pool.submit(self._score_chunk, pairs, start) for start in starts]))
            if len(pending) >= _BATCHES_IN_FLIGHT:
                yield self._collect(*pending.popleft())
        while pending:
            yield self._collect(*pending.popleft())

    def score_once(self, pairs: ScorablePairs) -> np.ndarray:
        """Scores of at most one call's pairs, [n], as the signature gives them. Raises as `score` does.

        Good for comparisons only: a call may have fewer rows than those of `score`, and other last bits.
        """
        rows = self._compute_rows
        while self._is_open and rows // 2 >= max(len(pairs), _MIN_CALL_ROWS):
            rows //= 2
        padded = np.zeros(rows, np.int64)
        padded[: len(pairs)] = np.arange(len(pairs))
        return self._call(pairs, padded).scores[: len(pairs)]

    def close(self) -> None:
        """Wait for the calls that are under way and begin no other: the session may be closed after it."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _collect(self, pairs: ScorablePairs, chunks: list[Future[_Chunk]]) -> ScoredPairs:
        nothing = _Chunk(np.empty(0, self.score_dtype), [np.empty(0, dtype) for dtype in self._kept_dtypes], {})
        done = _join([nothing, *(chunk.result() for chunk in chunks)])
        kept = [*pairs.kept, *(pa.array(column) for column in done.kept)]
        return ScoredPairs(replace(pairs, kept=kept), done.scores, done.failures)

    def _score_chunk(self, pairs: ScorablePairs, start: int) -> _Chunk:
        rows = np.arange(start, min(start + len(self._positions), len(pairs)))
        try:
            return self._score_rows(pairs, rows)
        except ModelError as error:
            if error.error_id != "E-MODEL-RUN":
                raise
            return self._isolate(pairs, rows, error)

    def _isolate(self, pairs: ScorablePairs, rows: np.ndarray, error: ModelError) -> _Chunk:
        """Find by bisection the rows on which the model fails; their score means nothing."""
        if len(rows) == 1:
            nothing = [np.zeros(1, dtype) for dtype in self._kept_dtypes]
            return _Chunk(np.zeros(1, self.score_dtype), nothing, {int(rows[0]): str(error)})
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

    def _call_with_nothing(self) -> None:
        inputs = self._signature.inputs.values()
        feeds = {spec.name: placeholders(spec.dtype, self._compute_rows) for spec in inputs}
        self._session.run(self._signature, feeds, self._outputs)

    def _call_for_bits(self, pairs: ScorablePairs, rows: np.ndarray) -> np.ndarray:
        chunk = self._call(pairs, rows)
        return row_bytes(chunk.scores, *chunk.kept)

    def _call(self, pairs: ScorablePairs, rows: np.ndarray) -> _Chunk:
        chosen = pa.array(rows)
        feeds = {name: array.take(chosen) for name, array in pairs.feeds.items()}
        feeds |= {name: pa.repeat(value, len(rows)) for name, value in pairs.constants.items()}
        results = self._session.run(self._signature, feeds, self._outputs)
        kept = [
            take_column(name, results[name], len(rows)).astype(dtype)
            for name, dtype in zip(self._keep, self._kept_dtypes, strict=True)
        ]
        return _Chunk(self._score.compute(results, len(rows)), kept, {})


@dataclass(frozen=True)
class _Chunk:
    """Rows of a call: scores, the kept outputs, and why a row has no score."""

    scores: np.ndarray
    kept: list[np.ndarray]
    failures: dict[int, str]

    def at(self, places: np.ndarray) -> _Chunk:
        return _Chunk(self.scores[places], [column[places] for column in self.kept], self.failures)


def _join(chunks: list[_Chunk]) -> _Chunk:
    """The rows of one chunk or more, one after another."""
    columns = zip(*(chunk.kept for chunk in chunks), strict=True)
    return _Chunk(
        np.concatenate([chunk.scores for chunk in chunks]),
        [np.concatenate(parts) for parts in columns],
        {row: reason for chunk in chunks for row, reason in chunk.failures.items()},
    )
