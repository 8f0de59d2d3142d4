"""Ranked rows as codes, in blocks of whole lists, and the same lists in another order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from batchscore.arrays.codes import encode, order_of
from batchscore.columns import RANK, SCORE
from batchscore.evaluation.coded_files import Ids
from batchscore.outputs.list_reader import CANDIDATE, USER, ListReader


@dataclass(frozen=True)
class Lists:
    """Whole lists: codes of users and candidates, ranks (int32, from 1) and scores (or None), all `[rows]`.

    Rows are in the order of lists, then ranks. `candidate_order` (int32) grows with the candidate's id.
    """

    users: np.ndarray
    candidates: np.ndarray
    ranks: np.ndarray
    scores: np.ndarray | None
    candidate_order: np.ndarray

    @property
    def count(self) -> int:
        """The number of lists."""
        return int((self.ranks == 1).sum())

    def rank_by(self, values: np.ndarray) -> np.ndarray:
        """Ranks (int32) of the same rows if each list were in descending order of `values`, then by candidate."""
        lists = np.cumsum(self.ranks == 1)
        ranks = np.empty_like(self.ranks)
        ranks[np.lexsort((self.candidate_order, -values, lists))] = self.ranks
        return ranks


def read_lists(ranked: ListReader, ids: Ids) -> Iterator[Lists]:
    """All lists of a ranked file; candidates that are new get codes, new users MISSING.

    Raises InputError (E-RANKED-FILE).
    """
    for frame in _whole_lists(ranked.read()):
        places, distinct = encode(_arrow(frame[CANDIDATE]), ids.candidates.ids.type)
        yield Lists(
            users=ids.users.find(_arrow(frame[USER])),
            candidates=ids.candidates.add(distinct)[places],
            ranks=frame[RANK].to_numpy(),
            scores=frame[SCORE].to_numpy() if ranked.scored else None,
            candidate_order=order_of(distinct)[places],
        )


def _whole_lists(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The rows of `frames`, cut where a list begins. The last list of a frame waits for the next one."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        starts = frame.select((pl.col(RANK) == 1).arg_true()).to_series()
        if not len(starts):
            waiting.append(frame)
            continue
        whole = pl.concat([*waiting, frame.head(starts[-1])])
        if whole.height:
            yield whole
        waiting = [frame.slice(starts[-1])]
    whole = pl.concat(waiting) if waiting else pl.DataFrame()
    if whole.height:
        yield whole


def _arrow(column: pl.Series) -> pa.Array:
    return column.to_arrow()
