"""How good a model is: the root mean squared error over rows, beside that of predicting the mean."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from batchscore.errors import RefusedError
from batchscore.training.dataset import read_batches
from batchscore.training.metrics import Rmse
from batchscore.training.splits import Split

_STEPS_AN_EPOCH = 40


class Evaluator:
    """Measures a model on both sides of a split."""

    def __init__(self, model: Callable[[dict[str, tf.Tensor]], tf.Tensor], split: Split) -> None:
        """`model` maps features, by column name, to predicted ratings `[batch]` or `[batch, 1]`."""
        rating = split.label
        if rating is None:
            raise ValueError("without a label column there is no error to measure")

        self._training, self._held_out = read_batches(split.training), read_batches(split.held_out)

        @tf.function(input_signature=[self._training.element_spec])  # type: ignore[untyped-decorator] # no types
        def squared_error(batch: dict[str, tf.Tensor]) -> tf.Tensor:
            features = {name: values for name, values in batch.items() if name != rating}
            predicted = tf.reshape(tf.cast(model(features), tf.float64), [-1])
            return tf.reduce_sum(tf.square(predicted - tf.cast(batch[rating], tf.float64)))

        self.split = split
        self.mean = measure_mean(split)
        self._squared_error = squared_error

    def measure(self) -> Rmse:
        """The model's RMSE now. Each row counts once, summed in float64; costs one prediction of all rows."""
        return Rmse(
            self._rmse(self._training, self.split.training.num_rows),
            self._rmse(self._held_out, self.split.held_out.num_rows),
        )

    def _rmse(self, batches: tf.data.Dataset, rows: int) -> float:
        return math.sqrt(sum(float(self._squared_error(batch)) for batch in batches) / rows)


def measure_mean(split: Split) -> Rmse:
    """The RMSE of predicting the mean of the training ratings for every pair."""
    training, held_out = (np.asarray(side[split.label]) for side in (split.training, split.held_out))
    mean = training.mean(dtype=np.float64)
    return Rmse(_rmse_of_constant(training, mean), _rmse_of_constant(held_out, mean))


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
