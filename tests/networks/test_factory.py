from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest

from batchscore.errors import ModelError, UsageError
from batchscore.interactions.training_statistics import learn_statistics
from batchscore.settings.train import TrainSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

OURS = """
import tensorflow as tf
import tensorflow_recommenders as tfrs

class Ours(tfrs.Model):
    def __init__(self, context):
        super().__init__()
        self.context = context
        ids = context.statistics.features["user_id"].values.to_numpy(zero_copy_only=False)
        self.users = tf.keras.Sequential([
            tf.keras.layers.StringLookup(vocabulary=ids), tf.keras.layers.Embedding(len(ids) + 1, 2)])
        self.head = tf.keras.layers.Dense(1)
        self.task = tfrs.tasks.Ranking(loss=tf.keras.losses.MeanSquaredError())

    def call(self, features, training=False):
        number = tf.cast(features["movie_id"], tf.float32)[:, tf.newaxis]
        return self.head(tf.concat([self.users(features["user_id"]), number / 10], axis=1))

    def compute_loss(self, inputs, training=False):
        return self.task(labels=inputs["user_rating"], predictions=self(inputs))

def build(context):
    return Ours(context)

class Named(Ours):
    def call(self, features, training=False):
        flat = super().call(features)[:, 0]
        return {"extra": flat * 2, **({} if self.context.settings.seed else {"rating": flat})}

build_named = Named

def build_compiled(context):
    model = Ours(context)
    model.compile(optimizer="sgd")
    return model

def fail(context):
    raise LookupError("no weights")

def build_nothing(context):
    return None

class Wide(Ours):
    def call(self, features, training=False):
        return tf.tile(super().call(features), [1, 2])

class Broken(Ours):
    def call(self, features, training=False):
        return features["age"]

class Several(Ours):
    def call(self, features, training=False):
        flat = super().call(features)[:, 0]
        return {"one": flat, "two": flat}

class Mixing(Ours):
    def call(self, features, training=False):
        flat = super().call(features)[:, 0]
        return flat - tf.reduce_mean(flat) + 3.4

class Normalised(Ours):
    def __init__(self, context):
        super().__init__(context)
        self.normalise = tf.keras.layers.BatchNormalization()

    def call(self, features, training=False):
        return self.normalise(super().call(features), training=True)

class Noisy(Ours):
    def call(self, features, training=False):
        return tf.nn.dropout(super().call(features) + 1, 0.5)

number = 3
"""


