from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batchscore.engine.known_ids import open_lookup
from batchscore.engine.opening import open_session
from batchscore.errors import ModelError
from batchscore.savedmodel.card import KnownTable
from batchscore.savedmodel.saved_model import read_saved_model
from batchscore.savedmodel.vocabulary import read_vocabularies

pytestmark = pytest.mark.tensorflow


@pytest.fixture(params=["c", "python"])
def sessions(request, exports):
    opened = []

    def open_(name):
        kind, model = name.split("/")
        opened.append(open_session(exports(kind) / model, threads=1, api=request.param))
        return opened[-1]

    yield open_
    for session in opened:
        session.close()


TEXT = pa.array(["u3", "", "x", "u49", "u50"])


@pytest.mark.parametrize(("place", "ids", "known"), [
    ("modules/heads serving_default user_id", TEXT, "1..1."),
    ("modules/text_table serving_default user_id", TEXT.cast(pa.large_string()), "1..1."),
    ("modules/mutable serving_default user_id", TEXT, "1..1."),
    ("modules/renamed rank uid", pa.array([3, -3, 50, 49, 2**62]), "1..1."),
    ("modules/text_table serving_default item", pa.array([100, 99, 130, 129], pa.int64()), "1..1"),
    ("modules/text_table serving_default item", pa.array([100, 2**64 - 1, 129], pa.uint64()), "1.1"),
    ("modules/text_table serving_default item", pa.array([100, 99], pa.int16()), "1."),
    ("keras3/exported serving_default user_id", TEXT, "1..1."),
    ("tf_keras/saved serving_default movie_id", pa.array(["m0", "m30", "u3"]), "1.."),
    ("modules/heads serving_default user_id", pa.array([], pa.string()), ""),
])  # fmt: skip
def test_ids_are_looked_up_in_the_models_own_table(sessions, place, ids, known):
    name, signature, input_ = place.split()
    session = sessions(name)
    saved = read_saved_model(session.path)
    table = read_vocabularies(session.path, saved.signatures[signature])[input_].table
    look_up = open_lookup(session, table.for_card(), "user")
    found = look_up(ids)
    assert found.dtype == np.bool_
    assert "".join(".1"[int(item)] for item in found) == known
    assert look_up(ids).tolist() == found.tolist()


def test_two_roles_have_a_table_each(sessions):
    session = sessions("modules/heads")
    vocabularies = read_vocabularies(session.path, read_saved_model(session.path).signatures["serving_default"])
    users = open_lookup(session, vocabularies["user_id"].table.for_card(), "user")
    items = open_lookup(session, vocabularies["movie_id"].table.for_card(), "candidate")
    ids = pa.array(["u1", "m1"])
    assert (users(ids).tolist(), items(ids).tolist()) == ([True, False], [False, True])


def test_a_table_that_the_model_does_not_have_is_no_table_of_unknown_ids(sessions):
    session = sessions("modules/heads")
    table = KnownTable(shared_name="no such table", op="HashTableV2", key_dtype="string", value_dtype="int64")
    look_up = open_lookup(session, table, "user")
    with pytest.raises(ModelError):
        look_up(pa.array(["u1"]))
