"""A small real ranking model, exported once for all tests of scoring that need TensorFlow."""

from __future__ import annotations

import shutil
import string
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from batchscore.scoring.pairs import ScorablePairs

USERS = [f"u{number}" for number in range(40)]
ITEMS = [a + b for a in string.ascii_lowercase[:10] for b in string.ascii_lowercase[:6]]


def _export_ranking_model(tf, path):
    """Look-ups, embeddings of 32, Dense 64 -> 256 -> 64 -> 1 with seeded weights, and the card for it."""
    from batchscore.savedmodel.card import KnownSignature, ModelCard, Probes, write_card

    draw = np.random.default_rng(7)

    def weights(*shape):
        return tf.Variable(draw.normal(0, shape[0] ** -0.5, shape).astype(np.float32))

    def table(keys):
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.range(1, len(keys) + 1)), default_value=0
        )

    class Ranking(tf.Module):
        def __init__(self):
            super().__init__()
            self.users, self.items = table(USERS), table(ITEMS)
            self.user_rows, self.item_rows = weights(len(USERS) + 1, 32), weights(len(ITEMS) + 1, 32)
            self.layers = [
                (weights(64, 256), weights(256)),
                (weights(256, 64), weights(64)),
                (weights(64, 1), weights(1)),
            ]

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.string)])
        def serve(self, user_id, item_id):
            x = tf.concat([
                tf.nn.embedding_lookup(self.user_rows, self.users.lookup(user_id)),
                tf.nn.embedding_lookup(self.item_rows, self.items.lookup(item_id)),
            ], axis=1)  # fmt: skip
            for index, (kernel, bias) in enumerate(self.layers):
                x = tf.matmul(x, kernel) + bias
                x = x if index == len(self.layers) - 1 else tf.nn.relu(x)
            return {"score": tf.squeeze(x, 1)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.string)])
        def known(self, user_id, item_id):
            return {"user": self.users.lookup(user_id) > 0, "item": self.items.lookup(item_id) > 0}

    model = Ranking()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.serve, "known": model.known})
    probe = [tf.constant(USERS[:4]), tf.constant(ITEMS[:4])]
    card = ModelCard(
        signature="serving_default",
        score_output="score",
        user_input="user_id",
        candidate_input="item_id",
        known=KnownSignature(signature="known", user_output="user", candidate_output="item"),
        probes=Probes(
            inputs={"user_id": USERS[:4], "item_id": ITEMS[:4]},
            scores=model.serve(*probe)["score"].numpy().tolist(),
        ),
    )
    write_card(path, card)


@pytest.fixture(scope="session")
def ranking_model(tf, tmp_path_factory):
    """Path of the SavedModel. It knows the users u0 to u39 and 60 items, aa to jf."""
    path = tmp_path_factory.mktemp("models") / "ranking"
    _export_ranking_model(tf, path)
    return path


@pytest.fixture(scope="session")
def vocabulary():
    """The users and the items that `ranking_model` knows."""
    return USERS, ITEMS


@pytest.fixture(scope="session")
def make_pairs():
    """Pairs without bad rows whose model inputs are `feeds`, and whose ids are their row numbers."""

    def make(feeds, constants=None, first_row=0):
        arrays = {
            name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in feeds.items()
        }
        rows = len(next(iter(arrays.values())))
        ids = pa.array(range(first_row, first_row + rows), pa.int64())
        return ScorablePairs(
            "pairs.parquet", np.arange(first_row, first_row + rows), ids, ids, [], arrays, constants or {}
        )

    return make


def _export_varied_model(tf, path):
    """int64 users, string items, a feature that varies within a user, one of the pair, and a label as an input."""
    draw = np.random.default_rng(11)

    def weights(*shape):
        return tf.Variable(draw.normal(0, shape[0] ** -0.5, shape).astype(np.float32))

    class Varied(tf.Module):
        def __init__(self):
            super().__init__()
            self.users = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(tf.range(1, 41, dtype=tf.int64), tf.range(1, 41)), 0
            )
            self.items = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(tf.constant(ITEMS), tf.range(1, len(ITEMS) + 1)), 0
            )
            self.user_rows, self.item_rows = weights(41, 8), weights(len(ITEMS) + 1, 8)
            self.hour, self.kernel, self.bias, self.last = (
                weights(1, 8),
                weights(17, 32),
                weights(32),
                weights(32, 1),
            )

        @tf.function(input_signature=[
            tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 1], tf.string), tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.float32),
        ])  # fmt: skip
        def serve(self, user_id, item_id, hour, seen, label):
            x = tf.concat([
                tf.gather(self.user_rows, self.users.lookup(user_id)) + tf.tanh(hour[:, None] / 24 * self.hour),
                tf.gather(self.item_rows, self.items.lookup(tf.squeeze(item_id, 1))),
                seen[:, None],
            ], axis=1)  # fmt: skip
            hidden = tf.nn.relu(tf.matmul(x, self.kernel) + self.bias)
            return {"score": tf.matmul(hidden, self.last) + 0.0 * label[:, None]}

    model = Varied()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.serve})


def _export_strict_model(tf, path):
    """A model that fails on ids outside its vocabularies, as StringLookup(num_oov_indices=0) does."""
    draw = np.random.default_rng(13)

    class Strict(tf.Module):
        def __init__(self):
            super().__init__()
            self.tables = [
                tf.lookup.StaticHashTable(
                    tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.range(len(keys))), -1
                )
                for keys in (USERS, ITEMS)
            ]
            self.rows = [
                tf.Variable(draw.normal(size=(len(keys), 8)).astype(np.float32)) for keys in (USERS, ITEMS)
            ]
            self.kernel = tf.Variable(draw.normal(size=(16, 24)).astype(np.float32))
            self.last = tf.Variable(draw.normal(size=(24, 1)).astype(np.float32))

        def embed(self, place, ids):
            found = self.tables[place].lookup(ids)
            unknown = tf.where(tf.equal(found, -1))
            with tf.control_dependencies([tf.debugging.Assert(tf.equal(tf.size(unknown), 0), ["unknown id", ids])]):
                return tf.gather(self.rows[place], tf.identity(found))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.string)])
        def serve(self, user_id, item_id):
            x = tf.concat([self.embed(0, user_id), self.embed(1, item_id)], axis=1)
            return {"score": tf.squeeze(tf.nn.relu(x @ self.kernel) @ self.last, 1)}

    model = Strict()
    tf.saved_model.save(model, str(path), signatures={"serving_default": model.serve})


@pytest.fixture(scope="session")
def planned_models(tf, ranking_model, tmp_path_factory):
    """`ranking`, `varied` and `strict` with their plans, whose heads take 2,048 pairs a call in blocks of 64."""
    from batchscore.planning.graph import head
    from batchscore.planning.graph.plan_model import plan_model
    from batchscore.planning.plan import Plan
    from batchscore.planning.plan_file import write_plan

    folder = tmp_path_factory.mktemp("planned")
    shutil.copytree(ranking_model, folder / "ranking")
    _export_varied_model(tf, folder / "varied")
    _export_strict_model(tf, folder / "strict")
    with mock.patch.object(head, "CALL_ROWS", 2048), mock.patch.object(head, "BLOCK_ROWS", 64):
        for path in folder.iterdir():
            plan = plan_model(
                path, "serving_default", "score", user_inputs=["user_id"], candidate_inputs=["item_id"]
            )
            assert isinstance(plan, Plan), plan
            (path / "assets.extra").mkdir(exist_ok=True)
            write_plan(path / "assets.extra", plan)
    return folder
