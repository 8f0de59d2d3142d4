"""The figures that training is evaluated by."""

from __future__ import annotations

from dataclasses import dataclass

from batchscore.settings.recipe import Click, Rating, Task

Figures = dict[str, dict[str, float | None]]
"""Metrics by task, then by name; None if one is not defined for the rows."""


@dataclass(frozen=True)
class Metric:
    """What a task is evaluated by first, and the baseline that a model must beat in it to be published."""

    name: str
    lower_is_better: bool
    baseline: str
    baseline_text: str

    def is_better(self, value: float, than: float) -> bool:
        """Whether `value` is strictly better; NaN is not."""
        return value < than if self.lower_is_better else value > than

    def loss(self, value: float, against: float) -> float:
        """By which share of `against` the value is worse; negative if it is better."""
        change = value - against if self.lower_is_better else against - value
        return change / abs(against) if against else (0.0 if change == 0 else float("inf") * change)


ORDER_CUTOFF = 10

RMSE = Metric("RMSE", lower_is_better=True, baseline="mean", baseline_text="predicting the mean rating")
LOG_LOSS = Metric("log loss", lower_is_better=True, baseline="mean", baseline_text="predicting the base rate")
NDCG = Metric(
    f"NDCG@{ORDER_CUTOFF}", lower_is_better=False, baseline="popularity", baseline_text="the order by popularity"
)


def metric_of(task: Task) -> Metric:
    """The first metric of a task: RMSE of a rating, log loss of a click, NDCG@10 of an order."""
    match task:
        case Rating():
            return RMSE
        case Click():
            return LOG_LOSS
        case _:
            return NDCG


@dataclass(frozen=True)
class Epoch:
    """The figures of a model at the end of an epoch."""

    epoch: int
    """Its number, from 1."""
    loss: float
    """The mean loss of its batches, while the weights moved."""
    training: Figures
    """Figures on the training rows."""
    validation: Figures | None = None
    """Figures on the validation rows, which decide when to stop; null if there are none."""
    held_out: Figures | None = None
    """Figures on the held-out rows, which decide nothing; null if there are validation rows."""
