import numpy as np
import pytest

from batchscore.planning.graph.__main__ import main
from batchscore.planning.graph.plan_model import plan_model
from batchscore.planning.plan import NotPlanned, Plan
from batchscore.planning.plan_file import read_plan

pytestmark = pytest.mark.tensorflow

USERS = [str(i) for i in range(40)]
MOVIES = [f"film {i}" for i in range(60)]


@pytest.fixture(scope="module")
def keras(tf):
    tf.keras.utils.set_random_seed(7)
    return tf.keras


def rows(n=300, seed=3, **columns):
    rng = np.random.default_rng(seed)
    made = {name: make(rng, n) for name, make in columns.items()}
    return {name: values.astype(object) if values.dtype.kind == "U" else values for name, values in made.items()}


def ids(values):
    return lambda rng, n: rng.choice(np.array([*values, "unknown"]), n)


def numbers(low, high, dtype):
    return lambda rng, n: (
        rng.integers(low, high, n) if np.dtype(dtype).kind == "i" else rng.uniform(low, high, n)
    ).astype(dtype)


def tower(keras, vocabulary, width=32):
    layers = keras.layers
    return keras.Sequential([
        layers.StringLookup(vocabulary=vocabulary, mask_token=None),
        layers.Embedding(len(vocabulary) + 1, width, "normal"),
    ])  # fmt: skip


def mlp(keras, *widths, activation="relu"):
    layers = [keras.layers.Dense(w, activation, bias_initializer="normal") for w in widths]
    return keras.Sequential([*layers, keras.layers.Dense(1, bias_initializer="normal")])


def make_plan(path, users=("user_id",), candidates=("movie_id",), output="score"):
    found = plan_model(path, "serving_default", output, user_inputs=users, candidate_inputs=candidates)
    assert isinstance(found, Plan), found
    return found


def ops(steps):
    return [step.split()[0] for step in steps]


def test_tutorial_model_moves_the_first_layer_into_the_parts(tmp_path, planning, keras, tf):
    user, movie, rating = tower(keras, USERS), tower(keras, MOVIES), mlp(keras, 256, 64)

    def score(user_id, movie_id):
        return {"score": rating(tf.concat([user(user_id), movie(movie_id)], axis=1))}

    path = planning.save(tmp_path / "m", score, {"user_id": "string", "movie_id": "string"}, [user, movie, rating])
    found = make_plan(path)
    assert [part.name for part in found.parts] == ["user", "candidate"]
    assert [[table.width for table in part.tables] for part in found.parts] == [[256], [256]]
    assert ops(found.head.steps) == ["AddV2", "Relu", "MatMul", "BiasAdd", "Relu", "MatMul", "BiasAdd"]
    assert found.flops_before == pytest.approx(2 * (64 * 256 + 256 * 64 + 64), rel=0.03)
    assert found.flops_after == pytest.approx(2 * (256 * 64 + 64), rel=0.03)
    planning.assert_same_scores(path, found, rows(user_id=ids(USERS), movie_id=ids(MOVIES)))


def test_dot_product_with_biases(tmp_path, planning, keras, tf):
    user, movie = tower(keras, USERS, 16), tower(keras, MOVIES, 16)
    user_bias, movie_bias = tower(keras, USERS, 1), tower(keras, MOVIES, 1)
    mean = tf.Variable(3.5)

    def score(user_id, movie_id):
        dot = tf.reduce_sum(user(user_id) * movie(movie_id), axis=1, keepdims=True)
        return {"score": tf.squeeze(dot + user_bias(user_id) + movie_bias(movie_id) + mean, 1)}

    tracked = [user, movie, user_bias, movie_bias, mean]
    path = planning.save(tmp_path / "m", score, {"user_id": "string", "movie_id": "string"}, tracked)
    planning.assert_same_scores(path, make_plan(path), rows(user_id=ids(USERS), movie_id=ids(MOVIES)))


def test_keras_dot_layer_becomes_a_sum_of_products(tmp_path, planning, keras):
    user, movie, dot = tower(keras, USERS, 16), tower(keras, MOVIES, 16), keras.layers.Dot(1)

    def score(user_id, movie_id):
        return {"score": dot([user(user_id), movie(movie_id)])}

    path = planning.save(tmp_path / "m", score, {"user_id": "string", "movie_id": "string"}, [user, movie, dot])
    found = make_plan(path)
    assert ops(found.head.steps) == ["Mul", "Sum"]
    planning.assert_same_scores(path, found, rows(user_id=ids(USERS), movie_id=ids(MOVIES)))


