"""Fitting a model: progress, figures after each epoch, the best epoch, and an end when the loss is not finite."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from batchscore.errors import ModelError
from batchscore.networks.training_batches import TrainingBatches
from batchscore.observer import Observer
from batchscore.training.checkpoints import Checkpoints
from batchscore.training.metrics import Epoch, Figures, Metric

_log = logging.getLogger(__name__)

PARTS = {"training": "train", "validation": "validation", "held_out": "held-out"}
"""How a line calls the parts of a split."""


@dataclass(frozen=True)
class Schedule:
    """How long to fit, and what the first task is evaluated by.

    With `patience` it ends after so many epochs in a row without a better validation figure, and the best epoch's
    weights are taken; without, after `epochs`. `stage` stands before the epochs' lines.
    """

    epochs: int
    patience: int
    task: str
    metric: Metric
    learning_rate: float
    stage: str = ""


@dataclass(frozen=True)
class Fitted:
    """All epochs that were made, and the one (from 1) whose weights the model has.

    The first `resumed` of them were made by an earlier process.
    """

    epochs: list[Epoch]
    best: int
    stopped_early: bool
    resumed: int

    def describe(self) -> dict[str, Any]:
        """The fields of the report."""
        return {
            "epochs": self.epochs,
            "best_epoch": self.best,
            "stopped_early": self.stopped_early,
            "resumed_epochs": self.resumed,
        }


class Fitting:
    """One model being fitted, from where an earlier process was killed or from the start."""

    def __init__(
        self,
        model: tf.keras.Model,
        batches: TrainingBatches,
        measure: Callable[[], dict[str, Figures]],
        schedule: Schedule,
        checkpoints: Checkpoints,
    ) -> None:
        """Takes up the last state in `checkpoints`, if there is one. `measure` gives the figures now, by part."""
        self._model = model
        self._batches = batches
        self._measure = measure
        self._schedule = schedule
        self._checkpoints = checkpoints
        self.epochs = checkpoints.resume()
        self.resumed = len(self.epochs)
        if self.resumed:
            _log.info("%s%d of %d epochs are done already: resuming", schedule.stage, self.resumed, schedule.epochs)

    @property
    def rows_left(self) -> int:
        """Training rows that will pass by, if it does not stop early."""
        return 0 if self._is_over() else self._batches.rows * (self._schedule.epochs - len(self.epochs))

    def run(self, observer: Observer, told: Callable[[Epoch], None]) -> Fitted:
        """Fit to the end, or until there was no better epoch for too long; the model then has the best weights.

        A line for each epoch goes to the log, and the epoch to `told`. Raises ModelError (E-TRAINING-DIVERGED) as
        soon as the loss of a batch or a prediction is not finite, and OutputError.
        """
        while not self._is_over():
            epoch = self._make_epoch(observer)
            self.epochs.append(epoch)
            self._checkpoints.save(self.epochs, self._best())
            _log.info("%s", self._line(epoch))
            told(epoch)
        best = self._best()
        if best != len(self.epochs):
            self._checkpoints.restore(best)
        return Fitted(
            self.epochs, best, stopped_early=len(self.epochs) < self._schedule.epochs, resumed=self.resumed
        )

    def _make_epoch(self, observer: Observer) -> Epoch:
        number = len(self.epochs)
        watch = _Watch(number + 1, self._batches, self._schedule.learning_rate, observer)
        self._model.fit(
            self._batches.epoch(number), initial_epoch=number, epochs=number + 1, callbacks=[watch], verbose=0
        )
        return Epoch(number + 1, watch.loss, **self._measure())

    def _is_over(self) -> bool:
        made, patience = len(self.epochs), self._schedule.patience
        return made >= self._schedule.epochs or bool(patience and made and made - self._best() >= patience)

    def _best(self) -> int:
        """The epoch with the best validation figure, the first of equals; without validation the last one."""
        if not self._schedule.patience:
            return len(self.epochs)
        best = self.epochs[0]
        for epoch in self.epochs[1:]:
            value, against = self._evaluate(epoch), self._evaluate(best)
            if value is not None and (against is None or self._schedule.metric.is_better(value, against)):
                best = epoch
        return best.epoch

    def _evaluate(self, epoch: Epoch) -> float | None:
        return (epoch.validation or {}).get(self._schedule.task, {}).get(self._schedule.metric.name)

    def _line(self, epoch: Epoch) -> str:
        total = self._schedule.epochs
        figures = {"training": epoch.training, "validation": epoch.validation, "held_out": epoch.held_out}
        told = [_tell(PARTS[part], tasks) for part, tasks in figures.items() if tasks is not None]
        best = "  best" if self._schedule.patience and self._best() == epoch.epoch else ""
        return f"{self._schedule.stage}epoch {epoch.epoch:>{len(str(total))}}/{total}  {'  '.join(told)}{best}"


def _tell(part: str, figures: Figures) -> str:
    """`train RMSE   0.8123`; with several tasks each by its name."""
    named = len(figures) > 1
    return f"{part} " + ", ".join(
        f"{f'{task} ' if named else ''}{metric} {'-' if value is None else f'{value:.4f}':>8}"
        for task, metrics in figures.items()
        for metric, value in list(metrics.items())[:1]
    )


class _Watch(tf.keras.callbacks.Callback):  # type: ignore[misc] # TensorFlow has no types
    """Sees every batch of an epoch."""

    def __init__(self, epoch: int, batches: TrainingBatches, learning_rate: float, observer: Observer) -> None:
        super().__init__()
        self._losses: list[float] = []
        self._epoch = epoch
        self._batches = batches
        self._learning_rate = learning_rate
        self._observer = observer
        self._rows_left = batches.rows

    @property
    def loss(self) -> float:
        """The mean of the batches' losses."""
        return sum(self._losses) / len(self._losses)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        loss = float(logs.get("total_loss", logs["loss"]))
        self._losses.append(loss)
        if not math.isfinite(loss):
            raise ModelError(
                "E-TRAINING-DIVERGED",
                f"training diverged in epoch {self._epoch}; nothing was published",
                found=f"a loss of {loss} in batch {batch}",
                expected="finite numbers",
                next_step=f"lower --learning-rate (it was {self._learning_rate:g})",
            )
        self._advance(min(self._batches.batch_rows, self._rows_left))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        self._advance(self._rows_left)
        _log.debug("while the weights moved: %s", ", ".join(f"{name} {value:.4f}" for name, value in logs.items()))

    def _advance(self, rows: int) -> None:
        if rows:
            self._rows_left -= rows
            self._observer.advance(rows)
