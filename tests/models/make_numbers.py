"""Make the model `numbers` of the golden cases: python tests/models/make_numbers.py

Its ids are numbers, its score is float64 of shape [n, 1], and it has no card: value x weight, minus 1 for a flag.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import tensorflow as tf


class Numbers(tf.Module):
    @tf.function
    def serve(self, user_id, item_id, value, weight, flag) -> dict[str, tf.Tensor]:
        del user_id, item_id
        penalty = tf.cast(flag, tf.float64)
        return {"score": value * tf.cast(weight, tf.float64) - tf.reshape(penalty, [-1, 1])}


def make(path: Path) -> None:
    numbers = Numbers()
    serve = numbers.serve.get_concrete_function(
        user_id=tf.TensorSpec([None], tf.int64),
        item_id=tf.TensorSpec([None], tf.int16),
        value=tf.TensorSpec([None, 1], tf.float64),
        weight=tf.TensorSpec([None, 1], tf.float16),
        flag=tf.TensorSpec([None], tf.bool),
    )
    shutil.rmtree(path, ignore_errors=True)
    tf.saved_model.save(numbers, str(path), signatures={"serving_default": serve})


if __name__ == "__main__":
    make(Path(__file__).parent / "numbers")