@pytest.mark.parametrize("projection", [None, 4], ids=["full", "low rank"])
def test_cross_layers(tmp_path, planning, keras, projection, tf):
    import tensorflow_recommenders as tfrs

    features = {
        "user_id": USERS,
        "gender": ["F", "M"],
        "age": list("123"),
        "movie_id": MOVIES,
        "genre": list("abcd"),
    }
    towers = {name: tower(keras, vocabulary, 8) for name, vocabulary in features.items()}
    crosses = [
        tfrs.layers.dcn.Cross(projection_dim=projection, kernel_initializer="glorot_uniform") for _ in range(2)
    ]
    top = mlp(keras, 24, 12)

    def score(**inputs):
        first = tf.concat([towers[name](inputs[name]) for name in features], axis=1)
        crossed = crosses[1](first, crosses[0](first))
        return {"score": top(crossed)}

    specs = dict.fromkeys(features, "string")
    path = planning.save(tmp_path / "m", score, specs, [towers, crosses, top])
    found = make_plan(path, ["user_id", "gender", "age"], ["movie_id", "genre"])
    assert {part.name: len(part.inputs) for part in found.parts} == {"user": 3, "candidate": 2}
    assert found.flops_after < found.flops_before
    planning.assert_same_scores(path, found, rows(**{name: ids(values) for name, values in features.items()}))


def test_two_towers_with_several_features(tmp_path, planning, keras, tf):
    vocabularies = {"user_id": USERS, "gender": ["F", "M"], "movie_id": MOVIES, "genre": list("abcd")}
    towers = {name: tower(keras, vocabulary, 8) for name, vocabulary in vocabularies.items()}
    query = keras.Sequential([keras.layers.Dense(32, "relu"), keras.layers.Dense(16)])
    item = keras.Sequential(
        [keras.layers.Dense(32, "relu"), keras.layers.LayerNormalization(), keras.layers.Dense(16)]
    )
    top = mlp(keras, 24)

    def score(**inputs):
        embedded = {name: towers[name](inputs[name]) for name in vocabularies}
        user = query(tf.concat([embedded["user_id"], embedded["gender"]], 1))
        movie = item(tf.concat([embedded["movie_id"], embedded["genre"]], 1))
        return {"score": top(tf.concat([user, movie, user * movie], 1))}

    path = planning.save(
        tmp_path / "m",
        score,
        dict.fromkeys(vocabularies, "string"),
        [towers, query, item, top],
    )
    found = make_plan(path)  # the graph alone says that gender joins the user and genre the candidate
    assert {part.name: [item.name for item in part.inputs] for part in found.parts} == {
        "user": ["gender", "user_id"],
        "candidate": ["genre", "movie_id"],
    }
    assert {part.name: len(part.tables) for part in found.parts} == {"user": 2, "candidate": 2}
    planning.assert_same_scores(path, found, rows(**{name: ids(values) for name, values in vocabularies.items()}))


def test_int64_ids_of_shape_n_1(tmp_path, planning, keras, tf):
    users = keras.Sequential(
        [keras.layers.IntegerLookup(vocabulary=list(range(1, 50))), keras.layers.Embedding(51, 16)]
    )
    movies = keras.Sequential(
        [keras.layers.IntegerLookup(vocabulary=list(range(1, 90))), keras.layers.Embedding(91, 16)]
    )
    flat, top = keras.layers.Flatten(), mlp(keras, 32, 16)

    def score(user_id, movie_id):
        joined = tf.concat([users(user_id), movies(movie_id)], axis=-1)
        return {"score": top(flat(joined))}

    ranks = {"user_id": 2, "movie_id": 2}
    path = planning.save(
        tmp_path / "m", score, {"user_id": "int64", "movie_id": "int64"}, [users, movies, flat, top], ranks=ranks
    )
    found = make_plan(path)
    assert {item.rank for part in found.parts for item in part.inputs} == {2}
    pairs = rows(user_id=numbers(1, 60, "int64"), movie_id=numbers(1, 99, "int64"))
    planning.assert_same_scores(path, found, pairs)


