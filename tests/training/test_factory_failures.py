"""What a team's own model raises is told as theirs, by the line of their file; what is ours comes out as itself."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pyarrow as pa
import pytest

from batchscore.errors import BatchscoreError
from batchscore.settings.train import TrainSettings
from batchscore.training.train import train

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

THEIRS = """
import tensorflow as tf
import tensorflow_recommenders as tfrs
import their_tools

class Theirs(tfrs.Model):
    def __init__(self, context):
        super().__init__()
        ids = context.statistics.features["user_id"].values.to_numpy(zero_copy_only=False)
        self.users = tf.keras.Sequential([
            tf.keras.layers.StringLookup(vocabulary=ids), tf.keras.layers.Embedding(len(ids) + 1, 2)])
        self.head = tf.keras.layers.Dense(1)
        self.task = tfrs.tasks.Ranking(loss=tf.keras.losses.MeanSquaredError())

    def call(self, features, training=False):
        return self.head(self.users(features["user_id"]))

    def compute_loss(self, inputs, training=False):
        return self.task(labels=inputs["user_rating"], predictions=self(inputs, training=training))

class Loss(Theirs):
    def compute_loss(self, inputs, training=False):
        try:
            return inputs["nothing"]
        except KeyError as error:
            raise ValueError("no such label") from error  # raised in Loss

class Elsewhere(Theirs):
    def compute_loss(self, inputs, training=False):
        return their_tools.find(inputs)

class Unused(Theirs):
    def __init__(self, context):
        super().__init__(context)
        self.extra = tf.keras.Sequential([tf.keras.layers.Dense(3)])

class Shapeless(Theirs):
    def call(self, features, training=False):
        predicted = super().call(features)
        return predicted + tf.numpy_function(lambda values: values * 0, [predicted], tf.float32)

class Crowded(Theirs):
    def call(self, features, training=False):
        tf.debugging.assert_less(tf.shape(features["user_id"])[0], 5, "too many")  # raised in Crowded
        return super().call(features)

class Silent(Theirs):
    def train_step(self, inputs):
        return {"mine": tf.constant(1.0)}

class Known(Theirs):
    def known(self, ids):
        return ids["nothing"]  # raised in Known

class Called(Theirs):
    def call(self, features, training=False):
        return tf.constant([1.0]) + tf.constant([1])  # raised in Called
"""
TOOLS = """
def find(inputs):
    return inputs["nothing"]  # raised in Elsewhere
"""


@pytest.fixture
def failure(write, tmp_path, monkeypatch):
    """Trains the model of this name and gives the error; places of errors are marked in the sources."""
    monkeypatch.chdir(tmp_path)
    for module, source in (("their_models", THEIRS), ("their_tools", TOOLS)):
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(source)
    random = np.random.default_rng(1)
    user = random.integers(20, size=600)
    settings = write({
        "user_id": [f"u{number}" for number in user],
        "movie_id": [f"m{number}" for number in random.integers(20, size=600)],
        "user_rating": pa.array(1 + user % 5, pa.float32()),
    })  # fmt: skip

    def _failure(name, expected=BatchscoreError):
        declared = {"input": settings.input, "output": settings.output, "epochs": 2, "learning_rate": 0.5}
        model = {"factory": f"their_models:{name}"}
        with pytest.raises(expected) as caught:
            train(TrainSettings(**declared, batch_rows=16, model=model))
        return caught.value

    return _failure


def place(name, source, module):
    lines = source.splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# raised in {name}")]
    return f"{module}.py, line {number}, in "


@pytest.mark.parametrize(
    ("name", "found", "where"),
    [
        ("Loss", "its model failed: ValueError: no such label", place("Loss", THEIRS, "their_models")),
        ("Elsewhere", "its model failed: KeyError: 'nothing'", place("Elsewhere", TOOLS, "their_tools")),
        ("Unused", "its model failed: ValueError: Weights for model 'sequential", None),
        (
            "Crowded",
            "its model failed: InvalidArgumentError: assertion failed: [too many]",
            place("Crowded", THEIRS, "their_models"),
        ),
        ("Silent", "its model failed: KeyError: 'loss'", None),
        ("Known", "its model failed: KeyError: 'nothing'", place("Known", THEIRS, "their_models")),
        ("Called", "its model cannot be called: InvalidArgumentError: ", place("Called", THEIRS, "their_models")),
    ],
)
def test_what_a_factory_s_model_raises_is_the_factory_s(failure, tmp_path, caplog, *, name, found, where):
    with caplog.at_level(logging.DEBUG, "batchscore"):
        error = failure(name)
    assert (error.error_id, error.exit_code) == ("E-FACTORY", 2), error
    message = str(error)
    assert f"their_models:{name}" in message.splitlines()[0]
    assert f"  found:    {found}" in message
    if where is not None:
        assert f"  where:    {tmp_path}/{where}" in message
    assert "in user code" not in message
    assert "Traceback (most recent call last)" in caplog.text, "the traceback is told with --verbose"
    assert error.report.error_id == "E-FACTORY"
    assert not list((tmp_path / "model").glob("[0-9]*"))


def test_an_error_of_ours_within_another_comes_out_as_itself(failure):
    error = failure("Shapeless")
    assert error.error_id == "E-MODEL-OUTPUT"
    assert "output 'rating' of the factory's model is not one number per row" in str(error)
    assert error.report.error_id == "E-MODEL-OUTPUT"


def test_without_a_factory_a_fault_stays_ours(write, monkeypatch):
    from batchscore.networks.ranking_model import RankingModel

    def compute_loss(*_, **__):
        raise ValueError("ours")

    monkeypatch.setattr(RankingModel, "compute_loss", compute_loss)
    ids = [f"{number}" for number in range(40)]
    with pytest.raises(ValueError, match="ours"):
        train(write({"user_id": ids, "movie_id": ids, "user_rating": [1.0, 2.0] * 20}, batch_rows=8))
