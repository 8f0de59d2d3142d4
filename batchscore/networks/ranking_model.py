"""The model that a training job declares: features, towers, interaction, hidden layers, one output for each task.

Without declarations it is the model of the TFRS ranking tutorial: two embeddings, and a network that predicts the
rating from both.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from batchscore.columns import SCORE
from batchscore.errors import UsageError
from batchscore.interactions.training_statistics import TrainingStatistics
from batchscore.networks.feature_layers import Embedded, make_feature_layer
from batchscore.networks.tasks import Objectives
from batchscore.networks.training_batches import to_dtype
from batchscore.settings.recipe import Click, Ranking, Role, Task, Vocabulary
from batchscore.settings.train import TrainSettings

Features = dict[str, tf.Tensor]


class RankingModel(tfrs.Model):  # type: ignore[misc] # TFRS has no types
    """Predicts what each task declares of a user and a candidate.

    Called with the raw features (`[batch]`, by column name) it gives each task's prediction by its name, float32
    `[batch]`: a rating, the probability of a click, or a number by which a user's candidates are ordered. Values
    outside a vocabulary share embeddings.
    """

    def __init__(self, statistics: TrainingStatistics, settings: TrainSettings) -> None:
        """An untrained model. Raises UsageError (E-CONFIG) if the sides of a dot product differ in width."""
        super().__init__()
        self._settings = settings
        model, tasks = settings.model, settings.all_tasks()
        self.user_tower = _make_tower("user", model.user_layers, statistics, settings)
        self.candidate_tower = _make_tower("candidate", model.candidate_layers, statistics, settings)
        self.context = _make_layers("context", statistics, settings)
        if model.interaction == "dot" and self.user_tower.width != self.candidate_tower.width:
            raise _unequal_widths(self.user_tower.width, self.candidate_tower.width)
        self.crosses = [
            tfrs.layers.dcn.Cross(
                projection_dim=model.cross_rank,
                kernel_initializer="glorot_uniform",
                kernel_regularizer=_l2(settings),
                name=f"cross_{place}",
            )
            for place in range(model.cross_layers if model.interaction == "cross" else 0)
        ]
        self.hidden = _dense(settings.layers, "relu", settings, "hidden")
        self.heads = {
            name: tf.keras.layers.Dense(
                1,
                bias_initializer=tf.keras.initializers.Constant(_start(task, statistics) if model.biases else 0.0),
                kernel_regularizer=_l2(settings),
                name=f"{name}_head",
            )
            for name, task in tasks.items()
        }
        self.biases = [
            Embedded(
                ids.index,
                ids.size,
                len(tasks),
                l2=model.embedding_l2,
                name=f"{ids.name}_bias",
                initializer="zeros",
            )
            for ids in (self._ids() if model.biases else ())
        ]
        self._objectives = Objectives(tasks)
        self.tasks = self._objectives.tfrs_tasks

    def call(self, features: Features, training: bool = False) -> dict[str, tf.Tensor]:
        return self._as_predictions(self._predict(features, training))

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """The loss of each task over a batch of features and labels, times its weight, summed."""
        return self._objectives.compute_loss(inputs, self._predict(inputs, training))

    def score(self, features: Features) -> tf.Tensor:
        """What candidates are ranked by, float32 `[batch]`: the first task's prediction; for a click its logit."""
        return next(iter(self._predict(features, training=False).values()))

    def serve(self, features: Features) -> dict[str, tf.Tensor]:
        """`score`, then the prediction of each task, from one pass."""
        raw = self._predict(features, training=False)
        return {SCORE: next(iter(raw.values())), **self._as_predictions(raw)}

    @property
    def known(self) -> Callable[[Features], dict[str, tf.Tensor]] | None:
        """Tells whether each id is in its vocabulary: `user_known` and `candidate_known`, bool `[batch]`.

        None if an id is hashed: then no id is unknown.
        """
        features = self._settings.all_features()
        user, candidate = self._ids()
        declared = features[user.name], features[candidate.name]
        if not all(isinstance(feature, Vocabulary) for feature in declared):
            return None
        oov_buckets = [feature.oov_buckets for feature in declared if isinstance(feature, Vocabulary)]

        def known(ids: Features) -> dict[str, tf.Tensor]:
            return {
                f"{role}_known": tf.greater_equal(layer.index(ids[layer.name]), first)
                for role, layer, first in zip(("user", "candidate"), (user, candidate), oov_buckets, strict=True)
            }

        return known

    def _ids(self) -> tuple[Embedded, Embedded]:
        return self.user_tower.features[0], self.candidate_tower.features[0]

    def _predict(self, features: Features, training: bool) -> dict[str, tf.Tensor]:
        user = self.user_tower(features, training=training)
        candidate = self.candidate_tower(features, training=training)
        # context features stay apart, so that the planner may compute each once a value of its own
        sides = [user, candidate, *(layer(features[layer.name]) for layer in self.context)]
        if self._settings.model.interaction == "dot":
            sides.append(tf.reduce_sum(user * candidate, axis=1, keepdims=True))
        joined = together = tf.concat(sides, axis=1)
        for cross in self.crosses:
            together = cross(joined, together)
        for layer in self.hidden:
            together = layer(together, training=training)
        biases = [bias(features[ids.name]) for bias, ids in zip(self.biases, self._ids(), strict=False)]
        return {
            name: tf.add_n([tf.squeeze(head(together), axis=1), *(bias[:, place] for bias in biases)])
            if biases
            else tf.squeeze(head(together), axis=1)
            for place, (name, head) in enumerate(self.heads.items())
        }

    def _as_predictions(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        tasks = self._settings.all_tasks()
        return {name: tf.sigmoid(v) if isinstance(tasks[name], Click) else v for name, v in raw.items()}


class Tower(tf.keras.layers.Layer):  # type: ignore[misc]
    """The features of one side, concatenated, then dense layers: raw columns -> float32 `[batch, width]`."""

    def __init__(
        self, features: list[tf.keras.layers.Layer], dense: list[tf.keras.layers.Layer], width: int, name: str
    ) -> None:
        super().__init__(name=name)
        self.features = features
        self.dense = dense
        self.width = width

    def call(self, columns: Features, training: bool = False) -> tf.Tensor:
        found = [layer(columns[layer.name]) for layer in self.features]
        together = tf.concat(found, axis=1) if len(found) > 1 else found[0]
        for layer in self.dense:
            together = layer(together, training=training)
        return together


class Dropout(tf.keras.layers.Layer):  # type: ignore[misc]
    """Leaves out a share of its inputs in a training step, drawn by the seed, its name and the number of the step.

    Keras's draws from a state that no checkpoint has, so that a training that goes on would end elsewhere.
    """

    def __init__(self, share: float, seed: int, name: str) -> None:
        super().__init__(name=name)
        self._share = share
        self._seed = [seed, zlib.crc32(name.encode())]
        self._steps = self.add_weight("steps", [], tf.int64, "zeros", trainable=False)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        seed = tf.random.experimental.stateless_fold_in(self._seed, self._steps.assign_add(1))
        return tf.nn.experimental.stateless_dropout(inputs, self._share, seed)


def build_ranking_model(statistics: TrainingStatistics, settings: TrainSettings) -> RankingModel:
    """A compiled, untrained model with its weights drawn and its optimizer's state made."""
    model = RankingModel(statistics, settings)
    model(one_empty_row(statistics))
    compile_model(model, settings)
    return model


def one_empty_row(statistics: TrainingStatistics) -> Features:
    """A batch of one row, of zeros and empty texts."""
    return {field.name: tf.zeros([1], to_dtype(field.type)) for field in statistics.schema}


def compile_model(model: tfrs.Model, settings: TrainSettings) -> None:
    """Give a model that has its weights the declared optimizer, with its state, so that a checkpoint has it all."""
    kinds: dict[str, Any] = {"adagrad": tf.keras.optimizers.Adagrad, "adam": tf.keras.optimizers.Adam}
    average = settings.model.weight_average
    make = kinds[settings.model.optimizer]
    # Keras puts the average in the place of the weights when `fit` ends, which here is after each epoch
    model.compile(optimizer=make(settings.learning_rate, use_ema=average > 0, ema_momentum=average))
    model.optimizer.build(model.trainable_variables)


def _make_tower(
    role: Role, widths: tuple[int, ...], statistics: TrainingStatistics, settings: TrainSettings
) -> Tower:
    features = _make_layers(role, statistics, settings)
    width = widths[-1] if widths else sum(layer.width for layer in features)
    return Tower(features, _dense(widths, None, settings, f"{role}_dense"), width, role)


def _make_layers(
    role: Role, statistics: TrainingStatistics, settings: TrainSettings
) -> list[tf.keras.layers.Layer]:
    declared = settings.all_features().items()
    return [make_feature_layer(name, statistics, settings) for name, feature in declared if feature.role == role]


def _dense(
    widths: tuple[int, ...], last_activation: str | None, settings: TrainSettings, name: str
) -> list[tf.keras.layers.Layer]:
    """Dense layers with relu (the last one as given), each followed by dropout if that is declared."""
    layers: list[tf.keras.layers.Layer] = []
    for place, width in enumerate(widths):
        last = place == len(widths) - 1
        activation = last_activation if last else "relu"
        layers.append(
            tf.keras.layers.Dense(width, activation, kernel_regularizer=_l2(settings), name=f"{name}_{place}")
        )
        if settings.model.dropout and activation is not None:
            layers.append(Dropout(settings.model.dropout, settings.seed, name=f"{name}_dropout_{place}"))
    return layers


def _l2(settings: TrainSettings) -> tf.keras.regularizers.Regularizer | None:
    return tf.keras.regularizers.L2(settings.model.l2) if settings.model.l2 else None


def _start(task: Task, statistics: TrainingStatistics) -> float:
    """What a model predicts before it has learned anything of users and candidates: the mean label."""
    match task:
        case Ranking():
            return 0.0
        case Click():
            share = 1 / (1 + task.negatives) if task.negatives else statistics.label_means[task.label]
            return math.log(share / (1 - share)) if 0 < share < 1 else 0.0
        case _:
            return statistics.label_means[task.label]


def _unequal_widths(user: int, candidate: int) -> UsageError:
    return UsageError(
        "E-CONFIG",
        "a dot product needs a user side and a candidate side of equal width",
        found=f"{user} numbers per user, {candidate} per candidate",
        next_step="end user_layers and candidate_layers in [model] with the same width",
    )
