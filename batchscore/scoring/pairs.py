"""What passes from stage to stage: pairs that can be scored, and pairs with scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa


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

    def slice(self, start: int, rows: int) -> ScorablePairs:
        """At most `rows` pairs from `start` on, without copying."""
        return replace(
            self,
            rows=self.rows[start : start + rows],
            user=self.user.slice(start, rows),
            candidate=self.candidate.slice(start, rows),
            kept=[array.slice(start, rows) for array in self.kept],
            feeds={name: array.slice(start, rows) for name, array in self.feeds.items()},
        )

    def take(self, rows: np.ndarray) -> ScorablePairs:
        """The pairs at `rows`."""
        chosen = pa.array(rows)
        return replace(
            self,
            rows=self.rows[rows],
            user=self.user.take(chosen),
            candidate=self.candidate.take(chosen),
            kept=[array.take(chosen) for array in self.kept],
            feeds={name: array.take(chosen) for name, array in self.feeds.items()},
        )

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
    """Pairs with their scores, [n]: float32, float64, int64 or uint64, whichever holds those of the model exactly.

    `failures` says for a position why the model gave it none; the score there means nothing.
    """

    pairs: ScorablePairs
    scores: np.ndarray
    failures: Mapping[int, str] = field(default_factory=dict)

    def keep(self, mask: np.ndarray) -> ScoredPairs:
        """The pairs at which `mask` is true."""
        return ScoredPairs(self.pairs.keep(mask), self.scores[mask])
