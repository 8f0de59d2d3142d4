"""Interactions split into training and held-out rows, and as `tf.data`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from batchscore.config import TrainSettings
from batchscore.errors import InputError
from batchscore.training.interactions import Interactions

_HELD_OUT_BATCH_ROWS = 8192


@dataclass(frozen=True)
class Split:
    """The rows that the model learns from and those that it is tested on; no row is in both."""

    training: Interactions
    held_out: Interactions

    def describe(self) -> dict[str, int | float]:
        """Rows on each side; distinct users and candidates and the mean rating of the training rows."""
        return {
            "training_rows": len(self.training),
            "held_out_rows": len(self.held_out),
            "users": pc.count_distinct(self.training.user_ids).as_py(),
            "candidates": pc.count_distinct(self.training.candidate_ids).as_py(),
            "mean_rating": float(self.training.ratings.mean(dtype=np.float64)),
        }


def split_interactions(interactions: Interactions, settings: TrainSettings) -> Split:
    """A random split: of the rows in an order drawn with the seed, the last share `held_out` is held out.

    Raises InputError (E-INTERACTIONS) where either side would be empty.
    """
    order = np.random.default_rng(settings.seed).permutation(len(interactions))
    training_rows = round((1 - settings.held_out) * len(order))
    if not 0 < training_rows < len(order):
        raise InputError(
            "E-INTERACTIONS",
            "there are too few interactions to hold some out",
            where=settings.input,
            found=f"{len(order)} rows, {training_rows} of them for training with held_out {settings.held_out:g}",
            expected="at least one row on each side",
            next_step="give more interactions, or change --held-out",
        )
    return Split(interactions.take(order[:training_rows]), interactions.take(order[training_rows:]))


@dataclass(frozen=True)
class Batches:
    """Both sides of a split as batches of every column by name, `[batch]`: ids string or int64, rating float32."""

    training: tf.data.Dataset
    held_out: tf.data.Dataset


def make_batches(split: Split, settings: TrainSettings) -> Batches:
    """Training rows in an order drawn with the seed, the same in every epoch (cached); held-out rows in theirs."""
    training, held_out = (
        tf.data.Dataset.from_tensor_slices(_columns(side)) for side in (split.training, split.held_out)
    )
    shuffled = training.shuffle(settings.shuffle_rows, seed=settings.seed, reshuffle_each_iteration=False)
    return Batches(
        shuffled.batch(settings.batch_rows).cache().prefetch(tf.data.AUTOTUNE),
        held_out.batch(_HELD_OUT_BATCH_ROWS).prefetch(tf.data.AUTOTUNE),
    )


def to_tensors(features: Mapping[str, pa.Array]) -> dict[str, tf.Tensor]:
    """Arrow columns as tensors of shape [rows]."""
    return {name: tf.constant(values.to_numpy(zero_copy_only=False)) for name, values in features.items()}


def _columns(interactions: Interactions) -> dict[str, tf.Tensor]:
    return {**to_tensors(interactions.features), interactions.rating_column: tf.constant(interactions.ratings)}
