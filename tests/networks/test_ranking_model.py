from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batchscore.errors import UsageError
from batchscore.interactions.training_statistics import learn_statistics
from batchscore.settings.train import TrainSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

IDS = {"user_id": ["b", "a"], "movie_id": ["x", "y"]}


def build(ids=None, labels=None, **settings):
    from batchscore.networks.ranking_model import build_ranking_model

    columns = {name: pa.array(values) for name, values in (ids or IDS).items()}
    columns = {n: v.cast(pa.large_string()) if pa.types.is_string(v.type) else v for n, v in columns.items()}
    given = labels or {"user_rating": list(range(1, 1 + len(columns["user_id"])))}
    rows = pa.table(columns | {name: pa.array(values, pa.float32()) for name, values in given.items()})
    declared = TrainSettings(input="x.parquet", output="m", **settings)
    return build_ranking_model(learn_statistics(rows, declared), declared)


@pytest.fixture
def features(tf):
    return {"user_id": tf.constant(["a", "b", "?"]), "movie_id": tf.constant(["x", "?", "y"])}


def test_the_default_is_the_tutorial_s_model_with_its_weights(features, tf):
    import tensorflow_recommenders as tfrs

    from batchscore.networks.keras2 import seed_random_generators

    seed_random_generators(5)
    model = build()
    assert isinstance(model, tfrs.Model)
    assert "train_step" not in vars(type(model))
    assert isinstance(model.tasks["rating"], tfrs.tasks.Ranking)
    assert isinstance(model.optimizer, tf.keras.optimizers.Adagrad)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    assert [metric.name for metric in model.metrics] == ["root_mean_squared_error"]

    seed_random_generators(5)
    towers = [
        tf.keras.Sequential([
            tf.keras.layers.StringLookup(vocabulary=ids), tf.keras.layers.Embedding(len(ids) + 1, 32),
        ])
        for ids in (["a", "b"], ["x", "y"])
    ]  # fmt: skip
    ratings = tf.keras.Sequential([
        tf.keras.layers.Dense(256, activation="relu"), tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(1),
    ])  # fmt: skip
    sides = [tower(features[name]) for tower, name in zip(towers, features, strict=True)]
    expected = ratings(tf.concat(sides, axis=1)).numpy()[:, 0]
    (predicted,) = model(features).values()
    assert (predicted.shape, predicted.dtype) == ((3,), tf.float32)
    assert predicted.numpy() == pytest.approx(expected, rel=1e-6)
    assert np.array_equal(predicted, model.score(features))
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    assert sorted(shapes) == sorted([(3, 32), (3, 32), (64, 256), (256,), (256, 64), (64,), (64, 1), (1,)])


def test_the_loss_is_the_mean_squared_error_of_the_batch(features, tf):
    model = build()
    rating = np.array([1, 5, 2], np.float32)
    loss = model.compute_loss({**features, "user_rating": tf.constant(rating)})
    assert loss.shape == ()
    assert float(loss) == pytest.approx(np.mean((model.score(features).numpy() - rating) ** 2), rel=1e-6)
    assert model.losses == []


@pytest.mark.parametrize("oov_buckets", [1, 2])
@pytest.mark.parametrize(
    ("ids", "probe", "known"),
    [
        (["", "[UNK]", "ü"], ["[UNK]", "", "ü", "u", "unk"], [True, True, True, False, False]),
        ([-1, 0, 2**53 + 1], [-1, 0, 2**53 + 1, 2**53, 1], [True, True, True, False, False]),
    ],
)
def test_known_ids_are_exactly_the_vocabulary(ids, probe, known, oov_buckets, tf):
    users = {"user_id": {"kind": "vocabulary", "role": "user", "oov_buckets": oov_buckets}}
    model = build({"user_id": ids, "movie_id": ids[::-1]}, features=users)
    answer = model.known({"user_id": tf.constant(probe), "movie_id": tf.constant(probe[::-1])})
    assert answer["user_known"].numpy().tolist() == known
    assert answer["candidate_known"].numpy().tolist() == known[::-1]


def test_with_a_hashed_id_nothing_is_known_of_ids():
    assert build(features={"movie_id": {"kind": "hashed", "role": "candidate", "buckets": 7}}).known is None


def test_a_model_without_hidden_layers(features):
    model = build(layers=())
    assert model.hidden == []
    assert model.score(features).shape == (3,)


def test_biases_start_at_nothing_and_the_model_at_the_mean(features):
    model = build(model={"biases": True}, layers=())
    assert [bias.embedding.embeddings.shape for bias in model.biases] == [(3, 1), (3, 1)]
    head = model.heads["rating"]
    assert head.bias.numpy().tolist() == [1.5]
    before = model.score(features).numpy()
    model.biases[0].embedding.embeddings.assign([[0], [10], [20]])
    model.biases[1].embedding.embeddings.assign([[3], [0], [0]])
    assert model.score(features).numpy() - before == pytest.approx([10, 20 + 3, 0], abs=1e-5)