@pytest.fixture
def ours(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "ours_models.py").write_text(OURS)
    (tmp_path / "models" / "broken_models.py").write_text("import no_such_package")
    monkeypatch.delitem(sys.modules, "ours_models", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "models"


ROWS = pa.table({
    "user_id": pa.array(["a", "b"] * 8, pa.large_string()), "movie_id": pa.array(range(16), pa.int64()),
    "user_rating": pa.array([1, 3] * 8, pa.float32()),
})  # fmt: skip


def declare(folder, name="build", module="ours_models", **settings):
    model = {"factory": f"{module}:{name}", "factory_folder": folder}
    return TrainSettings(input="x.parquet", output="m", model=model, batch_rows=4, **settings)


def build(settings):
    from batchscore.networks.factory import build_model

    return build_model(learn_statistics(ROWS, settings), settings)


def test_a_model_of_one_s_own_is_trained_exported_and_scored_like_any(ours, tmp_path, tf):
    from batchscore.networks import training_batches
    from batchscore.training import export

    settings = declare(ours)
    model = build(settings)
    assert model.context.features == settings.all_features()
    assert isinstance(model.optimizer, tf.keras.optimizers.Adagrad)
    batches = training_batches.TrainingBatches(ROWS, learn_statistics(ROWS, settings), settings)
    before = model.head.kernel.numpy()
    model.fit(batches.epoch(0), verbose=0)
    assert not np.array_equal(model.head.kernel, before)
    path = tmp_path / "export"
    path.mkdir()
    probes = export.draw_probes(ROWS, settings)
    export.export_model(model, probes, path, settings, made_with={}, training={})
    exported = export.check_export(path)
    assert list(exported.saved.signatures) == ["serving_default"]
    assert exported.saved.card.known is None
    tensors = training_batches.to_tensors(probes)
    assert exported.saved.card.probes.scores == pytest.approx(model(tensors).numpy()[:, 0].tolist())


@pytest.mark.parametrize(
    ("name", "how"),
    [("Mixing", "beside other rows"), ("Normalised", "beside other rows"), ("Noisy", "from call to call")],
)
def test_a_model_whose_scores_are_not_those_of_a_row_alone_is_not_let_through(ours, tmp_path, name, how):
    from batchscore.training import export

    settings = declare(ours, name)
    path = tmp_path / "export"
    path.mkdir()
    probes = export.draw_probes(ROWS, settings)
    export.export_model(build(settings), probes, path, settings, made_with={}, training={})
    with pytest.raises(ModelError) as caught:
        export.check_export(path)
    assert caught.value.error_id == "E-MODEL-PROBES"
    assert f"the model gives the same row different scores {how}" in str(caught.value)
    assert "no dropout, no random op, no statistics over the batch" in str(caught.value)


def test_the_working_directory_and_what_is_installed_are_searched_too(ours):
    from batchscore.networks.factory import ModelContext

    (ours / "ours_models.py").rename(ours.parent / "ours_models.py")
    before = sys.path[:]
    assert type(build(declare(ours))).__name__ == "Ours"
    assert sys.path == before
    assert isinstance(build(declare(ours)).context, ModelContext)


def test_a_module_of_that_name_from_elsewhere_is_not_taken_for_it(ours, tmp_path):
    build(declare(ours))
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "ours_models.py").write_text(OURS)
    with pytest.raises(UsageError) as caught:
        build(declare(tmp_path / "others"))
    assert caught.value.error_id == "E-FACTORY"
    assert f"this process has loaded another ours_models, from {ours / 'ours_models.py'}" in str(caught.value)
    assert type(build(declare(ours / ".." / "models"))).__name__ == "Ours"


def test_outputs_by_name(ours, tf):
    from batchscore.networks.predictions import predict

    features = {"user_id": tf.constant(["a", "?"]), "movie_id": tf.constant([1, 2], tf.int64)}
    for seed, names in ((0, ["score", "extra", "rating"]), (1, ["score", "extra"])):
        settings = declare(ours, "build_named", seed=seed)
        found = predict(build(settings), features, settings)
        assert list(found) == names
        assert np.array_equal(found["score"], found[names[-1]])


def test_a_compiled_model_keeps_its_optimizer(ours, tf):
    assert isinstance(build(declare(ours, "build_compiled")).optimizer, tf.keras.optimizers.SGD)


@pytest.mark.parametrize(
    ("name", "module", "found"),
    [
        ("build", "no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("build", "broken_models", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("no_such_function", "ours_models", "AttributeError: "),
        ("number", "ours_models", "number is a int, which cannot be called"),
        ("fail", "ours_models", "it failed: LookupError: no weights"),
        ("build_nothing", "ours_models", "it returned a NoneType"),
        ("Broken", "ours_models", "its model cannot be called: "),
    ],
)
def test_a_factory_that_cannot_be_used(ours, name, module, found):
    with pytest.raises(UsageError) as caught:
        build(declare(ours, name, module))
    assert (caught.value.error_id, caught.value.exit_code) == ("E-FACTORY", 2)
    assert f"found:    {found}" in str(caught.value)
    assert f"{module}:{name}" in str(caught.value)


@pytest.mark.parametrize(("name", "found"), [("Wide", "shape (1, 2)"), ("Several", "one, two")])
def test_a_model_that_gives_no_score(ours, name, found):
    with pytest.raises(ModelError) as caught:
        build(declare(ours, name))
    assert caught.value.error_id == "E-MODEL-OUTPUT"
    assert found in str(caught.value)
