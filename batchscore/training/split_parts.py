"""The parts of a split as a model is evaluated by them: rows, what each task says of them, and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.arrays.codes import encode, order_of
from batchscore.evaluation.baselines import numbers
from batchscore.evaluation.prediction_metrics import measure_clicks
from batchscore.evaluation.ranking_metrics import measure_best_lists, measure_lists, rank_pairs
from batchscore.evaluation.truth import Truth, least_label, make_truth
from batchscore.interactions.negatives import add_negatives, drawing_task
from batchscore.interactions.splits import Split
from batchscore.interactions.table_rows import TableRows
from batchscore.interactions.training_statistics import TrainingStatistics
from batchscore.settings.recipe import Click, Rating, Task
from batchscore.settings.train import TrainSettings
from batchscore.training.metrics import NDCG, ORDER_CUTOFF, RMSE

MEASURED_ROWS = 1_000_000
"""Of more training rows only about so many are measured after each epoch, drawn with the seed."""


class SplitPart:
    """Rows to be predicted: those of the input, then drawn negatives if a task has them."""

    def __init__(self, rows: pa.Table, statistics: TrainingStatistics, settings: TrainSettings) -> None:
        self._input_rows = rows.num_rows
        self._settings = settings
        self._label_means = statistics.label_means
        task = drawing_task(settings)
        if task is not None and statistics.candidates is not None:
            rows = add_negatives(rows, statistics.candidates, task, settings)
        self.rows = rows
        self._evaluators: dict[str, _Evaluator] = {}

    def rows_of(self, task: Task) -> pa.Table:
        """The rows that have a label for `task`."""
        return self.rows if not task.has_label_column else self.rows.slice(0, self._input_rows)

    def relevant(self, task: Task) -> float:
        """The least label of a row that a good list should hold: as declared, otherwise the training rows' mean."""
        if isinstance(task, Click):
            return 1.0
        return self._label_means[task.label] if task.relevant is None else task.relevant

    def measure(self, name: str, predicted: np.ndarray) -> dict[str, float | None]:
        """The figures of task `name`, for finite predictions of all rows (a click's are probabilities)."""
        task = self._settings.all_tasks()[name]
        if name not in self._evaluators:
            self._evaluators[name] = _Evaluator(self.rows_of(task), task, self.relevant(task), self._settings)
        evaluator = self._evaluators[name]
        return evaluator.measure(predicted[: evaluator.rows.num_rows])


@dataclass(frozen=True)
class _Evaluator:
    """One task's labels for some rows."""

    rows: pa.Table
    task: Task
    relevant: float
    settings: TrainSettings

    def measure(self, predicted: np.ndarray) -> dict[str, float | None]:
        if isinstance(self.task, Rating):
            return {RMSE.name: float(np.sqrt(np.square(predicted.astype(np.float64) - self._labels).mean()))}
        if isinstance(self.task, Click):
            one_user = np.zeros(len(predicted), np.int64)
            measured = measure_clicks(self._labels, predicted, one_user, replicates=0)
            return {name: measured[name].value for name in ("log loss", "AUC")}
        users, candidates, truth, best = self._lists
        order, ranks = rank_pairs(users, candidates, predicted)
        found = truth.find(users[order], candidates[order])
        by_user = measure_lists(truth, best, found, ranks)[NDCG.name]
        return {NDCG.name: None if np.isnan(by_user).all() else float(np.nanmean(by_user))}

    @cached_property
    def _labels(self) -> np.ndarray:
        return numbers(self.rows[self.task.label])

    @cached_property
    def _lists(self) -> tuple[np.ndarray, np.ndarray, Truth, dict[int, np.ndarray]]:
        """Codes of users and candidates (in the order of their ids), what is true, and the best lists' gains."""
        users, known = encode(self.rows[self.settings.user_column])
        codes, ids = encode(self.rows[self.settings.candidate_column])
        candidates = order_of(ids)[codes]
        relevant = least_label(self.relevant, self.rows.schema.field(self.task.label).type)
        truth = make_truth(users, candidates, self._labels, user_count=len(known), relevant=relevant)
        return users, candidates, truth, measure_best_lists(truth, (ORDER_CUTOFF,))


def can_evaluate_order(rows: pa.Table, label: str, user_column: str) -> bool:
    """Whether any user has two rows of different labels, so that their order can be right or wrong."""
    found = rows.select([user_column, label]).group_by(user_column).aggregate([(label, "min"), (label, "max")])
    return bool(pc.any(pc.not_equal(found[f"{label}_min"], found[f"{label}_max"])).as_py())


def make_parts(split: Split, statistics: TrainingStatistics, settings: TrainSettings) -> dict[str, SplitPart]:
    """The parts that are measured after each epoch: `training` (about a million rows of it), and `validation`.

    Without a validation part it is `held_out`, which then decides nothing.
    """
    watched = {"validation": split.validation} if split.validation.num_rows else {"held_out": split.held_out}
    training = draw_rows(split.training, settings)
    return {name: SplitPart(rows, statistics, settings) for name, rows in {"training": training, **watched}.items()}


def draw_rows(rows: pa.Table, settings: TrainSettings, limit: int = MEASURED_ROWS) -> pa.Table:
    """About `limit` rows, all of them if there are no more: whole users, drawn with the seed."""
    if rows.num_rows <= limit:
        return rows
    users, known = encode(rows[settings.user_column])
    shown = np.random.default_rng(settings.seed).permutation(len(known))
    total = np.cumsum(np.bincount(users, minlength=len(known))[shown])
    chosen = np.zeros(len(known), bool)
    chosen[shown[: int(np.searchsorted(total, limit)) + 1]] = True
    return TableRows(rows).take(np.flatnonzero(chosen[users]))
