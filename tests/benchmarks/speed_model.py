"""Export a ranking model with random weights: python speed_model.py tutorial|dcn string|int64 USERS ITEMS PATH."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import tensorflow as tf


class Ranking(tf.Module):
    """The TFRS tutorial's network, or a deep and cross network with three user and two item features."""

    def __init__(self, kind: str, ids: str, users: int, items: int) -> None:
        super().__init__()
        self.kind, self.ids = kind, ids
        tf.random.set_seed(1)
        self.tables = [self.table(users), self.table(items)] if ids == "string" else []
        self.user = self.weights(users + 1, 32)
        self.item = self.weights(items + 1, 32)
        self.gender, self.job, self.genre = self.weights(2, 8), self.weights(21, 8), self.weights(18, 8)
        width = 64 if kind == "tutorial" else 64 + 8 + 1 + 8 + 8 + 1
        self.cross = (
            [(self.weights(width, width), self.weights(1, width)) for _ in range(2)] if kind == "dcn" else []
        )
        sizes = [width, 256, 64, 1]
        self.dense = [(self.weights(*size), self.weights(1, size[1])) for size in itertools.pairwise(sizes)]

    @staticmethod
    def table(count: int) -> tf.lookup.StaticHashTable:
        keys = tf.strings.as_string(tf.range(1, count + 1))
        return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, tf.range(1, count + 1)), 0)

    @staticmethod
    def weights(*shape: int) -> tf.Variable:
        return tf.Variable(tf.random.normal(shape, stddev=(shape[0] if shape[0] < 300 else 1) ** -0.5))

    def embed(self, user: tf.Tensor, item: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self.ids == "string":
            user, item = self.tables[0].lookup(user), self.tables[1].lookup(item)
        return tf.gather(self.user, user), tf.gather(self.item, item)

    def tutorial(self, user: tf.Tensor, item: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.head(tf.concat(self.embed(user, item), 1))

    def dcn(
        self, user: tf.Tensor, item: tf.Tensor, gender: tf.Tensor, age: tf.Tensor, job: tf.Tensor, genre: tf.Tensor,
        year: tf.Tensor,
    ) -> dict[str, tf.Tensor]:  # fmt: skip
        user, item = self.embed(user, item)
        user = [
            user,
            tf.gather(self.gender, gender),
            tf.expand_dims((age - 40.0) / 15.0, 1),
            tf.gather(self.job, job),
        ]
        item = [item, tf.gather(self.genre, genre), tf.expand_dims((year - 1980.0) / 20.0, 1)]
        start = value = tf.concat([*user, *item], 1)
        for kernel, bias in self.cross:
            value = start * (tf.matmul(value, kernel) + bias) + value
        return self.head(value)

    def head(self, value: tf.Tensor) -> dict[str, tf.Tensor]:
        for kernel, bias in self.dense[:-1]:
            value = tf.nn.relu(tf.matmul(value, kernel) + bias)
        kernel, bias = self.dense[-1]
        return {"score": tf.squeeze(tf.matmul(value, kernel) + bias, 1)}


def main(kind: str, ids: str, users: str, items: str, path: str) -> None:
    model = Ranking(kind, ids, int(users), int(items))
    dtype = tf.string if ids == "string" else tf.int64
    specs = [tf.TensorSpec([None], dtype, "user"), tf.TensorSpec([None], dtype, "item")]
    if kind == "dcn":
        features = (("gender", tf.int64), ("age", tf.float32), ("job", tf.int64), ("genre", tf.int64))
        specs += [tf.TensorSpec([None], dtype, name) for name, dtype in (*features, ("year", tf.float32))]
    serve = tf.function(model.tutorial if kind == "tutorial" else model.dcn, input_signature=specs)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    tf.saved_model.save(model, path, signatures={"serving_default": serve.get_concrete_function()})


if __name__ == "__main__":
    main(*sys.argv[1:])