def test_time_and_text_features(tmp_path, planning, keras, tf):
    layers = keras.layers
    times = np.linspace(8e8, 9e8, 100)
    normalise = layers.Normalization(axis=None)
    normalise.adapt(times)
    bucket = keras.Sequential([layers.Discretization(list(times[::10])), layers.Embedding(12, 8)])
    words = layers.TextVectorization(max_tokens=50)
    words.adapt(MOVIES)
    text = keras.Sequential([words, layers.Embedding(50, 8, mask_zero=True), layers.GlobalAveragePooling1D()])
    fixed = layers.TextVectorization(max_tokens=50, output_sequence_length=3)
    fixed.adapt(MOVIES)
    text_of_three = keras.Sequential([fixed, layers.Embedding(50, 8), layers.GlobalAveragePooling1D()])
    user, top = tower(keras, USERS), mlp(keras, 32)

    def score(user_id, timestamp, movie_title):
        moment = tf.concat([bucket(timestamp), tf.reshape(normalise(timestamp), (-1, 1))], 1)
        query = tf.concat([user(user_id), moment], 1)
        return {"score": top(tf.concat([query, text(movie_title), text_of_three(movie_title)], 1))}

    specs = {"user_id": "string", "timestamp": "int64", "movie_title": "string"}
    tracked = [normalise, bucket, words, text, fixed, text_of_three, user, top]
    path = planning.save(tmp_path / "m", score, specs, tracked)
    found = make_plan(path, candidates=["movie_title"])
    assert {part.name for part in found.parts} == {"user", "candidate"}
    titles = np.array(["Film 1", "film 2 or the film 17 and film", "nothing known here at all", "film"])
    pairs = rows(
        user_id=ids(USERS), timestamp=numbers(8e8, 9e8, "int64"), movie_title=lambda rng, n: rng.choice(titles, n)
    )
    planning.assert_same_scores(path, found, pairs)


def test_pooling_that_depends_on_the_longest_text_is_not_planned(tmp_path, planning, keras, tf):
    words = keras.layers.TextVectorization(max_tokens=50)
    words.adapt(MOVIES)
    text = keras.Sequential([words, keras.layers.Embedding(50, 8), keras.layers.GlobalAveragePooling1D()])
    user, top = tower(keras, USERS), mlp(keras, 8)

    def score(user_id, movie_title):
        return {"score": top(tf.concat([user(user_id), text(movie_title)], 1))}

    path = planning.save(
        tmp_path / "m", score, dict.fromkeys(["user_id", "movie_title"], "string"), [words, text, user, top]
    )
    found = plan_model(path, "serving_default", "score", user_inputs=["user_id"], candidate_inputs=["movie_title"])
    assert isinstance(found, NotPlanned)
    assert "(Mean): its result depends on the longest text of the batch" in found.reason


@pytest.fixture(scope="module")
def with_pair_features(tmp_path_factory, planning, keras, tf):
    """A number and a category that belong to neither side, and a string made of both sides."""
    user, movie, channel, crossed = (
        tower(keras, v, 8) for v in (USERS, MOVIES, ["web", "tv"], [f"{a}x{b}" for a in "12" for b in "ab"])
    )
    top = mlp(keras, 24, 8)

    def score(**inputs):
        cross = tf.strings.join([inputs["age"], inputs["genre"]], separator="x")
        number = tf.math.log1p(tf.reshape(inputs["retrieval_score"], [-1, 1]))
        sides = [user(inputs["user_id"]), channel(inputs["channel_name"]), movie(inputs["movie_id"])]
        return {"score": top(tf.concat([*sides, number, crossed(cross)], 1)), "embedding": user(inputs["user_id"])}

    specs = {name: "float32" if name == "retrieval_score" else "string" for name in PAIRS}
    path = tmp_path_factory.mktemp("pairs") / "m"
    return planning.save(path, score, specs, [user, movie, channel, crossed, top])


PAIRS = {
    "user_id": ids(USERS), "age": ids("12"), "movie_id": ids(MOVIES), "genre": ids("ab"),
    "retrieval_score": numbers(0, 5, "float32"), "channel_name": ids(["web", "tv"]),
}  # fmt: skip


