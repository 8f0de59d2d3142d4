"""Interactions as `tf.data`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import tensorflow as tf

from batchscore.config import TrainSettings
from batchscore.training.splits import Split

_HELD_OUT_BATCH_ROWS = 8192


@dataclass(frozen=True)
class Batches:
    """Both sides of a split as batches of every column by name, `[batch]`: ids string or int64, rating float32."""

    training: tf.data.Dataset
    held_out: tf.data.Dataset


def make_batches(split: Split, settings: TrainSettings) -> Batches:
    """Training rows in an order drawn with the seed, the same in every epoch (cached); held-out rows in theirs."""
    training, held_out = (
        tf.data.Dataset.from_tensor_slices(to_tensors(dict(zip(side.column_names, side.columns, strict=True))))
        for side in (split.training, split.held_out)
    )
    shuffled = training.shuffle(settings.shuffle_rows, seed=settings.seed, reshuffle_each_iteration=False)
    return Batches(
        shuffled.batch(settings.batch_rows).cache().prefetch(tf.data.AUTOTUNE),
        held_out.batch(_HELD_OUT_BATCH_ROWS).prefetch(tf.data.AUTOTUNE),
    )


def to_tensors(features: Mapping[str, pa.Array | pa.ChunkedArray]) -> dict[str, tf.Tensor]:
    """Arrow columns as tensors of shape [rows]."""
    return {name: tf.constant(np.asarray(values)) for name, values in features.items()}
