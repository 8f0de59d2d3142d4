"""Make the model `echo` of the golden cases: python tests/models/make_echo.py

Its score is the input `value`, so that ids, scores and ranks are exact. It knows the users u1 to u9 and 1 to 9, and
the items a to z.
"""

from __future__ import annotations

import shutil
import string
from pathlib import Path

import tensorflow as tf

from batchscore.savedmodel.card import KnownSignature, ModelCard, Probes, write_card

USERS = [f"u{number}" for number in range(1, 10)] + [str(number) for number in range(1, 10)]
ITEMS = list(string.ascii_lowercase)
IDS = tf.TensorSpec([None], tf.string)


def _table(keys: list[str]) -> tf.lookup.StaticHashTable:
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.range(1, len(keys) + 1)), default_value=0
    )


class Echo(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.users = _table(USERS)
        self.items = _table(ITEMS)

    @tf.function
    def serve(self, user_id: tf.Tensor, item_id: tf.Tensor, value: tf.Tensor) -> dict[str, tf.Tensor]:
        del user_id, item_id
        return {"score": tf.identity(value)}

    @tf.function
    def known(self, user_id: tf.Tensor, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"user_known": self.users.lookup(user_id) > 0, "item_known": self.items.lookup(item_id) > 0}


def make(path: Path) -> None:
    echo = Echo()
    serve = echo.serve.get_concrete_function(user_id=IDS, item_id=IDS, value=tf.TensorSpec([None], tf.float32))
    known = echo.known.get_concrete_function(user_id=IDS, item_id=IDS)
    shutil.rmtree(path, ignore_errors=True)
    tf.saved_model.save(echo, str(path), signatures={"serving_default": serve, "known": known})
    write_card(
        path,
        ModelCard(
            signature="serving_default",
            score_output="score",
            user_input="user_id",
            candidate_input="item_id",
            known=KnownSignature(signature="known", user_output="user_known", candidate_output="item_known"),
            probes=Probes(
                inputs={"user_id": ["u1", "u2"], "item_id": ["a", "b"], "value": [0.125, -2.5]},
                scores=[0.125, -2.5],
            ),
            made_with={"tensorflow": tf.__version__},
        ),
    )


if __name__ == "__main__":
    make(Path(__file__).parent / "echo" / "1")
