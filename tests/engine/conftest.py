"""Small SavedModels, exported once a test session by TensorFlow's Python in this very process."""

from pathlib import Path

import pytest

USERS = [f"user-{number}" for number in range(40)]
CANDIDATES = [1, 5, 7, 2**53 + 1, -3]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NUMBERS = ["float32", "float64", "float16", "bfloat16", "bool", *INTEGERS]


@pytest.fixture(scope="session")
def models(tf, tmp_path_factory) -> Path:
    """A folder of SavedModels: see the functions below, one for each."""
    folder = tmp_path_factory.mktemp("models")
    for export in (_ranking, _numbers, _texts, _keeping, _failing, _compiled, _keras_layers, _shapes):
        module, signatures = export(tf)
        tf.saved_model.save(module, str(folder / export.__name__.removeprefix("_")), signatures)
    return folder


def _signature(tf, function, **inputs):
    specs = {name: tf.TensorSpec(shape, dtype, name=name) for name, (dtype, shape) in inputs.items()}
    return tf.function(function).get_concrete_function(**specs)


def _table(tf, keys, dtype, default):
    keys = tf.constant(keys, dtype)
    values = tf.range(1, len(keys) + 1, dtype=tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default)


def _ranking(tf):
    """Ids through tables, embeddings, two layers, like a TFRS ranking model: `user_id` [n], `candidate` [n, 1]."""
    module, random = tf.Module(), tf.random.Generator.from_seed(7)
    module.users, module.candidates = _table(tf, USERS, tf.string, 0), _table(tf, CANDIDATES, tf.int64, 0)
    module.user_vectors = tf.Variable(random.normal([len(USERS) + 1, 16]))
    module.candidate_vectors = tf.Variable(random.normal([len(CANDIDATES) + 1, 16]))
    module.first, module.bias = tf.Variable(random.normal([32, 24])), tf.Variable(random.normal([24]))
    module.second = tf.Variable(random.normal([24, 1]))

    def score(user_id, candidate):
        user = tf.gather(module.user_vectors, module.users.lookup(user_id))
        item = tf.gather(module.candidate_vectors, module.candidates.lookup(tf.squeeze(candidate, 1)))
        hidden = tf.nn.relu(tf.concat([user, item], 1) @ module.first + module.bias)
        return {"score": hidden @ module.second, "user_row": module.users.lookup(user_id)}

    inputs = {"user_id": (tf.string, [None]), "candidate": (tf.int64, [None, 1])}
    return module, {"serving_default": _signature(tf, score, **inputs)}


def _numbers(tf):
    """An input and an equal output of every numeric dtype, and sums that lose bits when rounded wrongly."""

    def echo(**inputs):
        doubled = {f"{name}_sum": value + value for name, value in inputs.items() if name != "bool"}
        return {f"{name}_out": tf.identity(value) for name, value in inputs.items()} | doubled

    specs = {name: (tf.dtypes.as_dtype(name), [None]) for name in NUMBERS}
    return tf.Module(), {"serving_default": _signature(tf, echo, **specs)}


def _texts(tf):
    """Strings in, strings and their lengths out."""

    def change(text):
        joined = tf.strings.join([text, "!"])
        return {"same": tf.identity(text), "grid": tf.stack([text, joined], 1), "bytes": tf.strings.length(text)}

    def measure(text):
        return {"bytes": tf.strings.length(text), "hash": tf.strings.to_hash_bucket_fast(text, 2**62)}

    spec = {"text": (tf.string, [None])}
    return tf.Module(), {"change": _signature(tf, change, **spec), "measure": _signature(tf, measure, **spec)}


def _keeping(tf):
    """What a model may remember: a mutable table, string and number variables."""
    module = tf.Module()
    module.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    module.text = tf.Variable([""], shape=[None], validate_shape=False)
    module.number = tf.Variable(tf.zeros([1], tf.int64), shape=[None], validate_shape=False)

    def learn(key, value):
        module.table.insert(key, value)
        return {"known": module.table.size()[tf.newaxis]}

    def recall(key):
        return {"value": module.table.lookup(key)}

    def keep(key, value):
        module.text.assign(key)
        module.number.assign(value)
        return {"rows": tf.shape(key)}

    def change(position, key):
        module.text.scatter_update(tf.IndexedSlices(key, position))
        return {"rows": tf.shape(key)}

    def kept(ignored):
        return {"text": module.text.read_value(), "number": module.number.read_value(), "rows": tf.shape(ignored)}

    text, number = (tf.string, [None]), (tf.int64, [None])
    return module, {
        "learn": _signature(tf, learn, key=text, value=number),
        "recall": _signature(tf, recall, key=text),
        "keep": _signature(tf, keep, key=text, value=number),
        "change": _signature(tf, change, position=number, key=text),
        "kept": _signature(tf, kept, ignored=number),
    }


