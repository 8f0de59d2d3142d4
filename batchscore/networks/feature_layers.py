"""A declared feature as the Keras layer that turns its raw column `[batch]` into numbers `[batch, width]`.

All preprocessing happens in here, so that the exported model takes raw columns. Every layer treats each row alone,
in a form that the planner can prove: texts and lists are padded to the longest of the batch and then masked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from batchscore.interactions.training_statistics import Boundaries, Scaling, Span, TrainingStatistics, Values
from batchscore.settings.recipe import Buckets, Feature, Hashed, Labels, Number, Text, Timestamp, Vocabulary
from batchscore.settings.train import TrainSettings

_NOTHING = 0
"""The index of padding, and of an empty label."""
_UNKNOWN_WORDS = 1
_BUCKETS = 1000


def make_feature_layer(name: str, statistics: TrainingStatistics, settings: TrainSettings) -> tf.keras.layers.Layer:
    """The layer of feature `name`; its attribute `width` is the number of columns that it gives."""
    feature, known = settings.all_features()[name], statistics.features[name]
    dimension = feature.dimension or settings.embedding_dimension
    l2 = settings.model.embedding_l2
    match feature, known:
        case Number(), Scaling() | None:
            return Scaled(known, name=name)
        case Timestamp(), Span():
            return TimestampPart(*_make_intervals(known, feature), known.scaling, dimension, l2=l2, name=name)
        case Text(), Values():
            return Pooled(_cut_words(known), len(known.values) + 1 + _UNKNOWN_WORDS, dimension, l2, name=name)
        case Labels(), Values():
            parts = _Parts(known, feature, name="index")
            return Pooled(parts, len(known.values) + 1 + feature.oov_buckets, dimension, l2, name=name)
        case _:
            return Embedded(*_make_index(feature, known), dimension, l2=l2, name=name)


def _make_index(feature: Feature, known: Any) -> tuple[tf.keras.layers.Layer, int]:
    """The layer that gives each value of `feature` a number below the size, and the size."""
    match feature, known:
        case Vocabulary(), Values():
            return _look_up(known.values, feature.oov_buckets), len(known.values) + feature.oov_buckets
        case Hashed(), None:
            return tf.keras.layers.Hashing(feature.buckets, name="index"), feature.buckets
        case Buckets(), Boundaries():
            boundaries = list(known.boundaries)
            return tf.keras.layers.Discretization(boundaries, name="index"), len(boundaries) + 1
        case _:
            raise AssertionError(f"{feature.kind} with {known}")


def _make_intervals(known: Span, feature: Timestamp) -> tuple[tf.keras.layers.Layer, int]:
    """The layer that gives each moment the number of its interval, and how many numbers there are."""
    if feature.bucket_seconds is None or known.intervals is None:
        buckets = feature.buckets or _BUCKETS
        return _EqualIntervals(known, buckets, name="index"), buckets
    return _KnownIntervals(known.intervals, feature.bucket_seconds, name="index"), len(known.intervals) + 1


def _look_up(values: pa.Array, oov_buckets: int, mask_token: str | None = None) -> tf.keras.layers.Layer:
    """Unknown values come first, then `values` in their order."""
    integers = pa.types.is_integer(values.type)
    lookup: Any = tf.keras.layers.IntegerLookup if integers else tf.keras.layers.StringLookup
    known: np.ndarray = values.to_numpy(zero_copy_only=False)
    # no token stands for unknown values: "[UNK]" and -1 may be values themselves
    return lookup(
        vocabulary=known, num_oov_indices=oov_buckets, oov_token=None, mask_token=mask_token, name="index"
    )


class Embedded(tf.keras.layers.Layer):  # type: ignore[misc] # TensorFlow has no types
    """One embedding for each value: `[batch]` of text, whole numbers or numbers -> float32 `[batch, width]`."""

    def __init__(
        self,
        index: tf.keras.layers.Layer,
        size: int,
        dimension: int,
        *,
        l2: float,
        name: str,
        initializer: str = "uniform",
    ) -> None:
        """`index` gives each value a number below `size`, whose embedding has `dimension` numbers."""
        super().__init__(name=name)
        self.index = index
        self.size = size
        self.width = dimension
        self.embedding = tf.keras.layers.Embedding(size, dimension, initializer, name="embedding")
        self._l2 = l2

    def call(self, values: tf.Tensor) -> tf.Tensor:
        found = self.embedding(self.index(values))
        if self._l2:
            self.add_loss(self._l2 * mean_square_of_rows(found))
        return found


class Scaled(tf.keras.layers.Layer):  # type: ignore[misc]
    """A number less the mean, divided by the deviation (or as it is): float32 `[batch]` -> `[batch, 1]`."""

    def __init__(self, scaling: Scaling | None, name: str) -> None:
        super().__init__(name=name)
        self.width = 1
        self._scaling = scaling

    def call(self, values: tf.Tensor) -> tf.Tensor:
        return tf.expand_dims(_scale(values, self._scaling) if self._scaling else values, 1)


class TimestampPart(tf.keras.layers.Layer):  # type: ignore[misc]
    """The embedding of a moment's interval, and the moment scaled: int64 `[batch]` -> float32 `[batch, width]`."""

    def __init__(
        self,
        index: tf.keras.layers.Layer,
        size: int,
        scaling: Scaling,
        dimension: int,
        *,
        l2: float,
        name: str,
    ) -> None:
        """`index` gives each moment the number of its interval, below `size`."""
        super().__init__(name=name)
        self.index = index
        self.width = dimension + 1
        self.embedding = tf.keras.layers.Embedding(size, dimension, name="embedding")
        self._scaling = scaling
        self._l2 = l2

    def call(self, values: tf.Tensor) -> tf.Tensor:
        found = self.embedding(self.index(values))
        if self._l2:
            self.add_loss(self._l2 * mean_square_of_rows(found))
        return tf.concat([found, tf.expand_dims(_scale(values, self._scaling), 1)], axis=1)