def test_pair_features(planning, with_pair_features):
    found = make_plan(with_pair_features)
    inputs = {part.name: [item.name for item in part.inputs] for part in found.parts}
    assert inputs.pop("user") == ["user_id"]
    assert inputs.pop("candidate") == ["movie_id"]
    assert sorted(inputs.values()) == [["age", "genre"], ["channel_name"]]
    assert [item.name for item in found.head.inputs] == ["retrieval_score"]
    planning.assert_same_scores(with_pair_features, found, rows(**PAIRS))


def test_roles_that_are_given_win(planning, with_pair_features):
    found = make_plan(with_pair_features, ["user_id", "age", "channel_name"], ["movie_id", "genre"])
    inputs = {part.name: [item.name for item in part.inputs] for part in found.parts}
    assert inputs.pop("user") == ["age", "channel_name", "user_id"]
    assert inputs.pop("candidate") == ["genre", "movie_id"]
    assert list(inputs.values()) == [
        ["age", "genre"]
    ]  # the string made of both is computed once per pair of values
    planning.assert_same_scores(with_pair_features, found, rows(**PAIRS))


def test_more_pairs_than_a_block_and_a_full_call(planning, with_pair_features):
    found = make_plan(with_pair_features)
    for count in (1, found.head.block_rows, found.head.block_rows + 1, found.head.call_rows):
        made = {name: make(np.random.default_rng(1), count) for name, make in PAIRS.items()}
        pairs = {name: v.astype(object) if v.dtype.kind == "U" else v for name, v in made.items()}
        planning.assert_same_scores(with_pair_features, found, pairs)


def test_one_of_several_outputs(with_pair_features):
    assert isinstance(make_plan(with_pair_features), Plan)
    found = plan_model(
        with_pair_features, "serving_default", "embedding", user_inputs=["user_id"], candidate_inputs=["movie_id"]
    )
    assert found.reason == "the score output has more than one value per pair"


def test_without_sides_nothing_can_be_planned(tmp_path, planning, tf):
    user, movie = tf.Variable(tf.ones([9, 4])), tf.Variable(tf.ones([9, 4]))

    def score(user_id, movie_id):
        return {"score": tf.reduce_sum(tf.gather(user, user_id) * tf.gather(movie, movie_id), 1)}

    path = planning.save(tmp_path / "m", score, {"user_id": "int64", "movie_id": "int64"}, [user, movie])
    found = plan_model(path, "serving_default", "score", user_inputs=[], candidate_inputs=[])
    assert found.reason == "all inputs meet in one part, which would be computed once per pair"


def test_a_score_of_the_candidate_alone_is_computed_once_a_candidate(tmp_path, planning, tf):
    popularity = tf.Variable(tf.random.normal([9], seed=1))

    def score(user_id, movie_id):
        return {"score": tf.gather(popularity, movie_id) + 0.0 * tf.zeros_like(user_id, "float32")}

    def score_without_user(user_id, movie_id):  # noqa: ARG001 - a popularity model keeps the signature of the others
        return {"score": tf.gather(popularity, movie_id)}

    specs = {"user_id": "int64", "movie_id": "int64"}
    pairs = rows(user_id=numbers(0, 9, "int64"), movie_id=numbers(0, 9, "int64"))
    for place, function in enumerate([score, score_without_user]):
        path = planning.save(tmp_path / str(place), function, specs, [popularity])
        planning.assert_same_scores(path, make_plan(path), pairs)
    assert [part.name for part in make_plan(path).parts] == ["candidate"]


def test_a_string_of_both_sides_as_score_is_not_planned(tmp_path, planning, tf):
    def score(user_id, movie_id):
        return {"score": tf.strings.to_hash_bucket_fast(tf.strings.join([user_id, movie_id]), 100)}

    path = planning.save(tmp_path / "m", score, {"user_id": "string", "movie_id": "string"}, [])
    found = plan_model(path, "serving_default", "score", user_inputs=["user_id"], candidate_inputs=["movie_id"])
    assert found.reason == "all inputs meet in one part, which would be computed once per pair"


def not_planned(tf, tmp_path, planning, change):
    """The reason why a small model is not planned after `change(hidden layer [n, 16])`."""
    user, movie, last = (tf.Variable(tf.ones(shape)) for shape in ([9, 8], [9, 8], [16, 1]))
    counter = tf.Variable(0)

    def score(user_id, movie_id):
        joined = tf.concat([tf.gather(user, user_id), tf.gather(movie, movie_id)], axis=1)
        return {"score": change(tf, joined, counter) @ last}

    tracked = [user, movie, last, counter]
    path = planning.save(tmp_path / "m", score, {"user_id": "int64", "movie_id": "int64"}, tracked)
    found = plan_model(path, "serving_default", "score", user_inputs=["user_id"], candidate_inputs=["movie_id"])
    assert isinstance(found, NotPlanned), found
    return found.reason