def _failing(tf):
    """Errors inside ops, numbers that are no numbers, more memory than allowed, and an output that is no array."""

    def gather(row):
        return {"score": tf.gather(tf.constant([1.0, 2.0, 3.0]), row)}

    def divide(value):
        return {"score": tf.stack([value / 0.0, tf.math.log(value), value * float("nan")], 1)}

    def exhaust(row):
        stage = tf.raw_ops.Stage(values=[row], memory_limit=1)
        with tf.control_dependencies([stage]):
            return {"row": tf.identity(row)}

    def resource(row):
        module.variable.assign_add(1.0)
        return {"handle": module.variable.handle, "row": row}

    module = tf.Module()
    module.variable = tf.Variable(0.0)
    return module, {
        "gather": _signature(tf, gather, row=(tf.int32, [None])),
        "divide": _signature(tf, divide, value=(tf.float32, [None])),
        "exhaust": _signature(tf, exhaust, row=(tf.int32, [None])),
        "resource": _signature(tf, resource, row=(tf.int32, [None])),
    }


def _compiled(tf):
    """A layer that XLA compiles, fed by a look-up that it does not; and one that XLA cannot compile."""
    module, random = tf.Module(), tf.random.Generator.from_seed(8)
    module.table = _table(tf, USERS, tf.string, 0)
    module.vectors, module.weights = tf.Variable(random.normal([41, 16])), tf.Variable(random.normal([16, 8]))

    @tf.function(jit_compile=True)
    def head(rows):
        return tf.reduce_sum(tf.nn.relu(tf.gather(module.vectors, rows) @ module.weights), 1)

    @tf.function(jit_compile=True)
    def impossible(text):
        return tf.strings.length(text)

    def score(user_id):
        return {"score": head(module.table.lookup(user_id))}

    def fail(user_id):
        return {"score": impossible(user_id)}

    spec = {"user_id": (tf.string, [None])}
    return module, {"serving_default": _signature(tf, score, **spec), "impossible": _signature(tf, fail, **spec)}


def _keras_layers(tf):
    """The preprocessing layers of Keras 2, each with an embedding: tables and ragged text inside functions."""
    keras = tf.keras
    keras.utils.set_random_seed(9)
    text = keras.layers.TextVectorization(max_tokens=20)
    text.adapt(["the cat sat", "on the mat", "a dog ran off"])
    module = tf.Module()
    module.towers = {
        "user_id": [keras.layers.StringLookup(vocabulary=USERS, mask_token=None), keras.layers.Embedding(41, 8)],
        "movie_id": [keras.layers.IntegerLookup(vocabulary=[1, 5, 7]), keras.layers.Embedding(4, 8)],
        "title": [text, keras.layers.Embedding(20, 8, mask_zero=True), keras.layers.GlobalAveragePooling1D()],
        "hour": [keras.layers.Discretization([6.0, 12.0, 18.0]), keras.layers.Embedding(4, 8)],
    }
    module.head = keras.layers.Dense(1)

    def score(**inputs):
        towers = []
        for name, value in inputs.items():
            for layer in module.towers[name]:
                value = layer(value)  # noqa: PLW2901 - layers are called one upon another
            towers.append(value)
        return {"score": tf.squeeze(module.head(tf.concat(towers, 1)), 1)}

    inputs = {"user_id": tf.string, "movie_id": tf.int64, "title": tf.string, "hour": tf.float32}
    specs = {name: (dtype, [None]) for name, dtype in inputs.items()}
    return module, {"serving_default": _signature(tf, score, **specs)}


def _shapes(tf):
    """Inputs and outputs of any rank: none, fixed, open, unknown."""

    def echo(**inputs):
        return {f"{name}_out": tf.identity(value) for name, value in inputs.items()}

    shapes = {"scalar": [], "fixed": [4, 3], "open": [None, 7], "unknown": None}
    specs = {name: (tf.float32, shape) for name, shape in shapes.items()}
    return tf.Module(), {"serving_default": _signature(tf, echo, **specs)}
