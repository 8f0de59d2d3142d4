import numpy as np
import pytest

from batchscore.planning.plan_model import plan_model
from batchscore.runtime.plan import NotPlanned, Plan

pytestmark = pytest.mark.tensorflow

USERS = [str(i) for i in range(40)]
MOVIES = [f"film {i}" for i in range(60)]


@pytest.fixture(scope="module")
def keras():
    import tensorflow as tf

    tf.keras.utils.set_random_seed(7)
    return tf.keras


def rows(n=300, seed=3, **columns):
    rng = np.random.default_rng(seed)
    made = {name: make(rng, n) for name, make in columns.items()}
    return {name: values.astype(object) if values.dtype.kind == "U" else values for name, values in made.items()}


def ids(values):
    return lambda rng, n: rng.choice(np.array([*values, "unknown"]), n)


def numbers(low, high, dtype):
    return lambda rng, n: (rng.integers(low, high, n) if np.dtype(dtype).kind == "i" else rng.uniform(low, high, n)).astype(dtype)


def tower(keras, vocabulary, width=32):
    layers = keras.layers
    return keras.Sequential([
        layers.StringLookup(vocabulary=vocabulary, mask_token=None), layers.Embedding(len(vocabulary) + 1, width, "normal"),
    ])  # fmt: skip


def mlp(keras, *widths, activation="relu"):
    layers = [keras.layers.Dense(w, activation, bias_initializer="normal") for w in widths]
    return keras.Sequential([*layers, keras.layers.Dense(1, bias_initializer="normal")])


def plan(path, users=("user_id",), candidates=("movie_id",), output="score"):
    found = plan_model(path, "serving_default", output, user_inputs=users, candidate_inputs=candidates)
    assert isinstance(found, Plan), found
    return found


def ops(steps):
    return [step.split()[0] for step in steps]


def test_tutorial_model_moves_the_first_layer_into_the_parts(tmp_path, planning, keras):
    import tensorflow as tf

    user, movie, rating = tower(keras, USERS), tower(keras, MOVIES), mlp(keras, 256, 64)

    def score(user_id, movie_id):
        return {"score": rating(tf.concat([user(user_id), movie(movie_id)], axis=1))}

    path = planning.save(tmp_path / "m", score, {"user_id": "string", "movie_id": "string"}, [user, movie, rating])
    found = plan(path)
    assert [part.name for part in found.parts] == ["user", "candidate"]
    assert [[table.width for table in part.tables] for part in found.parts] == [[256], [256]]
    assert ops(found.head.steps) == ["AddV2", "Relu", "MatMul", "BiasAdd", "Relu", "MatMul", "BiasAdd"]
    assert found.flops_before == pytest.approx(2 * (64 * 256 + 256 * 64 + 64), rel=0.03)
    assert found.flops_after == pytest.approx(2 * (256 * 64 + 64), rel=0.03)
    planning.assert_same_scores(path, found, rows(user_id=ids(USERS), movie_id=ids(MOVIES)))


def test_dot_product_with_biases(tmp_path, planning, keras):
    import tensorflow as tf

    user, movie = tower(keras, USERS, 16), tower(keras, MOVIES, 16)
    user_bias, movie_bias = tower(keras, USERS, 1), tower(keras, MOVIES, 1)
    mean = tf.Variable(3.5)

    def score(user_id, movie_id):
        dot = tf.reduce_sum(user(user_id) * movie(movie_id), axis=1, keepdims=True)
        return {"score": tf.squeeze(dot + user_bias(user_id) + movie_bias(movie_id) + mean, 1)}

    tracked = [user, movie, user_bias, movie_bias, mean]
    path = planning.save(tmp_path / "m", score, {"user_id": "string", "movie_id": "string"}, tracked)
    planning.assert_same_scores(path, plan(path), rows(user_id=ids(USERS), movie_id=ids(MOVIES)))


def test_keras_dot_layer_becomes_a_sum_of_products(tmp_path, planning, keras):
    user, movie, dot = tower(keras, USERS, 16), tower(keras, MOVIES, 16), keras.layers.Dot(1)

    def score(user_id, movie_id):
        return {"score": dot([user(user_id), movie(movie_id)])}

    path = planning.save(tmp_path / "m", score, {"user_id": "string", "movie_id": "string"}, [user, movie, dot])
    found = plan(path)
    assert ops(found.head.steps) == ["Mul", "Sum"]
    planning.assert_same_scores(path, found, rows(user_id=ids(USERS), movie_id=ids(MOVIES)))


@pytest.mark.parametrize("projection", [None, 4], ids=["full", "low rank"])
def test_cross_layers(tmp_path, planning, keras, projection):
    import tensorflow as tf
    import tensorflow_recommenders as tfrs

    features = {"user_id": USERS, "gender": ["F", "M"], "age": list("123"), "movie_id": MOVIES, "genre": list("abcd")}
    towers = {name: tower(keras, vocabulary, 8) for name, vocabulary in features.items()}
    crosses = [tfrs.layers.dcn.Cross(projection_dim=projection, kernel_initializer="glorot_uniform") for _ in range(2)]
    top = mlp(keras, 24, 12)

    def score(**inputs):
        first = tf.concat([towers[name](inputs[name]) for name in features], axis=1)
        crossed = crosses[1](first, crosses[0](first))
        return {"score": top(crossed)}

    specs = dict.fromkeys(features, "string")
    path = planning.save(tmp_path / "m", score_with(score, features), specs, [towers, crosses, top])
    found = plan(path, ["user_id", "gender", "age"], ["movie_id", "genre"])
    assert {part.name: len(part.inputs) for part in found.parts} == {"user": 3, "candidate": 2}
    assert found.flops_after < found.flops_before
    planning.assert_same_scores(path, found, rows(**{name: ids(values) for name, values in features.items()}))


def score_with(score, names):
    """`score(**inputs)` as a function of positional arguments `names`, as tf.function wants it."""
    arguments = ", ".join(names)
    scope = {"score": score}
    exec(f"def positional({arguments}):\n    return score({', '.join(f'{n}={n}' for n in names)})", scope)  # noqa: S102
    return scope["positional"]
