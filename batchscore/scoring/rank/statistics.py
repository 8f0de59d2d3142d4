"""Figures of all ranked pairs, taken beside the scores: before duplicates and all below the cut are gone.

Each is a state of bounded size, and states of parts merge to that of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa

from batchscore.arrays.distinct import find_distinct, find_used, is_same_array
from batchscore.arrays.id_hashes import hash_texts, hash_values, mix
from batchscore.arrays.mean_std import MeanStd
from batchscore.arrays.sketches import SKETCH_SIZE, BottomK
from batchscore.report_parts import Scores
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.rank.pair_sample import HashedIds, PairSample

_SAMPLED_CANDIDATES, _SAMPLED_PAIRS = 128, 32


class Statistics:
    """Figures of the pairs that were scored. `candidate_input` names the model input that takes the candidate."""

    def __init__(self, candidate_input: str | None) -> None:
        self.scores = MeanStd()
        self.candidates = BottomK(SKETCH_SIZE)
        """The distinct candidates."""
        self.by_candidate = PairSample(_SAMPLED_CANDIDATES, _SAMPLED_PAIRS)
        self._candidate_input = candidate_input
        self._candidate_ids, self._user_ids = _IdHashes(), _IdHashes()

    def watch(self, batches: Iterator[ScoredPairs]) -> Iterator[ScoredPairs]:
        """Pass `batches` on, and take each."""
        for scored in batches:
            self.add(scored)
            yield scored

    def add(self, scored: ScoredPairs) -> None:
        """Take a batch with finite scores."""
        if not len(scored.scores):
            return
        self.scores.add(scored.scores)
        candidates = self._candidate_ids.of(scored.pairs.candidate)
        users = self._user_ids.of(scored.pairs.user)
        new = self._candidate_ids.take_new(candidates)
        self.candidates.add(new)
        fed = partial(self._hash_fed, scored.pairs, users)
        self.by_candidate.add(candidates, new, users, scored.scores, fed)

    def merge(self, other: Statistics) -> None:
        """Add what `other` was given: the result is that of one pass over the pairs of both."""
        self.scores.merge(other.scores)
        self.candidates.merge(other.candidates)
        self.by_candidate.merge(other.by_candidate)

    def figures(self) -> Scores:
        """Those of the scores so far; nothing before the first. -0.0 is told as 0.0."""
        if not (scores := self.scores).count:
            return Scores()
        return Scores(minimum=scores.minimum + 0, mean=scores.mean, maximum=scores.maximum + 0, spread=scores.std)

    @property
    def duplicate_share(self) -> float | None:
        """Share of the pairs, by those of a few candidates, that repeat another one's user and candidate."""
        rows = int(self.by_candidate.rows["count"].sum())
        return 1 - len(self.by_candidate.rows) / rows if rows else None

    def _hash_fed(self, pairs: ScorablePairs, users: HashedIds, rows: np.ndarray) -> np.ndarray:
        """What the model is fed beside the candidate; the user, where that is nothing."""
        chosen = pa.array(rows)
        others = sorted(set(pairs.feeds) - {self._candidate_input})
        hashes = np.zeros(len(rows), np.uint64) if others else users.hashes[users.codes[rows]]
        for name in others:
            hashes = mix(hashes ^ hash_values(_plain(pairs.feeds[name].take(chosen))))
        return hashes


def _plain(array: pa.Array) -> pa.Array:
    """Without its dictionary if that has more values than there are rows."""
    is_large = isinstance(array, pa.DictionaryArray) and len(array.dictionary) > len(array)
    return array.dictionary_decode() if is_large else array


def sketch_users(users: pa.Array) -> BottomK:
    """The distinct `users`, hashed as text: the same sketch whatever type the ids have."""
    sketch = BottomK(SKETCH_SIZE)
    sketch.add(hash_texts(users))
    return sketch


class _IdHashes:
    """Hashes the ids of batch after batch, those of a dictionary that comes again only once."""

    def __init__(self) -> None:
        self._values: pa.Array | None = None
        self._hashes = np.empty(0, np.uint64)
        self._taken = np.empty(0, bool)

    def of(self, ids: pa.Array) -> HashedIds:
        distinct = find_distinct([ids])
        (values,) = distinct.values
        if not is_same_array(self._values, values):
            self._values, self._hashes = values, hash_values(values)
            self._taken = np.zeros(len(values), bool)
        return HashedIds(distinct.codes, self._hashes)

    def take_new(self, ids: HashedIds) -> np.ndarray:
        """The hashes (uint64) of the `ids`, the last that `of` gave, that were not given of their values before."""
        if self._taken.all():
            return self._hashes[:0]
        new = find_used(ids.codes, len(self._taken)) & ~self._taken
        self._taken |= new
        return self._hashes[new]
