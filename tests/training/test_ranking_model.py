from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]


@pytest.fixture
def build(write, read):
    def _build(columns, **settings):
        from batchscore.training.ranking_model import build_ranking_model

        chosen = write(columns, **settings)
        return build_ranking_model(read(chosen).rows, chosen)

    return _build


def test_it_is_the_tutorial_s_model_in_tfrs_s_own_terms(build, tf):
    import tensorflow_recommenders as tfrs

    model = build({"user_id": ["b", "a"], "movie_id": ["x", "y"], "user_rating": [1, 2]})
    assert isinstance(model, tfrs.Model)
    assert "train_step" not in vars(type(model))
    assert isinstance(model.task, tfrs.tasks.Ranking)
    assert isinstance(model.optimizer, tf.keras.optimizers.Adagrad)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    assert [metric.name for metric in model.metrics] == ["root_mean_squared_error"]
    score = model({"user_id": tf.constant(["a", "b", "?"]), "movie_id": tf.constant(["x", "?", "y"])})
    assert (score.shape, score.dtype) == ((3,), tf.float32)
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    assert shapes == [(3, 32), (3, 32), (64, 256), (256,), (256, 64), (64,), (64, 1), (1,)]
    assert [layer.activation.__name__ for layer in model.ratings.layers] == ["relu", "relu", "linear"]


def test_the_loss_is_the_mean_squared_error_of_the_batch(build, tf):
    model = build({"user_id": ["b", "a"], "movie_id": ["x", "y"], "user_rating": [1, 2]})
    features = {"user_id": tf.constant(["a", "b", "?"]), "movie_id": tf.constant(["x", "?", "y"])}
    rating = np.array([1, 5, 2], np.float32)
    loss = model.compute_loss({**features, "user_rating": tf.constant(rating)})
    assert loss.shape == ()
    assert float(loss) == pytest.approx(np.mean((model(features).numpy() - rating) ** 2), rel=1e-6)


@pytest.mark.parametrize(
    ("ids", "probe", "known"),
    [
        (["", "[UNK]", "ü"], ["[UNK]", "", "ü", "u", "unk"], [True, True, True, False, False]),
        ([-1, 0, 2**53 + 1], [-1, 0, 2**53 + 1, 2**53, 1], [True, True, True, False, False]),
    ],
)
def test_known_ids_are_exactly_the_vocabulary(build, ids, probe, known, tf):
    model = build({"user_id": ids, "movie_id": ids[::-1], "user_rating": [1, 2, 3]})
    answer = model.known({"user_id": tf.constant(probe), "movie_id": tf.constant(probe[::-1])})
    assert answer["user_known"].numpy().tolist() == known
    assert answer["candidate_known"].numpy().tolist() == known[::-1]


def test_a_model_without_hidden_layers(build):
    model = build({"user_id": [1, 2], "movie_id": [3, 4], "user_rating": [1, 2]}, layers=())
    assert len(model.ratings.layers) == 1
