"""Export models as other people do: python tests/models/make_exports.py KIND DIRECTORY

KIND is `keras3`, `tf_keras`, `tfrs`, `tutorials` (those of TFRS, see tutorials.py), `modules` (plain tf.Module, one
for each way of exporting) or `risky` (one for each thing that a model should not do). Ranking models know the users
u0 to u49 and the items m0 to m29 where they have a vocabulary.

The tests make all kinds but `keras3` in their own process, which has Keras 2.
"""

from __future__ import annotations

import os
import runpy
import sys
import warnings
from pathlib import Path

if __name__ == "__main__":
    os.environ["TF_USE_LEGACY_KERAS"] = "0" if sys.argv[1] == "keras3" else "1"

import tensorflow as tf

USERS = [f"u{number}" for number in range(50)]
ITEMS = [f"m{number}" for number in range(30)]
TEXT = tf.TensorSpec([None], tf.string)
FLOAT = tf.TensorSpec([None], tf.float32)


def table(keys, default=0):
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.range(1, len(keys) + 1, dtype=tf.int64)), default
    )


def save(module, path, **signatures):
    tf.saved_model.save(module, str(path), signatures=signatures or None)


class Towers(tf.Module):
    """Two embeddings and their product."""

    def __init__(self, users, items):
        super().__init__()
        generator = tf.random.Generator.from_seed(7)
        self.users, self.items = users, items
        self.user_vectors = tf.Variable(generator.normal([51, 4]), name="user_vectors")
        self.item_vectors = tf.Variable(generator.normal([31, 4]), name="item_vectors")
        self.weights = tf.Variable(generator.normal([4]), name="weights")

    def product(self, user_id, item_id):
        vectors = tf.gather(self.user_vectors, self.users.lookup(user_id))
        return vectors * tf.gather(self.item_vectors, self.items.lookup(item_id))


def heads(path):
    """Two scores of a pair and an embedding; an integer and a text output too."""
    module = Towers(table(USERS), table(ITEMS))

    @tf.function(input_signature=[TEXT, TEXT])
    def serve(user_id, movie_id):
        product = module.product(user_id, movie_id)
        return {
            "rating": tf.reduce_sum(product, 1),
            "click": tf.nn.sigmoid(tf.linalg.matvec(product, module.weights))[:, None],
            "embedding": product,
            "title": tf.strings.join(["about ", movie_id]),
        }

    module.serve = serve
    save(module, path, serving_default=serve)


def text_table(path):
    """A vocabulary in a file, integer item ids, a float64 score of shape [n, 1]."""
    vocabulary = Path(f"{path}.users.txt")
    vocabulary.write_text("\n".join(USERS) + "\n")
    users = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            str(vocabulary), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        50,
    )  # fmt: skip
    items = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.range(100, 130, dtype=tf.int64), tf.range(1, 31, dtype=tf.int64)), 0
    )
    module = Towers(users, items)

    @tf.function(input_signature=[TEXT, tf.TensorSpec([None, 1], tf.int64)])
    def serve(user_id, item):
        return {"score": tf.cast(tf.reduce_sum(module.product(user_id, tf.squeeze(item, 1)), 1, True), tf.float64)}

    module.serve = serve
    save(module, path, serving_default=serve)
    vocabulary.unlink()


def label(path):
    """The rating that it was trained on is an input, as in an export of tfrs.Model itself."""
    module = Towers(table(USERS), table(ITEMS))

    @tf.function(input_signature=[TEXT, TEXT, FLOAT])
    def serve(user_id, movie_id, user_rating):
        return {"score": tf.reduce_sum(module.product(user_id, movie_id), 1) + 0 * user_rating}

    module.serve = serve
    save(module, path, serving_default=serve)


