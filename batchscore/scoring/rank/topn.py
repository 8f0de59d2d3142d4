"""Scored pairs to each user's top N, exactly, in memory for the users and not for the pairs.

Order: score descending, then candidate ascending (strings by UTF-8 bytes, integers by value; -0.0 equals 0.0).
Of rows with the same user and candidate the highest score wins, among equals the smallest kept values (null first,
NaN last). Both rules choose from a set, so partial results merge to the same lists in any order.

Scores are ranked as the model gives them and rounded to float32 only when they are written: scores that are equal
in the file may differ here, and their candidates then stand in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.scoring.pairs import ScoredPairs
from batchscore.scoring.rank.lists import CANDIDATE, RANK, SCORE, USER, RankedLists
from batchscore.scoring.rank.prefilter import prefilter_top_n

_MIN_PENDING_ROWS = 1_000_000
_MAX_SORTED_ROWS = 4_194_304
_SAMPLES_A_PART = 64


class TopN:
    """Collects scored pairs; keeps N + 1 a user, the one beyond the cut to tell of ties there."""

    def __init__(self, top_n: int, schema: pa.Schema, score_dtype: np.dtype) -> None:
        """`schema` is that of what is written; scores are of `score_dtype` until then."""
        self._top_n = top_n
        self._schema = schema
        self._kept = [f"kept_{index}" for index in range(len(schema) - 4)]
        self._best = self._frame([pa.array([], field.type) for field in schema], np.empty(0, score_dtype))
        self._pending: list[pl.DataFrame] = []
        self._pending_rows = 0

    def add(self, scored: ScoredPairs) -> None:
        """Take a batch with finite scores."""
        pairs = scored.pairs
        if not len(pairs):
            return
        scores = scored.scores + scored.scores.dtype.type(0)  # -0.0 becomes 0.0
        rows = prefilter_top_n(pairs.user, pairs.candidate, scores, self._top_n + 1)
        chosen = pa.array(rows)
        columns = [column.take(chosen) for column in (pairs.user, pairs.candidate, *pairs.kept)]
        self._pending.append(self._frame([*columns[:2], None, None, *columns[2:]], scores[rows]))
        self._pending_rows += len(rows)
        if self._pending_rows >= max(_MIN_PENDING_ROWS, self._best.height):
            self._merge()

    def merge(self, other: Self) -> None:
        """Add what `other`, of the same N, was given."""
        self._pending += [other._best, *other._pending]
        self._pending_rows += other._best.height + other._pending_rows
        if self._pending_rows >= max(_MIN_PENDING_ROWS, self._best.height):
            self._merge()

    def finish(self) -> RankedLists:
        """The ranked lists of all users that had a pair."""
        self._merge()
        best = self._best
        first = (best[USER] != best[USER].shift()).fill_null(value=True).to_numpy()
        starts = np.flatnonzero(first).astype(np.int32)
        lengths = np.diff(starts, append=np.int32(best.height))
        ranks = np.arange(1, best.height + 1, dtype=np.int32) - np.repeat(starts, lengths)
        beyond, scores = np.flatnonzero(ranks > self._top_n), best[SCORE].to_numpy()
        ranked = best.select(USER, CANDIDATE, SCORE, pl.Series(RANK, ranks), *self._kept)
        return RankedLists(
            frame=ranked.filter(pl.col(RANK) <= self._top_n) if len(beyond) else ranked,
            schema=self._schema,
            users=len(starts),
            users_short=int(np.count_nonzero(lengths < self._top_n)),
            ties_at_cut=int(np.count_nonzero(scores[beyond] == scores[beyond - 1])),
        )

    def _frame(self, arrays: list[pa.Array | None], scores: np.ndarray) -> pl.DataFrame:
        user, candidate, _, _, *kept = map(_plain, arrays)
        columns = {USER: user, CANDIDATE: candidate, **dict(zip(self._kept, map(_carried, kept), strict=True))}
        frame = pl.DataFrame({name: pl.from_arrow(array) for name, array in columns.items()})
        return frame.with_columns(pl.Series(SCORE, scores))

    def _merge(self) -> None:
        if not self._pending:
            return
        frame = pl.concat([self._best, *self._pending], rechunk=False)
        self._pending, self._pending_rows = [], 0
        self._best = pl.concat(map(self._sort_and_cut, _split_by_user(frame)), rechunk=False)

    def _sort_and_cut(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The best N + 1 distinct candidates of each user, by user, then rank."""
        ordered = {f"{name}_order": _order(frame[name]) for name in (USER, CANDIDATE)}
        user, candidate = ordered
        ties = [key for name in self._kept for key in _total_order(name, frame.schema[name])]
        return (
            frame.lazy()
            .with_columns(**ordered)
            .sort([user, pl.col(SCORE), candidate, *ties], descending=[False, True, False, *(False for _ in ties)])
            .unique([user, candidate], keep="first", maintain_order=True)
            .group_by(user, maintain_order=True)
            .head(self._top_n + 1)
            .drop(user, candidate)
            .collect()
        )


def _split_by_user(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Parts with all rows of some users each, in the order of users.

    They are small, since sorting takes several times the memory of what it sorts.
    """
    if frame.height <= _MAX_SORTED_ROWS:
        yield frame
        return
    step = max(1, _MAX_SORTED_ROWS // _SAMPLES_A_PART)
    bounds = frame[USER].gather_every(step).sort().gather_every(_SAMPLES_A_PART, _SAMPLES_A_PART).unique().sort()
    part = pl.Series(bounds.search_sorted(frame[USER], side="right")).cast(pl.UInt16)
    for number in range(len(bounds) + 1):
        yield frame.filter(part == number)


def _carried(array: pa.Array) -> pa.Array:
    """A kept column as it travels: times as numbers (polars knows fewer zones), every NaN with the same bits."""
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.int64())
    if pa.types.is_floating(array.type):
        return pc.if_else(pc.is_nan(array), pa.scalar(np.nan, array.type), array)
    return array


def _plain(array: pa.Array | None) -> pa.Array | None:
    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array


def _order(ids: pl.Series) -> pl.Series:
    """Integers in the order of the ids: text is compared once per distinct id, not once per row."""
    if ids.dtype != pl.String:
        return ids
    return ids.cast(pl.Enum(ids.unique().sort())).to_physical()


def _total_order(name: str, dtype: pl.DataType) -> list[pl.Expr]:
    """Sort keys that tell all values of a kept column apart, 0.0 and -0.0 too."""
    if dtype.is_float():
        return [pl.col(name), (1 / pl.col(name)).alias(f"{name}_sign")]
    return [pl.col(name)]
