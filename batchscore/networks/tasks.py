"""What a model is trained for: the loss of each declared task, through TFRS's ranking task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from batchscore.networks.batch_columns import LIST, OBSERVED
from batchscore.settings.recipe import Click, Ranking, Rating, Task

_NEVER = -1e9
"""A logit whose exponential is 0."""


class Objectives:
    """The losses of all tasks together. Of several tasks, the metrics are named after their task."""

    def __init__(self, tasks: dict[str, Task]) -> None:
        self._objectives = {
            name: _Objective(task, f"{name}_" if len(tasks) > 1 else "") for name, task in tasks.items()
        }
        self.tfrs_tasks = {name: objective.tfrs_task for name, objective in self._objectives.items()}

    def compute_loss(self, inputs: dict[str, tf.Tensor], raw: dict[str, tf.Tensor]) -> tf.Tensor:
        """The sum of each task's loss times its weight; `raw` has the predictions, a click's as its logit."""
        return sum(
            objective.weight * objective.compute_loss(inputs, raw[name])
            for name, objective in self._objectives.items()
        )


class _Objective:
    """The loss of one task over a batch, given what the model predicts for it (raw: a click's logit)."""

    def __init__(self, task: Task, prefix: str = "") -> None:
        """`prefix` stands before the names of its metrics."""
        self.label = task.label
        self.weight = task.weight
        self.tfrs_task = _make_tfrs_task(task, prefix)
        self._in_lists = isinstance(task, Ranking)
        self._drawn = isinstance(task, Click) and task.negatives > 0

    def compute_loss(self, inputs: dict[str, tf.Tensor], predictions: tf.Tensor) -> tf.Tensor:
        """The mean loss of the rows (or lists) of a batch that have a label for this task.

        `predictions` is float32 `[batch]`. Drawn negatives have a label for the task that drew them alone.
        """
        if self._drawn:
            labels = inputs[OBSERVED]
        else:
            labels = tf.cast(inputs[self.label], tf.float32)
            if OBSERVED in inputs and not self._in_lists:
                return self._loss_of_observed(inputs[OBSERVED], labels, predictions)
        if self._in_lists:
            return self._loss_of_lists(inputs, labels, predictions)
        return self.tfrs_task(labels=labels, predictions=predictions)

    def _loss_of_observed(self, observed: tf.Tensor, labels: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
        real = tf.cast(observed, tf.bool)
        return self.tfrs_task(  # [rows, 1], of which Keras takes the mean also if there are none: 0
            labels=tf.expand_dims(tf.boolean_mask(labels, real), 1),
            predictions=tf.expand_dims(tf.boolean_mask(predictions, real), 1),
        )

    def _loss_of_lists(self, inputs: dict[str, tf.Tensor], labels: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
        lists = inputs[LIST]
        if OBSERVED in inputs:
            real = tf.cast(inputs[OBSERVED], tf.bool)
            lists, labels, predictions = (tf.boolean_mask(column, real) for column in (lists, labels, predictions))
        rows = tf.RaggedTensor.from_value_rowids(predictions, lists)
        return self.tfrs_task(
            labels=rows.with_values(labels).to_tensor(),
            predictions=rows.to_tensor(),
            sample_weight=tf.sequence_mask(rows.row_lengths(), dtype=tf.float32),
        )


def _make_tfrs_task(task: Task, prefix: str) -> tfrs.tasks.Ranking:
    match task:
        case Rating():
            metric = tf.keras.metrics.RootMeanSquaredError(name=f"{prefix}root_mean_squared_error")
            return tfrs.tasks.Ranking(loss=tf.keras.losses.MeanSquaredError(), metrics=[metric])
        case Click():
            metric = tf.keras.metrics.AUC(from_logits=True, name=f"{prefix}auc")
            return tfrs.tasks.Ranking(loss=tf.keras.losses.BinaryCrossentropy(from_logits=True), metrics=[metric])
        case Ranking():
            loss: Callable[..., Any] = pairwise_loss if task.kind == "pairwise" else listwise_loss
            return tfrs.tasks.Ranking(loss=loss)


def pairwise_loss(y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor) -> tf.Tensor:
    """The logistic loss of the pairs that each list orders: log(1 + exp(worse - better)).

    All are `[lists, longest]`; `sample_weight` is 0 if a list has ended. A list counts with the mean of its
    pairs of different labels; the loss is the mean of the lists that have such a pair, 0 if none has.
    """
    above = _above(y_true, sample_weight)
    losses = tf.nn.softplus(y_pred[:, tf.newaxis, :] - y_pred[:, :, tf.newaxis]) * above
    return _mean_of_lists(tf.reduce_sum(losses, axis=[1, 2]), tf.reduce_sum(above, axis=[1, 2]))


def listwise_loss(y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor) -> tf.Tensor:
    """ListMLE: how unlikely it is to draw each row before all that are worse, by the exponentials of predictions.

    All are `[lists, longest]`; `sample_weight` is 0 if a list has ended. Rows of equal labels do not compete, so
    that their order does not matter. A list counts with the mean of its rows that have a worse one; the loss is the
    mean of the lists that have such a row, 0 if none has.
    """
    above = _above(y_true, sample_weight)
    lead = tf.where(above > 0, y_pred[:, tf.newaxis, :] - y_pred[:, :, tf.newaxis], _NEVER)
    itself = tf.zeros_like(lead[:, :, :1])
    losses = tf.reduce_logsumexp(tf.concat([itself, lead], axis=2), axis=2)
    ordered = tf.reduce_max(above, axis=2)
    return _mean_of_lists(tf.reduce_sum(losses * ordered, axis=1), tf.reduce_sum(ordered, axis=1))


def _above(labels: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """1 where row i of a list has a greater label than row j, otherwise 0: float32 `[lists, i, j]`."""
    greater = tf.cast(labels[:, :, tf.newaxis] > labels[:, tf.newaxis, :], tf.float32)
    return greater * present[:, :, tf.newaxis] * present[:, tf.newaxis, :]


def _mean_of_lists(sums: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    lists = tf.cast(tf.math.count_nonzero(counts), tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(tf.math.divide_no_nan(sums, counts)), lists)
