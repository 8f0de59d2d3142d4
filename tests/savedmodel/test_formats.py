from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.saved_model import read_saved_model

ECHO = Path(__file__).parents[1] / "models" / "echo"


def refusal(path):
    with pytest.raises(ModelError) as caught:
        read_saved_model(path)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-NOT-SAVEDMODEL", 4)
    return str(caught.value)


@pytest.mark.tensorflow
@pytest.mark.parametrize("keras", ["tf_keras", "keras3"])
@pytest.mark.parametrize(("name", "found", "next_step"), [
    ("model.keras", "a Keras archive (.keras)", "keras.saving.load_model(PATH).export('model/1')"),
    ("model.h5", "a Keras model in HDF5", "keras.saving.load_model(PATH).export('model/1')"),
    ("model.weights.h5", "Keras weights in HDF5, without a graph", "model.load_weights, then model.export("),
])  # fmt: skip
def test_keras_files(exports, keras, name, found, next_step):
    message = refusal(exports(keras) / name)
    assert f"found:    {found}\n" in message
    assert next_step in message


@pytest.mark.tensorflow
def test_an_unpacked_keras_archive(exports, tmp_path):
    with zipfile.ZipFile(exports("keras3") / "model.keras") as archive:
        archive.extractall(tmp_path / "model")
    assert "found:    an unpacked .keras archive" in refusal(tmp_path / "model")


@pytest.mark.tensorflow
@pytest.mark.parametrize(("name", "found", "next_step"), [
    ("lite/model.tflite", "a TensorFlow Lite model", "there is no way back from .tflite"),
    ("lite", "model.tflite: a TensorFlow Lite model", "there is no way back from .tflite"),
    ("frozen/frozen.pb", "a frozen graph (GraphDef), which has no signatures", "from the code that froze it"),
    ("frozen", "frozen.pb: a frozen graph", "from the code that froze it"),
    ("checkpoint", "a TensorFlow checkpoint: weights without a graph", "build the model in code, load"),
    ("checkpoint/ckpt-1.index", "a TensorFlow checkpoint: weights without a graph", "load these weights"),
    ("tensorflow_1", "a graph without objects, written by TensorFlow 2", "rebuild the model as a tf.Module"),
    ("no_serving_tag", "graphs tagged train", "add the graph under tf.saved_model.SERVING"),
    ("heads/saved_model.pb", "the file inside a SavedModel", "heads"),
])  # fmt: skip
def test_other_formats_of_tensorflow(exports, name, found, next_step):
    message = refusal(exports("modules") / name)
    assert f"found:    {found}" in message
    assert next_step in message


def test_a_zip_of_a_saved_model_says_what_to_give(tmp_path):
    archive = shutil.make_archive(str(tmp_path / "model"), "zip", ECHO)
    message = refusal(tmp_path / "model.zip")
    assert "a zip file with a SavedModel in it" in message
    assert "1/saved_model.pb" in message
    assert archive == str(tmp_path / "model.zip")


@pytest.mark.parametrize(("head", "found"), [
    (b"PK\x03\x04 cut short", "a damaged zip file"),
    (b"\x1f\x8b\x08", "a packed archive"),
    (b"words", "a file of an unknown format"),
    (b"", "a file of an unknown format"),
])  # fmt: skip
def test_other_files(tmp_path, head, found):
    (tmp_path / "model.bin").write_bytes(head)
    assert f"found:    {found}" in refusal(tmp_path / "model.bin")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model")
    assert "a file of an unknown format" in refusal(tmp_path / "model")


@pytest.mark.parametrize(("names", "found"), [
    (["saved_model.pbtxt"], "a SavedModel in text form"),
    (["saved_model.cpb"], "a SavedModel in chunks"),
    (["notes.txt"], "notes.txt"),
    ([], "an empty directory"),
    (["new/saved_model.pb"], "SavedModels whose names are not version numbers: new"),
    (["0042/saved_model.pb"], "SavedModels whose names are not version numbers: 0042"),
])  # fmt: skip
def test_other_directories(tmp_path, names, found):
    for name in names:
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).touch()
    (tmp_path / "model").mkdir(exist_ok=True)
    assert f"found:    {found}\n" in refusal(tmp_path / "model")
