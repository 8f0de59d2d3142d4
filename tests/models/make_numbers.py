"""Make the models `numbers` and `whole` of the golden cases: python tests/models/make_numbers.py

Their ids are numbers, and they have no card. The score of `numbers` is float64 of shape [n, 1]: value x weight,
minus 1 for a flag. That of `whole` is the input `value`, int64.
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


class Whole(tf.Module):
    @tf.function
    def serve(self, user_id, item_id, value) -> dict[str, tf.Tensor]:
        del user_id, item_id
        return {"score": tf.identity(value)}


def make_numbers(path: Path) -> None:
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


def make_whole(path: Path) -> None:
    whole, spec = Whole(), tf.TensorSpec([None], tf.int64)
    serve = whole.serve.get_concrete_function(user_id=spec, item_id=spec, value=spec)
    shutil.rmtree(path, ignore_errors=True)
    tf.saved_model.save(whole, str(path), signatures={"serving_default": serve})


if __name__ == "__main__":
    make_numbers(Path(__file__).parent / "numbers")
    make_whole(Path(__file__).parent / "whole")
