"""How good a model is: the root mean squared error over rows, beside that of predicting the mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from batchscore.errors import RefusedError
from batchscore.training.dataset import Split, ordered_batches
from batchscore.training.metrics import Rmse

_EVALUATION_BATCH_ROWS = 8192
_STEPS_AN_EPOCH = 40


class Evaluator:
    """Measures predictions on both parts of a split."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.mean_rating = float(split.training.ratings.mean(dtype=np.float64))
        self._training = ordered_batches(split.training, _EVALUATION_BATCH_ROWS)
        self._held_out = ordered_batches(split.held_out, _EVALUATION_BATCH_ROWS)

    def measure_mean(self) -> Rmse:
        """The RMSE of predicting the mean of the training ratings for every pair."""
        return Rmse(*(_rmse_of_constant(part.ratings, self.mean_rating) for part in self._parts()))

    def measure_model(self, model: Callable[[dict[str, tf.Tensor]], tf.Tensor]) -> Rmse:
        """The RMSE of `model`, which maps features to ratings `[batch]` or `[batch, 1]`. Reads every row once."""
        rating = self.split.training.rating_column

        @tf.function  # type: ignore[untyped-decorator] # TensorFlow has no types
        def squared_error(batch: dict[str, tf.Tensor]) -> tf.Tensor:
            features = {name: values for name, values in batch.items() if name != rating}
            predicted = tf.reshape(tf.cast(model(features), tf.float64), [-1])
            return tf.reduce_sum(tf.square(predicted - tf.cast(batch[rating], tf.float64)))

        batches = (self._training, self._held_out)
        return Rmse(
            *(
                math.sqrt(sum(float(squared_error(batch)) for batch in part) / len(rows))
                for part, rows in zip(batches, self._parts(), strict=True)
            )
        )

    def _parts(self) -> tuple[Any, Any]:
        return self.split.training, self.split.held_out


def require_better_than_mean(model: Rmse, mean: Rmse, training_rows: int, batch_rows: int) -> None:
    """Raises RefusedError (E-MODEL-QUALITY) unless `model` predicts the held-out ratings better than their mean."""
    if model.held_out < mean.held_out:
        return
    advice = "look at the training RMSE of each epoch: more epochs or other ratings may help"
    if training_rows < _STEPS_AN_EPOCH * batch_rows:
        steps = -(-training_rows // batch_rows)
        advice = (
            f"{batch_rows:,} rows a batch make only {steps} step(s) an epoch of {training_rows:,} training rows; "
            f"try --batch-rows {_suggest_batch_rows(training_rows)}"
        )
    raise RefusedError(
        "E-MODEL-QUALITY",
        "the model is no better than predicting the mean rating; it was not published",
        found=f"held-out RMSE {model.held_out:.4f}",
        expected=f"less than {mean.held_out:.4f}, the mean's",
        next_step=advice,
    )


def _suggest_batch_rows(training_rows: int) -> int:
    """A power of two that makes about `_STEPS_AN_EPOCH` steps an epoch."""
    return 1 << max(0, int(math.log2(max(1, training_rows / _STEPS_AN_EPOCH))))


def _rmse_of_constant(ratings: np.ndarray, prediction: float) -> float:
    return math.sqrt(float(np.square(ratings.astype(np.float64) - prediction).mean()))
