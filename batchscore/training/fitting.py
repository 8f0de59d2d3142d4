"""Fitting a model: progress, the errors after each epoch, and an end when the loss is not finite."""

from __future__ import annotations

import logging
import math
from typing import Any

import tensorflow as tf

from batchscore.config import TrainSettings
from batchscore.errors import ModelError, OutOfMemoryError
from batchscore.observer import Observer
from batchscore.training.dataset import TrainingBatches
from batchscore.training.evaluation import Evaluator
from batchscore.training.metrics import Epoch, Rmse

_LOG = logging.getLogger(__name__)


def fit(
    model: tf.keras.Model,
    batches: TrainingBatches,
    evaluator: Evaluator,
    settings: TrainSettings,
    observer: Observer,
) -> list[Epoch]:
    """Fit `model` for `settings.epochs` passes over the training `batches`; its errors after each of them.

    A line for each epoch goes to the log. Raises ModelError (E-TRAINING-DIVERGED) as soon as the loss of a batch or
    an error is not finite, OutOfMemoryError (E-MEMORY).
    """
    watch = _Watch(evaluator, settings, observer)
    try:
        for epoch in range(settings.epochs):
            model.fit(batches.epoch(epoch), initial_epoch=epoch, epochs=epoch + 1, callbacks=[watch], verbose=0)
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise OutOfMemoryError(
            "E-MEMORY",
            "memory ran out while the model was trained; nothing was published",
            next_step="lower --batch-rows, --shuffle-rows or --embedding-dimension, or give it more memory",
        ) from error
    return watch.epochs


class _Watch(tf.keras.callbacks.Callback):  # type: ignore[misc] # TensorFlow has no types
    """Sees every batch and every epoch."""

    def __init__(self, evaluator: Evaluator, settings: TrainSettings, observer: Observer) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self._evaluator = evaluator
        self._settings = settings
        self._observer = observer

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        if not math.isfinite(logs["loss"]):
            raise self._diverged(len(self.epochs) + 1, f"a loss of {logs['loss']} in batch {batch}")
        rows_left = self._evaluator.split.training.num_rows - batch * self._settings.batch_rows
        self._observer.advance(min(self._settings.batch_rows, rows_left))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        rmse = self._evaluator.measure()
        if not (math.isfinite(rmse.training) and math.isfinite(rmse.held_out)):
            raise self._diverged(epoch + 1, f"a training RMSE of {rmse.training}, held-out {rmse.held_out}")
        self.epochs.append(Epoch(epoch + 1, rmse))
        _LOG.info("%s", self._line(epoch + 1, rmse))
        _LOG.debug("while the weights moved: %s", ", ".join(f"{name} {value:.4f}" for name, value in logs.items()))

    def _line(self, epoch: int, rmse: Rmse) -> str:
        total = self._settings.epochs
        return (
            f"epoch {epoch:>{len(str(total))}}/{total}  train RMSE {rmse.training:8.4f}  "
            f"held-out RMSE {rmse.held_out:8.4f}  mean's {self._evaluator.mean.held_out:8.4f}"
        )

    def _diverged(self, epoch: int, found: str) -> ModelError:
        return ModelError(
            "E-TRAINING-DIVERGED",
            f"training diverged in epoch {epoch}; nothing was published",
            found=found,
            expected="finite numbers",
            next_step=f"lower --learning-rate (it was {self._settings.learning_rate:g})",
        )