def test_each_task_has_its_own_head_and_bias(features):
    tasks = {
        "stars": {"kind": "rating", "label": "r"}, "click": {"kind": "click", "label": "c"},
        "order": {"kind": "pairwise", "label": "r"},
    }  # fmt: skip
    model = build(labels={"r": [1, 3], "c": [1, 1]}, tasks=tasks, model={"biases": True})
    assert [float(head.bias.numpy()[0]) for head in model.heads.values()] == [2.0, 0.0, 0.0]
    model.biases[0].embedding.embeddings.assign([[0, 0, 0], [1, 2, 3], [0, 0, 0]])
    found = model(features)
    assert list(found) == ["stars", "click", "order"]
    served = model.serve(features)
    assert list(served) == ["score", "stars", "click", "order"]
    assert np.array_equal(served["score"], found["stars"])


def test_a_click_is_a_probability_and_its_score_the_logit(features):
    tasks = {"click": {"kind": "click", "label": "c", "negatives": 3}}
    ids = {"user_id": ["a", "b", "a", "b"], "movie_id": ["x", "y", "z", "w"]}
    model = build(ids, tasks=tasks, model={"biases": True})
    assert float(model.heads["click"].bias.numpy()[0]) == pytest.approx(np.log(1 / 3))
    served = model.serve(features)
    assert served["click"].numpy() == pytest.approx(1 / (1 + np.exp(-served["score"].numpy())))


def test_towers_end_in_a_linear_layer_and_dropout_is_for_training_alone(features):
    model = build(model={"user_layers": [8, 4], "candidate_layers": [4], "dropout": 0.5}, layers=(16,))
    kinds = [(type(layer).__name__, getattr(layer, "activation", None)) for layer in model.user_tower.dense]
    assert [(kind, activation and activation.__name__) for kind, activation in kinds] == [
        ("Dense", "relu"), ("Dropout", None), ("Dense", "linear"),
    ]  # fmt: skip
    assert np.array_equal(model.score(features), model.score(features))
    inputs = features | {"user_rating": model.score(features)}
    assert float(model.compute_loss(inputs)) == 0
    assert float(model.compute_loss(inputs, training=True)) > 0


def test_a_dot_product_needs_equal_width(features):
    model = build(model={"interaction": "dot"}, layers=())
    user, candidate = (tower(features) for tower in (model.user_tower, model.candidate_tower))
    kernel, bias = (variable.numpy() for variable in model.heads["rating"].weights)
    expected = np.concatenate([user, candidate, np.sum(user * candidate, axis=1, keepdims=True)], axis=1)
    assert model.score(features).numpy() == pytest.approx((expected @ kernel + bias)[:, 0], rel=1e-4)
    with pytest.raises(UsageError, match="equal width") as caught:
        build(model={"interaction": "dot", "user_layers": [3]})
    assert caught.value.error_id == "E-CONFIG"


def test_crosses_are_dcn_s(features):
    model = build(model={"interaction": "cross", "cross_layers": 2, "cross_rank": 5}, layers=())
    shapes = [tuple(weight.shape) for cross in model.crosses for weight in cross.trainable_weights]
    assert shapes == [(64, 5), (5, 64), (64,)] * 2
    user, candidate = (tower(features) for tower in (model.user_tower, model.candidate_tower))
    x0 = x = np.concatenate([user, candidate], axis=1)
    for cross in model.crosses:
        down, up, bias = (weight.numpy() for weight in cross.trainable_weights)
        x = x0 * (x @ down @ up + bias) + x
    kernel, bias = (variable.numpy() for variable in model.heads["rating"].weights)
    assert model.score(features).numpy() == pytest.approx((x @ kernel + bias)[:, 0], rel=1e-4)


def test_penalties_are_in_the_loss_of_keras(features, tf):
    model = build(model={"l2": 0.5, "embedding_l2": 2.0, "biases": True}, layers=(4,))
    model.biases[0].embedding.embeddings.assign([[0], [1], [2]])
    inputs = features | {"user_rating": tf.constant([1.0, 2.0, 3.0])}
    model.compute_loss(inputs)
    kernels = [model.hidden[0].kernel, model.heads["rating"].kernel]
    looked_up = [tower(features) for tower in (model.user_tower, model.candidate_tower)]
    expected = 0.5 * sum(np.square(kernel.numpy()).sum() for kernel in kernels)
    expected += 2.0 * (sum(np.square(found).sum() for found in looked_up) + 1 + 4) / 3
    model.compute_loss(inputs)
    assert sum(map(float, model.losses)) == pytest.approx(expected, rel=1e-5)


def test_the_optimizer_is_declared(tf):
    model = build(model={"optimizer": "adam"}, learning_rate=0.01)
    assert isinstance(model.optimizer, tf.keras.optimizers.Adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