def count_calls(tf, x, counter):
    with tf.control_dependencies([counter.assign_add(1)]):
        return tf.identity(x)


BATCH_DEPENDENT = {
    "softmax over the batch": (lambda tf, x, _: tf.transpose(tf.nn.softmax(tf.transpose(x))), "(Softmax)"),
    "softmax by hand": (lambda tf, x, _: tf.exp(x) / tf.reduce_sum(tf.exp(x), 0, keepdims=True), "(Sum)"),
    "centred on the batch": (lambda tf, x, _: x - tf.reduce_mean(x, 0), "(Mean)"),
    "divided by the largest": (lambda tf, x, _: x / tf.reduce_max(x), "(Max)"),
    "cumulative": (lambda tf, x, _: tf.cumsum(x, 0), "(Cumsum)"),
    "reversed": (lambda _, x, __: x[::-1], "(StridedSlice)"),
    "shifted": (lambda tf, x, _: tf.concat([x[1:], x[:1]], 0), "(StridedSlice)"),
    "the first row for all": (lambda _, x, __: x - x[0], "(StridedSlice)"),
    "twice as many rows": (lambda tf, x, _: tf.concat([x, x], 0), "(ConcatV2)"),
    "rolled": (lambda tf, x, _: tf.roll(x, 1, 0), "(Roll)"),
    "in-batch products": (lambda tf, x, _: tf.matmul(tf.matmul(x, x, transpose_b=True), x), "(MatMul)"),
    "in-batch einsum": (lambda tf, x, _: tf.einsum("ij,kj,kl->il", x, x, x), "(Einsum)"),
    "products over the batch": (lambda tf, x, _: tf.einsum("ij,ik->jk", x, x)[:1] + x, "(Einsum)"),
    "every row with every row": (lambda tf, x, _: tf.reduce_sum(x[:, 0] * x[:, 1:2], 1, True) + x, "(Mul)"),
    "divided by the number of pairs": (lambda tf, x, _: x / tf.cast(tf.shape(x)[0], tf.float32), "(Cast)"),
    "position": (lambda tf, x, _: x + tf.cast(tf.range(tf.shape(x)[0])[:, None], tf.float32), "(Range)"),
    "sorted": (lambda tf, x, _: tf.sort(x, axis=0), "(TopKV2)"),
    "one hot across": (lambda tf, x, _: x + tf.one_hot(tf.argmax(x, 1), 16, axis=0)[:, 0], "(OneHot)"),
    "rows picked by rows": (lambda tf, x, _: tf.gather(x, tf.argmax(x, 1)), "(GatherV2)"),
    "masked": (lambda tf, x, _: tf.boolean_mask(x, x[:, 0] > 0), "(Where)"),
    "distinct": (lambda tf, x, _: tf.cast(tf.unique(x[:, 0])[1][:, None], tf.float32) * x, "(StridedSlice)"),
    "mixed by a reshape": (lambda tf, x, _: tf.transpose(tf.reshape(x, [16, -1])), "(Reshape)"),
    "repeated": (lambda tf, x, _: tf.tile(x, [2, 1]), "(Tile)"),
    "a loop over rows": (lambda tf, x, _: tf.map_fn(lambda row: row * 2, x), "not known to treat every row alone"),
    "random": (lambda tf, x, _: x * tf.random.uniform([16]), "(RandomUniform)"),
    "random for each row": (lambda tf, x, _: x * tf.random.uniform(tf.shape(x)), "(RandomUniform)"),
    "counts its calls": (count_calls, "(AssignAddVariableOp): it changes state"),
    "batch normalisation in training": (
        lambda tf, x, _: tf.compat.v1.nn.fused_batch_norm(x[:, None, None], tf.ones(16), tf.zeros(16))[0][:, 0, 0],
        "(FusedBatchNormV3): it normalises over the batch",
    ),
}


