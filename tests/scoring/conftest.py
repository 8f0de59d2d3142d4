"""A small real ranking model, exported once for all tests of scoring that need TensorFlow."""

from __future__ import annotations

import string

import numpy as np
import pyarrow as pa
import pytest

from batchscore.scoring.scorer import ScorablePairs

USERS = [f"u{number}" for number in range(40)]
ITEMS = [a + b for a in string.ascii_lowercase[:10] for b in string.ascii_lowercase[:6]]


def _export_ranking_model(tf, path):
    """Look-ups, embeddings of 32, Dense 64 -> 256 -> 64 -> 1 with seeded weights, and the card for it."""
    from batchscore.runtime.card import KnownSignature, ModelCard, Probes, write_card

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