def renamed(path):
    """Inputs of other names, two signatures of other names, and numbers as ids that are text inside."""
    module = Towers(table([str(number) for number in range(50)]), table(ITEMS))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64), TEXT])
    def rank(uid, article):
        return {"logit": tf.reduce_sum(module.product(tf.strings.as_string(uid), article), 1)}

    @tf.function(input_signature=[TEXT])
    def embed(article):
        return {"vector": tf.gather(module.item_vectors, module.items.lookup(article))}

    module.rank, module.embed = rank, embed
    save(module, path, rank=rank, embed=embed)


def hashed(path):
    """No vocabulary: ids are hashed. A bool and an integer feature, an integer score."""
    module = tf.Module()
    module.weights = tf.Variable(tf.range(64))

    @tf.function(input_signature=[TEXT, TEXT, tf.TensorSpec([None], tf.bool), tf.TensorSpec([None], tf.int32)])
    def serve(user_id, item_id, premium, age):
        buckets = [tf.strings.to_hash_bucket_fast(ids, 64) for ids in (user_id, item_id)]
        return {
            "points": sum(tf.gather(module.weights, bucket) for bucket in buckets)
            + tf.cast(premium, tf.int32) * age
        }

    module.serve = serve
    save(module, path, serving_default=serve)


def listwise(path):
    """Ten items of a user at once."""
    module = Towers(table(USERS), table(ITEMS))

    @tf.function(input_signature=[TEXT, tf.TensorSpec([None, 10], tf.string)])
    def serve(user_id, movie_ids):
        items = tf.gather(module.item_vectors, module.items.lookup(movie_ids))
        users = tf.gather(module.user_vectors, module.users.lookup(user_id))
        return {"scores": tf.einsum("nd,nld->nl", users, items)}

    module.serve = serve
    save(module, path, serving_default=serve)


def mutable(path):
    """Vocabularies in mutable tables, which the checkpoint holds."""
    users = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
    users.insert(tf.constant(USERS), tf.range(1, 51, dtype=tf.int64))
    module = Towers(users, table(ITEMS))

    @tf.function(input_signature=[TEXT, TEXT])
    def serve(user_id, movie_id):
        return {"score": tf.reduce_sum(module.product(user_id, movie_id), 1)}

    module.serve = serve
    save(module, path, serving_default=serve)


def strict(path):
    """No place for unknown ids: one of them fails the whole call."""
    module = Towers(table(USERS, -1), table(ITEMS, -1))

    @tf.function(input_signature=[TEXT, TEXT])
    def serve(user_id, movie_id):
        with tf.control_dependencies([tf.debugging.assert_non_negative(module.users.lookup(user_id))]):
            return {"score": tf.reduce_sum(module.product(user_id, movie_id), 1)}

    module.serve = serve
    save(module, path, serving_default=serve)


def noisy(path):
    """A dropout that was left on."""
    module = Towers(table(USERS), table(ITEMS))

    @tf.function(input_signature=[TEXT, TEXT])
    def serve(user_id, movie_id):
        return {"score": tf.reduce_sum(tf.nn.dropout(module.product(user_id, movie_id), 0.5), 1)}

    module.serve = serve
    save(module, path, serving_default=serve)


def mixing(path):
    """Statistics over the batch that were left on."""
    module = Towers(table(USERS), table(ITEMS))

    @tf.function(input_signature=[TEXT, TEXT])
    def serve(user_id, movie_id):
        score = tf.reduce_sum(module.product(user_id, movie_id), 1)
        return {"score": score - tf.reduce_mean(score) + 3.4}

    module.serve = serve
    save(module, path, serving_default=serve)


def text_mean(path):
    """The mean of a title's words without a mask: what pads it to the longest title of the call counts too."""
    module = Towers(table(USERS), table(ITEMS))
    words = table(["night", "of", "the", "harbour"])

    @tf.function(input_signature=[TEXT, TEXT, TEXT])
    def serve(user_id, movie_id, title):
        codes = words.lookup(tf.strings.split(title).to_tensor(""))
        return {
            "score": tf.reduce_sum(module.product(user_id, movie_id), 1)
            + tf.reduce_mean(tf.gather(module.item_vectors[:, 0], codes), 1)
        }

    module.serve, module.words = serve, words
    save(module, path, serving_default=serve)