@pytest.mark.parametrize("name", BATCH_DEPENDENT)
def test_what_depends_on_the_batch_is_not_planned(tmp_path, planning, name, tf):
    change, reason = BATCH_DEPENDENT[name]
    assert reason in not_planned(tf, tmp_path, planning, change)


def test_the_models_own_assertions_are_kept(tmp_path, planning, keras, tf):
    layers = keras.layers
    user = keras.Sequential([
        layers.StringLookup(vocabulary=USERS, mask_token=None, num_oov_indices=0), layers.Embedding(len(USERS), 8),
    ])  # fmt: skip
    genre = keras.Sequential([layers.IntegerLookup(vocabulary=[4, 5, 6]), layers.CategoryEncoding(4, "one_hot")])
    movie, top = tower(keras, MOVIES, 8), mlp(keras, 8)

    def score(user_id, movie_id, genre_id):
        return {"score": top(tf.concat([user(user_id), tf.concat([movie(movie_id), genre(genre_id)], 1)], 1))}

    specs = {"user_id": "string", "movie_id": "string", "genre_id": "int64"}
    path = planning.save(tmp_path / "m", score, specs, [user, movie, genre, top])
    found = make_plan(path)
    known = lambda rng, n: rng.choice(np.array(USERS), n)  # noqa: E731
    pairs = rows(user_id=known, movie_id=ids(MOVIES), genre_id=numbers(4, 8, "int64"))
    planning.assert_same_scores(path, found, pairs)
    pairs["user_id"][17] = "nobody"
    model = planning.LoadedModel(path, found)
    for way in (model.score, model.score_with_plan):
        with pytest.raises(tf.errors.InvalidArgumentError, match="nobody"):
            way(pairs)
    model.close()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats(tmp_path, planning, dtype, tf):
    rng = np.random.default_rng(5)
    user = tf.Variable(rng.normal(size=(40, 8)), dtype=dtype)
    movie = tf.Variable(rng.normal(size=(60, 8)), dtype=dtype)
    weight = tf.Variable(rng.normal(size=(16, 1)), dtype=dtype)

    def score(user_id, movie_id):
        return {"score": tf.matmul(tf.concat([tf.gather(user, user_id), tf.gather(movie, movie_id)], 1), weight)}

    path = planning.save(tmp_path / "m", score, {"user_id": "int64", "movie_id": "int32"}, [user, movie, weight])
    if dtype != "float64":
        found = plan_model(path, "serving_default", "score", user_inputs=["user_id"], candidate_inputs=["movie_id"])
        assert isinstance(found, NotPlanned)
        assert f"it is {dtype}, which a plan would round otherwise than the model" in found.reason
        return
    found = make_plan(path)
    assert found.head.dtype == "float64"
    pairs = rows(user_id=numbers(0, 40, "int64"), movie_id=numbers(0, 60, "int32"))
    model = planning.LoadedModel(path, found)
    np.testing.assert_allclose(model.score_with_plan(pairs), model.score(pairs), rtol=1e-12, atol=1e-12)
    model.close()


def test_a_plan_holds_no_weights_and_its_size_does_not_depend_on_the_vocabulary(tmp_path, planning, keras, tf):
    sizes = []
    for count in (10, 20_000):
        user, movie, rating = (
            tower(keras, [str(i) for i in range(count)]),
            tower(keras, MOVIES),
            mlp(keras, 256, 64),
        )

        def score(user_id, movie_id, user=user, movie=movie, rating=rating):
            return {"score": rating(tf.concat([user(user_id), movie(movie_id)], axis=1))}

        path = tmp_path / str(count)
        planning.save(path, score, {"user_id": "string", "movie_id": "string"}, [user, movie, rating])
        sizes.append(len(make_plan(path).graph))
    assert max(sizes) - min(sizes) < 64  # the table's name and the variable's shape are spelled in the graph
    assert max(sizes) < 20_000


def test_a_plan_is_the_same_every_time(with_pair_features):
    assert make_plan(with_pair_features) == make_plan(with_pair_features)


def test_the_planner_in_a_process_of_its_own_writes_the_same_plan(tmp_path, with_pair_features):
    main(
        f"--model {with_pair_features} --signature serving_default --score-output score --user-input user_id"
        f" --candidate-input movie_id --directory {tmp_path}".split(" ")
    )
    assert read_plan(tmp_path) == make_plan(with_pair_features)
