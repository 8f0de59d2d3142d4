"""What is kept of ranked lists while they pass by, block by block, until their metrics can be computed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from batchscore.arrays.codes import MISSING
from batchscore.evaluation.baselines import look_up
from batchscore.evaluation.bootstrap import Measure, resample
from batchscore.evaluation.ranking_metrics import measure_lists
from batchscore.evaluation.truth import Truth


class ListTotals:
    """The listed pairs that stand in the truth, which candidates were listed, and how popular they were.

    `percentiles` (`baselines.popularity_percentiles`, a value per candidate's code) may be None if popularity is
    not known; candidates without a code there have percentile 0.

        coverage@k         candidates among the first k of at least one list, divided by the catalogue
        popularity bias@k  mean percentile of a user's first k, less that of the user's relevant pairs in the truth,
                           averaged over users with relevant pairs and a list: above 0 lists are more popular
                           than what users chose
    """

    def __init__(
        self,
        truth: Truth,
        best: Mapping[int, np.ndarray],
        percentiles: np.ndarray | None = None,
    ) -> None:
        """`best` is what `ranking_metrics.measure_best_lists` gives for the truth, and says for which k."""
        cutoffs = list(best)
        self._truth = truth
        self._best = best
        self._cutoffs = cutoffs
        self._percentiles = percentiles
        self._found: list[np.ndarray] = []
        self._ranks: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []
        self._listed = {k: np.zeros(0, bool) for k in cutoffs}
        self._has_list = np.zeros(truth.user_count, bool)
        self._percentile_sums = {k: np.zeros(truth.user_count) for k in cutoffs}
        self._percentile_rows = {k: np.zeros(truth.user_count) for k in cutoffs}

    @property
    def has_list(self) -> np.ndarray:
        """Which users had at least one row, bool `[user_count]`."""
        return self._has_list

    def add(
        self, users: np.ndarray, candidates: np.ndarray, ranks: np.ndarray, scores: np.ndarray | None = None
    ) -> None:
        """Take rows of lists.

        `users` are codes; those that the truth does not have (MISSING, or later ones) count for coverage alone.
        `candidates` are codes, `ranks` count from 1, `scores` are given if predictions are measured too.
        """
        known = (users >= 0) & (users < self._truth.user_count)
        found = np.full(len(users), MISSING, np.int64)
        found[known] = self._truth.find(users[known], candidates[known])
        hits = found != MISSING
        self._found.append(found[hits])
        self._ranks.append(ranks[hits])
        if scores is not None:
            self._scores.append(scores[hits])
        self._has_list[users[known]] = True
        for k in self._cutoffs:
            first = ranks <= k
            self._list(k, candidates[first])
            if self._percentiles is not None:
                rows = known & first
                self._add_percentiles(k, users[rows], look_up(self._percentiles, candidates[rows]))

    def matched(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions in the truth of all listed pairs that stand there, and their scores."""
        return _join(self._found, np.int64), _join(self._scores, np.float32)

    def measure(self, catalogue: int, *, replicates: int = 1000, seed: int = 42) -> dict[str, Measure]:
        """All metrics of the lists: of `measure_lists`, coverage (no interval) and, where known, popularity bias.

        `catalogue` is the number of candidates that could have been listed.
        """
        by_user = measure_lists(self._truth, self._best, _join(self._found, np.int64), _join(self._ranks, np.int32))
        if self._percentiles is not None:
            by_user |= self._popularity_bias(self._percentiles)
        names = list(by_user)
        values = np.stack([by_user[name] for name in names], axis=1)
        defined = ~np.isnan(values)
        resampled = resample(
            np.where(defined, values, 0), defined.astype(np.float64), replicates=replicates, seed=seed
        )
        measures = {name: resampled.measure(number) for number, name in enumerate(names)}
        bias = {name: measures.pop(name) for name in names if name.startswith("popularity bias")}
        for k in self._cutoffs:
            measures[f"coverage@{k}"] = Measure(float(self._listed[k].sum() / catalogue) if catalogue else None)
        return measures | bias

    def _list(self, k: int, candidates: np.ndarray) -> None:
        if not len(candidates):
            return
        missing = int(candidates.max()) + 1 - len(self._listed[k])
        if missing > 0:
            self._listed[k] = np.pad(self._listed[k], (0, missing))
        self._listed[k][candidates] = True

    def _add_percentiles(self, k: int, users: np.ndarray, percentiles: np.ndarray) -> None:
        count = self._truth.user_count
        self._percentile_sums[k] += np.bincount(users, weights=percentiles, minlength=count)
        self._percentile_rows[k] += np.bincount(users, minlength=count)

    def _popularity_bias(self, percentiles: np.ndarray) -> dict[str, np.ndarray]:
        truth, rows = self._truth, self._truth.relevant
        chosen = np.bincount(
            truth.users[rows], weights=look_up(percentiles, truth.candidates[rows]), minlength=truth.user_count
        )
        with np.errstate(invalid="ignore"):
            return {
                f"popularity bias@{k}": self._percentile_sums[k] / self._percentile_rows[k]
                - chosen / truth.relevant_counts
                for k in self._cutoffs
            }


def _join(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