def list_feature(path):
    """A list of genres of any length, which no column of the pairs gives."""
    module = Towers(table(USERS), table(ITEMS))
    known = table(["Comedy", "Drama"])

    @tf.function(input_signature=[TEXT, TEXT, tf.TensorSpec([None, None], tf.string)])
    def serve(user_id, movie_id, genres):
        means = tf.reduce_mean(tf.gather(module.item_vectors[:, 0], known.lookup(genres)), 1)
        return {"score": tf.reduce_sum(module.product(user_id, movie_id), 1) + means}

    module.serve, module.known = serve, known
    save(module, path, serving_default=serve)


def float_ids(path):
    """Numbers as floats, which is the dtype of a Keras input of which none is said."""
    module = tf.Module()
    module.vectors = tf.Variable(tf.random.Generator.from_seed(7).normal([64, 4]))
    column = tf.TensorSpec([None, 1], tf.float32)

    @tf.function(input_signature=[column, column, column])
    def serve(user_id, movie_id, age):
        users, items = (tf.gather(module.vectors, tf.cast(ids[:, 0], tf.int32)) for ids in (user_id, movie_id))
        return {"score": tf.reduce_sum(users * items, 1, True) + age / 100}

    module.serve = serve
    save(module, path, serving_default=serve)


def _of_both(path, compute, **outputs):
    """A model whose score is `compute` of the towers' product and the module; `outputs` are computed beside it."""
    module = Towers(table(USERS), table(ITEMS))
    module.calls = tf.Variable(0.0)

    @tf.function(input_signature=[TEXT, TEXT])
    def serve(user_id, movie_id):
        score = compute(module, tf.reduce_sum(module.product(user_id, movie_id), 1))
        return {"score": score} | {name: function(score) for name, function in outputs.items()}

    module.serve = serve
    save(module, path, serving_default=serve)


def clock(path):
    """The day counts, so that every night gives other scores; within a second nothing shows it."""
    _of_both(path, lambda _, score: score + tf.cast(tf.floor(tf.timestamp() / 86400), tf.float32) / 1000)


def clock_beside(path):
    """Another output tells when it was made: the score does not depend on it."""
    _of_both(path, lambda _, score: score, served_at=lambda score: tf.timestamp() + 0 * tf.cast(score, tf.float64))


def counter(path):
    """It counts its calls."""
    _of_both(path, lambda module, score: score + module.calls.assign_add(1.0))


def equal(path):
    """An integer that is the same for all."""
    _of_both(path, lambda _, score: tf.cast(0 * score, tf.int64) + 3)


def same_for_all(path):
    """It looks at the item alone."""
    module = Towers(table(USERS), table(ITEMS))

    @tf.function(input_signature=[TEXT, TEXT])
    def serve(user_id, movie_id):
        nobody = 0 * tf.cast(module.users.lookup(user_id), tf.float32)
        return {"score": tf.reduce_sum(tf.gather(module.item_vectors, module.items.lookup(movie_id)), 1) + nobody}

    module.serve = serve
    save(module, path, serving_default=serve)


def no_number(path):
    """Diverged: every score is NaN."""
    module = Towers(table(USERS), table(ITEMS))
    module.weights.assign([float("nan")] * 4)

    @tf.function(input_signature=[TEXT, TEXT])
    def serve(user_id, movie_id):
        return {"score": tf.linalg.matvec(module.product(user_id, movie_id), module.weights)}

    module.serve = serve
    save(module, path, serving_default=serve)


