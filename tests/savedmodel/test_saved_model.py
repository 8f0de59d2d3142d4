"""Reading a SavedModel from its bytes: signatures as TensorFlow reads them, fingerprint, signature and score."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.card import ModelCard, Probes
from batchscore.savedmodel.fingerprint import fingerprint
from batchscore.savedmodel.proto import DTYPES, SavedModelProto
from batchscore.savedmodel.saved_model import (
    Signature,
    TensorSpec,
    choose_score_output,
    choose_signature,
    read_saved_model,
)
from batchscore.savedmodel.variables_index import read_shards

EXPORTS = Path(__file__).with_name("exports.py")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Folders of models that legacy Keras, Keras 3 and tf.Module exported, each in a process of its own."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("legacy", "keras3")}
    environ = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    processes = [
        subprocess.Popen([sys.executable, EXPORTS, folder, kind], env=environ, stderr=subprocess.PIPE, text=True)
        for kind, folder in folders.items()
    ]
    for process in processes:
        _, stderr = process.communicate(timeout=200)
        assert process.returncode == 0, stderr
    return folders


@pytest.mark.process
@pytest.mark.parametrize(
    ("kind", "name"),
    [("legacy", "functional"), ("legacy", "subclassed"), ("keras3", "exported"), ("keras3", "module"),
     ("keras3", "without_signatures")],
)  # fmt: skip
def test_signatures_are_those_that_tensorflows_parser_reads(exported, kind, name):
    path = exported[kind] / name
    by_tensorflow = json.loads(path.with_suffix(".json").read_text())
    model = read_saved_model(path)

    def tensors(specs):
        assert all(key == spec.name for key, spec in specs.items())
        return {
            key: [spec.tensor, spec.dtype, None if spec.shape is None else list(spec.shape)]
            for key, spec in specs.items()
        }

    found = {name: [tensors(item.inputs), tensors(item.outputs)] for name, item in model.signatures.items()}
    assert found == by_tensorflow["signatures"]
    assert model.tensorflow_version == by_tensorflow["version"]
    assert (model.path, model.version, model.card) == (path.resolve(), None, None)


@pytest.mark.process
def test_the_score_of_what_keras_exports_is_found(exported):
    model = read_saved_model(exported["keras3"] / "exported")
    signature, why = choose_signature(model)
    assert (signature.name, why) == ("serving_default", "the default")
    assert {name: spec.shape for name, spec in signature.inputs.items()} == {
        "user_id": (None, 1), "item_id": (None, 1),
    }  # fmt: skip
    score, why = choose_score_output(signature)
    assert score.shape == (None, 1)
    assert why == "the only output with one number per pair"


@pytest.mark.process
def test_shards_of_a_bundle_are_those_on_the_disk(exported):
    shards = exported["keras3"] / "shards"
    on_disk = {path.name: path.stat().st_size for path in shards.glob("variables.data-*")}
    assert len(on_disk) == 2
    assert read_shards(shards / "variables.index") == on_disk


@pytest.mark.process
def test_every_dtype_of_a_signature_has_tensorflows_name(exported):
    inputs = read_saved_model(exported["keras3"] / "module").signatures["serving_default"].inputs
    assert all(name == f"x_{spec.dtype}" for name, spec in inputs.items())
    assert {spec.dtype for spec in inputs.values()} == set(DTYPES.values()) - {"resource"}


# bytes that are no SavedModel


def saved_model(path, content=None, tags=("serve",), signatures=("serving_default",)):
    """A SavedModel of the bytes that batchscore reads, and no more."""
    path.mkdir(parents=True, exist_ok=True)
    if content is None:
        proto = SavedModelProto(schema_version=1)
        graph = proto.meta_graphs.add(object_graph_def=b"\n\0")
        graph.meta_info_def.tags.extend(tags)
        for name in signatures:
            signature = graph.signature_def.add(key=name)
            signature.value.inputs.add(key="x").value.dtype = 1
        content = proto.SerializeToString()
    (path / "saved_model.pb").write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no graphs"),
        (b"\xff" * 100, "is damaged or is not a SavedModel"),
        (b"user_id,item_id\n1,2\n", "is damaged or is not a SavedModel"),
        (SavedModelProto(schema_version=1).SerializeToString(), "no graph for serving"),
    ],
)
def test_bytes_that_are_no_saved_model_are_refused(tmp_path, content, said):
    with pytest.raises(ModelError, match=said) as caught:
        read_saved_model(saved_model(tmp_path / "model", content))
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-NOT-SAVEDMODEL", 4)


def test_a_graph_for_something_else_is_not_served(tmp_path):
    with pytest.raises(ModelError, match=r"graphs tagged train"):
        read_saved_model(saved_model(tmp_path / "model", tags=["train"]))


# fingerprint


@pytest.fixture
def model(tmp_path):
    path = saved_model(tmp_path / "model")
    for name in (
        "variables/variables.data-00000-of-00001",
        "assets/vocabulary.txt",
        "assets.extra/batchscore.json",
    ):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(name)
    return path


def test_the_fingerprint_is_sha256_over_sorted_path_size_and_digest(tmp_path):
    for name, content in (("b/x", b"1"), ("b-x", b"22"), ("a", b"")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    lines = [f"{name}\0{len(content)}\0{hashlib.sha256(content).hexdigest()}\n"
             for name, content in (("a", b""), ("b-x", b"22"), ("b/x", b"1"))]  # fmt: skip
    assert fingerprint(tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_fingerprint_stays_when_only_times_and_the_plan_change(model):
    before = fingerprint(model)
    os.utime(model / "saved_model.pb", ns=(0, 0))
    (model / "empty").mkdir()
    for name in ("batchscore.plan", "batchscore.plan.json", "batchscore.plan/graph.pb"):
        path = model / "assets.extra" / name
        if path.parent.is_file():
            path.parent.unlink()
        path.parent.mkdir(exist_ok=True)
        path.write_text("a plan")
        assert fingerprint(model) == before


@pytest.mark.parametrize(
    "change", ["a byte", "a new file", "a file gone", "a file renamed", "bytes moved between files", "the card"]
)
def test_the_fingerprint_changes_with_any_other_byte(model, change):
    before = fingerprint(model)
    vocabulary = model / "assets" / "vocabulary.txt"
    if change == "a byte":
        vocabulary.write_bytes(vocabulary.read_bytes()[:-1] + b"?")
    elif change == "a new file":
        (model / "assets" / "empty.txt").touch()
    elif change == "a file gone":
        vocabulary.unlink()
    elif change == "a file renamed":
        vocabulary.rename(vocabulary.with_name("other.txt"))
    elif change == "the card":
        (model / "assets.extra" / "batchscore.json").write_text("{}")
    else:
        data = model / "variables" / "variables.data-00000-of-00001"
        first, second = data.read_bytes(), vocabulary.read_bytes()
        data.write_bytes(first[:-1])
        vocabulary.write_bytes(first[-1:] + second)
    assert fingerprint(model) != before


def test_a_copy_has_the_same_fingerprint_wherever_it_lies(model, tmp_path):
    shutil.copytree(model, tmp_path / "elsewhere" / "42")
    assert fingerprint(tmp_path / "elsewhere" / "42") == fingerprint(model)


def test_a_file_name_that_is_no_utf8_has_a_fingerprint_too(model):
    before = fingerprint(model)
    with open(os.fsencode(model) + b"/\xff", "wb"):  # noqa: PTH123 - a path of bytes
        pass
    assert fingerprint(model) != before


# which signature, which output


def card(signature="serving_default", score_output="score"):
    return ModelCard(
        signature=signature, score_output=score_output, user_input="u", candidate_input="c",
        probes=Probes(inputs={}, scores=[]),
    )  # fmt: skip


def test_the_signature_is_the_one_asked_for_or_the_cards_or_the_default(tmp_path):
    path = saved_model(tmp_path / "model", signatures=["a", "b", "serving_default", "__saved_model_init_op"])
    model = read_saved_model(path)
    assert list(model.signatures) == ["a", "b", "serving_default"]
    assert choose_signature(model)[0].name == "serving_default"
    assert [item if isinstance(item, str) else item.name for item in choose_signature(model, "b")] == [
        "b",
        "--signature",
    ]
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / "batchscore.json").write_text(card("a").model_dump_json())
    model = read_saved_model(path)
    assert choose_signature(model)[0].name == "a"
    assert choose_signature(model)[1] == "model card"
    assert choose_signature(model, "b")[0].name == "b"


def test_a_signature_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    model = read_saved_model(saved_model(tmp_path / "model", signatures=["a", "b"]))
    with pytest.raises(ModelError, match="found:    a, b") as caught:
        choose_signature(model)
    assert caught.value.error_id == "E-MODEL-SIGNATURE"


def signature_of(**outputs):
    specs = {name: TensorSpec(name, name, dtype, shape) for name, (dtype, shape) in outputs.items()}
    return Signature("serving_default", {}, specs)


EMBEDDING = ("float32", (None, 32))
SCORE = ("float32", (None,))


@pytest.mark.parametrize(
    ("outputs", "wanted", "card_", "expected"),
    [
        ({"output_1": EMBEDDING, "output_2": SCORE}, None, None, "output_2"),
        ({"s": ("float64", (None, 1)), "label": ("string", (None,))}, None, None, "s"),
        ({"s": ("int32", (8,)), "loss": ("float32", ())}, None, None, "s"),
        ({"a": SCORE, "b": SCORE}, "b", None, "b"),
        ({"a": SCORE, "b": SCORE}, None, card(score_output="b"), "b"),
        ({"a": SCORE, "b": SCORE}, "a", card(score_output="b"), "a"),
        ({"a": SCORE, "e": EMBEDDING}, None, card("another", "e"), "a"),
        ({"s": ("float32", None)}, None, None, "s"),
    ],
)
def test_the_score_output_is_told(outputs, wanted, card_, expected):
    assert choose_score_output(signature_of(**outputs), wanted, card_)[0].name == expected


@pytest.mark.parametrize(
    ("outputs", "wanted", "card_", "said"),
    [
        ({"a": SCORE, "b": SCORE}, None, None, "2 outputs of signature 'serving_default' could be the score"),
        ({"e": EMBEDDING}, None, None, "no outputs of signature 'serving_default' could be the score"),
        ({"t": ("string", (None,)), "k": ("bool", (None,))}, None, None, "no outputs"),
        ({"loss": ("float32", ())}, None, None, "no outputs"),
        ({"a": SCORE}, "b", None, r"output 'b' \(--score-output\) is not a score"),
        ({"a": SCORE, "e": EMBEDDING}, "e", None, r"output 'e' \(--score-output\) is not a score"),
        ({"a": SCORE}, None, card(score_output="gone"), r"output 'gone' \(model card\) is not a score"),
    ],
)
def test_a_score_output_that_cannot_be_told_is_refused_with_all_outputs(outputs, wanted, card_, said):
    with pytest.raises(ModelError, match=said) as caught:
        choose_score_output(signature_of(**outputs), wanted, card_)
    assert caught.value.error_id == "E-MODEL-OUTPUT"
    assert all(name in str(caught.value) for name in outputs)


@pytest.mark.parametrize(
    ("shape", "text"),
    [((None,), "x float32 [n]"), ((None, 1), "x float32 [n, 1]"), ((), "x float32 []"), (None, "x float32")],
)
def test_tensors_are_spelled_for_messages(shape, text):
    assert str(TensorSpec("x", "x:0", "float32", shape)) == text