class _EqualIntervals(tf.keras.layers.Layer):  # type: ignore[misc]
    """A moment's interval among those between the first and the last training row: int64 `[batch]` -> int32.

    Scaling before the first row and after the last one belong to the first and the last interval.
    """

    def __init__(self, span: Span, buckets: int, name: str) -> None:
        super().__init__(name=name)
        self._span = span
        self._buckets = buckets

    def call(self, values: tf.Tensor) -> tf.Tensor:
        length = max(self._span.last - self._span.first, 1)
        seconds = tf.cast(values, tf.float64)  # float32 would be minutes off
        place = tf.floor((seconds - self._span.first) * (self._buckets / length))
        return tf.cast(tf.clip_by_value(place, 0, self._buckets - 1), tf.int32)


class _KnownIntervals(tf.keras.layers.Layer):  # type: ignore[misc]
    """A moment's interval of so many seconds, 0 for all that have no embedding: int64 `[batch]` -> int64."""

    def __init__(self, intervals: pa.Array, seconds: int, name: str) -> None:
        super().__init__(name=name)
        self.lookup = _look_up(intervals, 1) if len(intervals) else None
        self._seconds = seconds

    def call(self, values: tf.Tensor) -> tf.Tensor:
        if self.lookup is None:
            return tf.zeros_like(values)
        return self.lookup(tf.math.floordiv(values, self._seconds))


class Pooled(tf.keras.layers.Layer):  # type: ignore[misc]
    """The mean of the embeddings of a text's parts, 0 for none: string `[batch]` -> float32 `[batch, width]`."""

    def __init__(self, index: tf.keras.layers.Layer, size: int, dimension: int, l2: float, name: str) -> None:
        """`index` gives each part of a text a number from 1 to below `size`, `[batch, longest]`, padded with 0."""
        super().__init__(name=name)
        self.index = index
        self.width = dimension
        self.embedding = tf.keras.layers.Embedding(size, dimension, name="embedding")
        self._l2 = l2

    def call(self, values: tf.Tensor) -> tf.Tensor:
        parts = self.index(values)
        present = tf.cast(tf.not_equal(parts, _NOTHING), tf.float32)
        found = self.embedding(parts) * tf.expand_dims(present, -1)
        if self._l2:
            self.add_loss(self._l2 * mean_square_of_rows(found))
        count = tf.reduce_sum(present, axis=1, keepdims=True)
        return tf.math.divide_no_nan(tf.reduce_sum(found, axis=1), count)


class _Parts(tf.keras.layers.Layer):  # type: ignore[misc]
    """The labels of a text between separators as numbers: string `[batch]` -> int64 `[batch, longest]`."""

    def __init__(self, known: Values, feature: Labels, name: str) -> None:
        super().__init__(name=name)
        self.lookup = _look_up(known.values, feature.oov_buckets, mask_token="")
        self._separator = feature.separator

    def call(self, values: tf.Tensor) -> tf.Tensor:
        parts = self.lookup(tf.strings.split(values, self._separator))
        return parts.to_tensor(default_value=_NOTHING)


def _cut_words(known: Values) -> tf.keras.layers.Layer:
    words: np.ndarray = known.values.to_numpy(zero_copy_only=False)
    return tf.keras.layers.TextVectorization(vocabulary=words, name="index")


def _scale(values: tf.Tensor, scaling: Scaling) -> tf.Tensor:
    """Values less their mean, divided by their deviation, float32."""
    numbers = tf.cast(values, tf.float64)  # in float32 timestamps would be minutes off
    return tf.cast((numbers - scaling.mean) / scaling.deviation, tf.float32)


def mean_square_of_rows(embeddings: tf.Tensor) -> tf.Tensor:
    """The sum of the squares of `[batch, ...]`, divided by the number of rows."""
    rows = tf.cast(tf.maximum(tf.shape(embeddings)[0], 1), tf.float32)
    return tf.reduce_sum(tf.square(embeddings)) / rows