def fixed_batch(path):
    """Eight rows a call, no more and no fewer; scores in float16."""
    module = Towers(table(USERS), table(ITEMS))
    ids = tf.TensorSpec([8], tf.string)

    @tf.function(input_signature=[ids, ids])
    def serve(user_id, movie_id):
        return {"score": tf.cast(tf.reduce_sum(module.product(user_id, movie_id), 1), tf.float16)}

    module.serve = serve
    save(module, path, serving_default=serve)


def no_serving_tag(path):
    """Written by the builder of TensorFlow 1, for training."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        value = v1.placeholder(tf.float32, [None], "value")
        builder = v1.saved_model.Builder(str(path))
        signature = v1.saved_model.predict_signature_def({"value": value}, {"score": value * 2})
        builder.add_meta_graph_and_variables(session, ["train"], {"serving_default": signature})
        builder.save()


def tensorflow_1(path):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        value = v1.placeholder(tf.float32, [None], "value")
        v1.saved_model.simple_save(session, str(path), {"value": value}, {"score": value * 2})


def frozen(path):
    path.mkdir(parents=True)
    function = tf.function(lambda value: value * 2, input_signature=[FLOAT]).get_concrete_function()
    (path / "frozen.pb").write_bytes(function.graph.as_graph_def().SerializeToString())


def checkpoint(path):
    tf.train.Checkpoint(weights=tf.Variable([1.0])).save(str(path / "ckpt"))


def lite(path):
    path.mkdir(parents=True)
    module = tf.Module()
    module.serve = tf.function(lambda value: value * 2, input_signature=[FLOAT])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.serve.get_concrete_function()], module)
    (path / "model.tflite").write_bytes(converter.convert())


MODULES = (
    heads, text_table, label, renamed, hashed, listwise, mutable, strict, noisy, mixing, no_number, fixed_batch,
    no_serving_tag, tensorflow_1, frozen, checkpoint, lite, text_mean, float_ids,
    list_feature, clock, clock_beside, counter, equal, same_for_all,
)  # fmt: skip


def _nested(value):
    inner = tf.function(lambda item: tf.strings.length(tf.io.read_file("/etc/hostname")) + tf.cast(item, tf.int32))
    return tf.cast(
        tf.cond(tf.reduce_all(value > 0), lambda: inner(value), lambda: tf.cast(value, tf.int32)), tf.float32
    )


def _text_lines(value):
    lines = tf.data.TextLineDataset("/etc/hostname").reduce(0.0, lambda total, _: total + 1)
    return value + lines


def _read_table(value):
    handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="secrets")
    tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=handle, filename="/etc/passwd", key_index=-2, value_index=-1
    )
    return value + tf.cast(tf.raw_ops.LookupTableSizeV2(table_handle=handle), tf.float32)


def _checkpointed(value):
    tf.raw_ops.SaveV2(prefix="/nowhere/stolen", tensor_names=["value"], shape_and_slices=[""], tensors=[value])
    return value


def _written(value):
    tf.io.write_file("/nowhere/stolen", tf.strings.as_string(value[0]))
    return value


RISKY = {
    "ReadFile": lambda value: value + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32),
    "WriteFile": _written,
    "MatchingFiles": lambda value: value + tf.cast(tf.size(tf.io.matching_files("/etc/*")), tf.float32),
    "EagerPyFunc": lambda value: tf.py_function(lambda item: item, [value], tf.float32),
    "PyFunc": lambda value: tf.numpy_function(lambda item: item, [value], tf.float32),
    "PyFuncStateless": lambda value: tf.numpy_function(lambda item: item, [value], tf.float32, stateful=False),
    "TextLineDataset": _text_lines,
    "PrintV2": lambda value: [tf.print(value, output_stream="file:///nowhere/stolen"), value][1],
    "InitializeTableFromTextFileV2": _read_table,
    "SaveV2": _checkpointed,
    "DebugIdentityV2": lambda value: tf.raw_ops.DebugIdentityV2(input=value, debug_urls=["file:///nowhere"]),
    "nested": _nested,
    "unused": lambda value: value,
}


def _serving(function):
    return tf.function(lambda value: {"score": function(value)}, input_signature=[FLOAT])


def make_risky(path):
    for name, function in RISKY.items():
        module = tf.Module()
        module.serve = _serving(function)
        if name == "unused":
            module.other = tf.function(lambda: tf.io.read_file("/etc/hostname"), input_signature=[])
            module.other.get_concrete_function()
        save(module, path / name, serving_default=module.serve)


def make_keras(path, keras):
    inputs = [keras.Input((1,), dtype="string", name=name) for name in ("user_id", "movie_id")]
    vectors = []
    for ids, vocabulary in zip(inputs, (USERS, ITEMS), strict=True):
        numbers = keras.layers.StringLookup(vocabulary=vocabulary)(ids)
        vectors.append(keras.layers.Flatten()(keras.layers.Embedding(len(vocabulary) + 1, 4)(numbers)))
    hidden = keras.layers.Dense(8, activation="relu")(keras.layers.Concatenate()(vectors))
    named = dict(zip(("user_id", "movie_id"), inputs, strict=True))
    model = keras.Model(named, keras.layers.Dense(1, name="rating")(hidden))
    path.mkdir(parents=True, exist_ok=True)
    model.export(str(path / "exported"))
    model.save(str(path / "model.keras"))
    with warnings.catch_warnings(action="ignore"):  # that HDF5 is a format of old
        model.save(str(path / "model.h5"))
    model.save_weights(str(path / "model.weights.h5"))
    return model


def make_modules(path):
    for function in MODULES:
        function(path / function.__name__)


def make_tf_keras(path):
    tf.saved_model.save(make_keras(path, tf.keras), str(path / "saved"))


def make_tfrs(path):
    """A tfrs.Model, trained a little and saved as its tutorial does: the label is among the inputs."""
    import tensorflow_recommenders as tfrs

    class Rating(tfrs.Model):
        def __init__(self):
            super().__init__()
            self.towers = [
                tf.keras.Sequential([
                    tf.keras.layers.StringLookup(vocabulary=vocabulary),
                    tf.keras.layers.Embedding(len(vocabulary) + 1, 4),
                ])
                for vocabulary in (USERS, ITEMS)
            ]  # fmt: skip
            self.ratings = tf.keras.Sequential(
                [tf.keras.layers.Dense(8, activation="relu"), tf.keras.layers.Dense(1)]
            )
            self.task = tfrs.tasks.Ranking(tf.keras.losses.MeanSquaredError())

        def call(self, features):
            ids = features["user_id"], features["movie_id"]
            vectors = [tower(of_one) for tower, of_one in zip(self.towers, ids, strict=True)]
            return self.ratings(tf.concat(vectors, axis=1))

        def compute_loss(self, features, training=False):
            return self.task(features["user_rating"], self(features))

    pairs = [(user, item) for user in range(50) for item in range(30)]
    rows = tf.data.Dataset.from_tensor_slices({
        "user_id": [USERS[user] for user, _ in pairs],
        "movie_id": [ITEMS[item] for _, item in pairs],
        "user_rating": [float(1 + (user * item) % 5) for user, item in pairs],
    }).batch(100)  # fmt: skip
    model = Rating()
    model.compile(tf.keras.optimizers.Adagrad(0.1))
    model.fit(rows, epochs=2, verbose=0)
    tf.saved_model.save(model, str(path / "saved"))


def make_tutorials(path):
    runpy.run_path(str(Path(__file__).with_name("tutorials.py")))["make"](path)


def make_keras3(path):
    make_keras(path, tf.keras)


def make(kind, path):
    kinds = {
        "keras3": make_keras3, "tf_keras": make_tf_keras, "tfrs": make_tfrs, "modules": make_modules,
        "risky": make_risky, "tutorials": make_tutorials,
    }  # fmt: skip
    kinds[kind](path)


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
