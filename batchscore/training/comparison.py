"""The model beside baselines and the live version, on the held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from batchscore.evaluation.baselines import Baselines, numbers
from batchscore.evaluation.compare_predictions import Kind, compare_predictions
from batchscore.evaluation.comparison_table import ComparisonTable
from batchscore.evaluation.prediction_metrics import CalibrationBin, calibrate
from batchscore.interactions.negatives import add_negatives, drawing_task
from batchscore.interactions.splits import Split
from batchscore.interactions.training_statistics import TrainingStatistics
from batchscore.settings.recipe import Click, Rating, Task
from batchscore.settings.train import TrainSettings
from batchscore.training.metrics import ORDER_CUTOFF, Metric, metric_of
from batchscore.training.split_parts import MEASURED_ROWS, SplitPart, can_evaluate_order, draw_rows

MODEL = "model"


@dataclass(frozen=True)
class Comparison:
    """The figures of every task on the held-out rows: model and baselines, each with its interval.

    `relevant` is, by task, the least label of a row that a good list should hold. `first_task` is the first task,
    `value` and `baseline` its metric of the model and of the baseline to beat; None if it is not defined, or
    (of an order) if no user has two held-out rows that differ.
    """

    tables: dict[str, ComparisonTable]
    relevant: dict[str, float]
    calibration: dict[str, list[CalibrationBin]]
    first_task: str
    metric: Metric
    value: float | None
    baseline: float | None = field(default=None)

    def describe(self) -> dict[str, Any]:
        """What model card and report say of the first task."""
        return {
            "task": self.first_task,
            "metric": self.metric.name,
            "value": self.value,
            "baseline": self.metric.baseline,
            "baseline_value": self.baseline,
        }


def compare_models(
    predictions: Mapping[str, np.ndarray],
    held_out: SplitPart,
    split: Split,
    statistics: TrainingStatistics,
    settings: TrainSettings,
) -> Comparison:
    """Hold `predictions` (by task, for all rows of `held_out`) against baselines fitted on the training rows."""
    tables: dict[str, ComparisonTable] = {}
    calibration: dict[str, list[CalibrationBin]] = {}
    relevant: dict[str, float] = {}
    for name, task in settings.all_tasks().items():
        if name not in predictions:
            continue
        rows = held_out.rows_of(task)
        relevant[name] = held_out.relevant(task)
        predicted = predictions[name][: rows.num_rows]
        tables[name] = compare_predictions(
            rows,
            {MODEL: predicted},
            _fit_baselines(task, split, statistics, settings),
            kind=_kind(task),
            relevant=relevant[name],
            cutoffs=(ORDER_CUTOFF,),
            seed=settings.seed,
        )
        if isinstance(task, Rating | Click):
            calibration[name] = calibrate(numbers(rows[task.label]), predicted)
    first_task, task = next(iter(settings.all_tasks().items()))
    metric = metric_of(task)
    value, baseline = (tables[first_task].measure(row, metric.name).value for row in (MODEL, metric.baseline))
    if _kind(task) == "order" and not can_evaluate_order(held_out.rows_of(task), task.label, settings.user_column):
        value = baseline = None
    return Comparison(tables, relevant, calibration, first_task, metric, value, baseline)


def _fit_baselines(task: Task, split: Split, statistics: TrainingStatistics, settings: TrainSettings) -> Baselines:
    columns = [settings.user_column, settings.candidate_column]
    if task.has_label_column:
        training = split.training.select([*columns, task.label])
    else:
        drawing, candidates = drawing_task(settings), statistics.candidates
        if drawing is None or candidates is None:
            raise AssertionError
        some = draw_rows(split.training.select(columns), settings, MEASURED_ROWS // (1 + drawing.negatives))
        training = add_negatives(some, candidates, drawing, settings)
    return Baselines(
        training,
        user_column=settings.user_column,
        candidate_column=settings.candidate_column,
        label_column=task.label,
    )


def _kind(task: Task) -> Kind:
    return "rating" if isinstance(task, Rating) else "click" if isinstance(task, Click) else "order"
