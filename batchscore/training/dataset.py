"""Interactions split into training and held-out rows, and as `tf.data`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from batchscore.config import TrainSettings
from batchscore.errors import InputError
from batchscore.training.interactions import Interactions


@dataclass(frozen=True)
class Split:
    """The rows that the model learns from and those that it is tested on; no row is in both."""

    training: Interactions
    held_out: Interactions

    def describe(self) -> dict[str, int]:
        """Rows on each side, and the distinct users and candidates of the training rows."""
        return {
            "training_rows": len(self.training),
            "held_out_rows": len(self.held_out),
            "users": pc.count_distinct(self.training.user_ids).as_py(),
            "candidates": pc.count_distinct(self.training.candidate_ids).as_py(),
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


def training_batches(interactions: Interactions, settings: TrainSettings) -> tf.data.Dataset:
    """Batches of `columns(interactions)` in an order drawn with the seed, the same in every epoch (cached)."""
    rows = tf.data.Dataset.from_tensor_slices(columns(interactions))
    shuffled = rows.shuffle(settings.shuffle_rows, seed=settings.seed, reshuffle_each_iteration=False)
    return shuffled.batch(settings.batch_rows).cache().prefetch(tf.data.AUTOTUNE)


def ordered_batches(interactions: Interactions, batch_rows: int) -> tf.data.Dataset:
    """Batches of `columns(interactions)` in their own order."""
    return tf.data.Dataset.from_tensor_slices(columns(interactions)).batch(batch_rows).prefetch(tf.data.AUTOTUNE)


def columns(interactions: Interactions) -> dict[str, Any]:
    """Every column as a tensor of shape [rows], by name: ids string or int64, the rating float32."""
    return {**to_tensors(interactions.features), interactions.rating_column: tf.constant(interactions.ratings)}


def to_tensors(features: Mapping[str, pa.Array]) -> dict[str, tf.Tensor]:
    """Arrow columns as tensors of shape [rows]."""
    return {name: tf.constant(values.to_numpy(zero_copy_only=False)) for name, values in features.items()}
