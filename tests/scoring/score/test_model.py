"""The model of the run, without TensorFlow: what is said of the choice, and who knows its vocabulary."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.card import KnownSignature, ModelCard, Probes, write_card
from batchscore.savedmodel.proto import DTYPES, SavedModelProto
from batchscore.scoring.bind.binding import bind
from batchscore.scoring.score.model import choose_model, id_roles, load_in_background
from batchscore.settings.limits import Limit
from batchscore.settings.run import RunSettings

NUMBERS = {name: number for number, name in DTYPES.items()}
PAIRS = pa.schema([("user_id", pa.string()), ("item_id", pa.int64())])
KNOWN = KnownSignature(signature="known", user_output="user", candidate_output="item")


def export(path, *, score="float32", known_inputs=("user_id", "item_id"), known=KNOWN, card=True):
    """A SavedModel of a graph, signatures and a card, as far as the choice of a model reads them."""
    path.mkdir(parents=True)
    proto = SavedModelProto(schema_version=1)
    graph = proto.meta_graphs.add(object_graph_def=b"\n\0")
    graph.meta_info_def.tags.append("serve")
    dtypes = {"user_id": "string", "item_id": "int64", "other": "string"}

    def signature(name, inputs, outputs):
        value = graph.signature_def.add(key=name).value
        for infos, specs in ((value.inputs, inputs), (value.outputs, outputs)):
            for key, dtype in specs.items():
                info = infos.add(key=key).value
                info.dtype = NUMBERS[dtype]
                info.tensor_shape.dim.add(size=-1)

    signature("serving_default", {name: dtypes[name] for name in ("user_id", "item_id")}, {"score": score})
    signature("known", {name: dtypes[name] for name in known_inputs}, {"user": "bool", "item": "bool"})
    (path / "saved_model.pb").write_bytes(proto.SerializeToString())
    if card:
        write_card(path, ModelCard(
            signature="serving_default", score_output="score", user_input="user_id", candidate_input="item_id",
            known=known, probes=Probes(inputs={}, scores=[]),
        ))  # fmt: skip
    return path


class KnowsSome:
    """A session that knows the user u1 and the item 7."""

    def __init__(self):
        self.feeds = []

    def run(self, signature, feeds, outputs):
        assert signature.name == "known"
        assert set(feeds) == {"user_id", "item_id"}
        assert len({len(array) for array in feeds.values()}) == 1
        self.feeds.append(feeds)
        known = {"user": [item == "u1" for item in feeds["user_id"].to_pylist()],
                 "item": [item == 7 for item in feeds["item_id"].to_pylist()]}  # fmt: skip
        return {name: np.array(known[name])[:, None] for name in outputs}


def roles_of(path, session=None, **how):
    wanted = RunSettings(input="pairs.parquet", output="o", model=path, max_unknown_users="3", **how)
    model = choose_model(wanted)
    return id_roles(model, session, bind(PAIRS, model.signature, model.saved.card, wanted), wanted)


def test_the_known_signature_tells_for_each_id_alone(tmp_path):
    user, item = roles_of(export(tmp_path / "model"), KnowsSome())
    assert (user.name, user.input, user.limit, user.error_id) == (
        "user",
        "user_id",
        Limit.parse(3),
        "E-UNKNOWN-USERS",
    )
    assert (item.name, item.input, item.error_id) == ("candidate", "item_id", "E-UNKNOWN-CANDIDATES")
    assert user.is_known(pa.array(["u1", "nobody"], pa.large_string())).tolist() == [True, False]
    assert item.is_known(pa.array([7, 8, 7], pa.int64())).tolist() == [True, False, True]


def test_without_a_known_signature_and_without_tables_the_reason_is_told(tmp_path):
    for index, how in enumerate(({"known": None}, {"card": False})):
        for role in roles_of(export(tmp_path / str(index), **how)):
            assert role.is_known is None
            assert role.reason == "it is not looked up in a table"


def test_a_look_up_is_for_the_input_that_takes_the_id_whichever_column_feeds_it(tmp_path):
    user, item = roles_of(
        export(tmp_path / "model"), KnowsSome(), user_column="item_id", candidate_column="user_id",
        map={"user_id": "user_id", "item_id": "item_id"},
    )  # fmt: skip
    assert (user.input, user.column, item.input, item.column) == ("user_id", "user_id", "item_id", "item_id")
    assert user.is_known(pa.array(["u1", "nobody"], pa.large_string())).tolist() == [True, False]


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({"known_inputs": ("user_id",)}, "inputs user_id; outputs item, user"),
        ({"known_inputs": ("user_id", "other")}, "inputs other, user_id"),
        ({"known": KNOWN.model_copy(update={"signature": "gone"})}, "no such signature"),
        ({"known": KNOWN.model_copy(update={"user_output": "gone"})}, "outputs item, user"),
    ],
)
def test_a_known_signature_that_does_not_fit_is_refused(tmp_path, how, found):
    with pytest.raises(ModelError) as caught:
        roles_of(export(tmp_path / "model", **how))
    assert caught.value.error_id == "E-MODEL-CARD"
    assert found in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "rounded"),
    [
        ("float32", False),
        ("float16", False),
        ("bfloat16", False),
        ("float64", True),
        ("int64", True),
        ("int16", False),
    ],
)
def test_scores_that_float32_does_not_hold_are_said_to_be_rounded(tmp_path, dtype, rounded):
    path = export(tmp_path / "model", score=dtype)
    model = choose_model(RunSettings(input="i", output="o", model=path))
    assert model.warnings == (
        (f"scores are {dtype}: ranked at full precision, rounded to float32 when written",) if rounded else ()
    )


def test_how_the_model_was_chosen_is_logged_and_reported(tmp_path, caplog):
    export(tmp_path / "model" / "41")
    path = export(tmp_path / "model" / "42", card=False)
    with caplog.at_level("INFO", "batchscore"):
        model = choose_model(RunSettings(input=tmp_path / "pairs.parquet", output="o"))
    used = model.used
    assert (used.path, used.version, used.signature, used.score_output) == (
        str(path),
        42,
        "serving_default",
        "score",
    )
    assert used.chosen == "highest complete version"
    assert (used.signature_chosen, used.score_output_chosen) == (
        "the default",
        "the only output with one number per pair",
    )
    assert model.warnings == (f"no --model given: using {tmp_path / 'model'} beside the input",)
    for said in (str(path), "model 42", "highest complete version", used.fingerprint[:16], "the default"):
        assert said in caplog.text


class SlowSession:
    """Loads when it is let, and tells when it is closed."""

    def __init__(self, error=None):
        self.error, self.let, self.closed = error, threading.Event(), threading.Event()

    def open(self, _path, *, threads):
        assert threads == 3
        assert self.let.wait(20)
        if self.error:
            raise self.error
        return self

    def close(self):
        self.closed.set()


def slow(monkeypatch, tmp_path, error=None):
    session = SlowSession(error)
    monkeypatch.setattr("batchscore.scoring.score.model.open_session", session.open)
    settings = RunSettings(input="p.parquet", output="r.parquet", model=export(tmp_path / "m"), threads=3)
    return session, load_in_background(choose_model(settings), settings)


def test_a_loaded_session_is_closed_at_the_end(monkeypatch, tmp_path):
    session, loading = slow(monkeypatch, tmp_path)
    session.let.set()
    with loading as found:
        assert found.result() is session
        assert not session.closed.is_set()
    assert session.closed.is_set()


def test_a_session_that_nobody_waits_for_is_closed_when_it_is_loaded(monkeypatch, tmp_path):
    session, loading = slow(monkeypatch, tmp_path)
    with pytest.raises(KeyboardInterrupt), loading:
        raise KeyboardInterrupt
    assert not session.closed.is_set(), "it does not wait"
    session.let.set()
    assert session.closed.wait(20)


def test_a_model_that_cannot_be_loaded_is_told_where_it_is_waited_for(monkeypatch, tmp_path):
    session, loading = slow(monkeypatch, tmp_path, ModelError("E-MODEL-LOAD", "no", next_step="n"))
    session.let.set()
    with pytest.raises(ModelError, match="E-MODEL-LOAD"), loading as found:
        found.result()
    assert not session.closed.is_set()
