"""A rule: pairs whose score is too low stand in no list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import pyarrow as pa

from batchscore.scoring.left_out import LeftOut
from batchscore.scoring.pairs import ScoredPairs


class MinScore:
    """Leaves out pairs below `least` (None: none), and counts them; states of parts merge to that of the whole."""

    def __init__(self, least: float | None) -> None:
        self._least = least
        self.left_out = LeftOut()

    def apply(self, batches: Iterator[ScoredPairs]) -> Iterator[ScoredPairs]:
        """The batches without pairs whose score is below `least`, which is rounded as scores of their dtype are."""
        return batches if self._least is None else self._filter(batches, self._least)

    def merge(self, other: Self) -> None:
        """Add what `other`, with the same `least`, was given."""
        self.left_out.merge(other.left_out)

    def _filter(self, batches: Iterator[ScoredPairs], least: float) -> Iterator[ScoredPairs]:
        for batch in batches:
            floats = batch.scores.dtype.kind == "f"
            high: np.ndarray = batch.scores >= (batch.scores.dtype.type(least) if floats else least)
            if high.all():
                yield batch
                continue
            low = np.flatnonzero(~high)
            self.left_out.add(f"score below --min-score {least:g}", batch.pairs.user.take(pa.array(low)))
            yield batch.keep(high)
