"""The model of the TFRS ranking tutorial: two embeddings, and a network that predicts the rating from both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
import tensorflow_recommenders as tfrs

from batchscore.config import TrainSettings

_UNKNOWN_INDEX = 0
_UNKNOWN_INDICES = 1


class RankingModel(tfrs.Model):  # type: ignore[misc] # TFRS has no types
    """Predicts the rating of a user for a candidate; higher is better.

    Called with the features (ids `[batch]`, by column name) it gives the predicted ratings, float32 `[batch]`. Ids
    outside the vocabularies share one embedding, which training never moves.
    """

    def __init__(self, users: pa.Array, candidates: pa.Array, settings: TrainSettings) -> None:
        """A model for these vocabularies (distinct ids, large_string or int64)."""
        super().__init__()
        self._user, self._candidate = settings.user_column, settings.candidate_column
        self._rating = settings.rating_column
        self.user_tower = _embed(users, settings.embedding_dimension)
        self.candidate_tower = _embed(candidates, settings.embedding_dimension)
        hidden = [tf.keras.layers.Dense(width, activation="relu") for width in settings.layers]
        self.ratings = tf.keras.Sequential([*hidden, tf.keras.layers.Dense(1)])
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(),
            metrics=[tf.keras.metrics.RootMeanSquaredError()],
        )

    def call(self, features: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        user = self.user_tower(features[self._user])
        candidate = self.candidate_tower(features[self._candidate])
        return tf.squeeze(self.ratings(tf.concat([user, candidate], axis=1), training=training), axis=1)

    def compute_loss(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The mean squared error over a batch of features and ratings."""
        return self.task(labels=inputs[self._rating], predictions=self(inputs, training=training))

    def known(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Whether each id is in its vocabulary: `user_known` and `candidate_known`, bool `[batch]`."""
        user, candidate = self.user_tower.layers[0], self.candidate_tower.layers[0]
        return {
            "user_known": tf.not_equal(user(features[self._user]), _UNKNOWN_INDEX),
            "candidate_known": tf.not_equal(candidate(features[self._candidate]), _UNKNOWN_INDEX),
        }


def build_ranking_model(training: pa.Table, settings: TrainSettings) -> RankingModel:
    """A compiled, untrained model whose vocabularies are the ids of the training rows, in ascending order."""
    users, candidates = training[settings.user_column], training[settings.candidate_column]
    model = RankingModel(_vocabulary(users), _vocabulary(candidates), settings)
    model.compile(optimizer=tf.keras.optimizers.Adagrad(settings.learning_rate))
    return model


def _vocabulary(ids: pa.ChunkedArray) -> pa.Array:
    distinct = pc.unique(ids)
    return distinct.take(pc.sort_indices(distinct))


def _embed(vocabulary: pa.Array, dimension: int) -> tf.keras.Sequential:
    """Ids `[batch]` -> embeddings float32 `[batch, dimension]`."""
    integers = pa.types.is_integer(vocabulary.type)
    lookup: Any = tf.keras.layers.IntegerLookup if integers else tf.keras.layers.StringLookup
    ids: np.ndarray = vocabulary.to_numpy(zero_copy_only=False)
    return tf.keras.Sequential(
        [
            # no token stands for unknown ids: "[UNK]" and -1 may be ids themselves
            lookup(vocabulary=ids, num_oov_indices=_UNKNOWN_INDICES, oov_token=None, mask_token=None),
            tf.keras.layers.Embedding(len(ids) + _UNKNOWN_INDICES, dimension),
        ]
    )
