"""The Python API behind the session's interface."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.saved_model import read_saved_model

pytestmark = pytest.mark.tensorflow

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NUMBERS = ["float16", "bfloat16", "float32", "float64", "bool", *INTEGERS]


@pytest.fixture(scope="module")
def open_python(tf):  # noqa: ARG001 - loaded first, with one thread an op
    from batchscore.engine.pyapi import PythonSession

    opened = []

    def open_(path):
        opened.append(PythonSession(path, threads=2))
        return opened[-1], read_saved_model(path).signatures

    yield open_
    for session in opened:
        session.close()


@pytest.fixture(scope="module")
def model(tf, tmp_path_factory):
    """Signatures that give their input back, `flat` of shape [n] and `column` of [n, 1], and one that may fail."""
    path = tmp_path_factory.mktemp("echo")
    module = tf.Module()

    def signature(function, shape, names):
        specs = {name: tf.TensorSpec(shape, getattr(tf, name), name=name) for name in names}
        return tf.function(function).get_concrete_function(**specs)

    def echo(**inputs):
        return {f"{name}_out": tf.identity(value) for name, value in inputs.items()}

    def positive(float32):
        with tf.control_dependencies([tf.debugging.assert_positive(float32, "must be positive")]):
            return {"score": tf.sqrt(float32)}

    module.functions = {
        "flat": signature(echo, [None], [*NUMBERS, "string"]),
        "column": signature(echo, [None, 1], [*NUMBERS, "string"]),
        "positive": signature(positive, [None], ["float32"]),
    }
    tf.saved_model.save(module, str(path), module.functions)
    return path


def feeds_of(rows):
    feeds = {}
    for name in NUMBERS:
        if name == "bool":
            feeds[name] = pa.array([row % 2 == 0 for row in range(rows)])
        elif name == "bfloat16":
            feeds[name] = pa.array(np.arange(rows, dtype=np.float32))
        else:
            feeds[name] = pa.array(np.arange(rows, dtype=name))
    texts = ["", "ä", "a\0b", "x" * 100]
    return feeds | {"string": pa.array([texts[row % 4] for row in range(rows)], pa.large_string())}


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("shape", ["flat", "column"])
def test_every_dtype_goes_in_and_comes_out_in_the_shape_of_the_signature(open_python, model, shape, rows):
    session, signatures = open_python(model)
    feeds = feeds_of(rows)
    found = session.run(signatures[shape], feeds, [f"{name}_out" for name in NUMBERS])
    assert list(found) == [f"{name}_out" for name in NUMBERS]
    for name in NUMBERS:
        values = found[f"{name}_out"]
        assert values.shape == ((rows,) if shape == "flat" else (rows, 1))
        assert values.dtype == (np.float32 if name in ("float16", "bfloat16") else name)
        assert values.reshape(-1).tolist() == feeds[name].to_pylist()


def test_a_value_that_the_model_refuses_is_a_model_error(open_python, model):
    session, signatures = open_python(model)
    with pytest.raises(ModelError, match="the model failed in signature 'positive'") as caught:
        session.run(signatures["positive"], {"float32": pa.array([1.0, -1.0], pa.float32())}, ["score"])
    assert caught.value.error_id == "E-MODEL-RUN"
    again = session.run(signatures["positive"], {"float32": pa.array([4.0], pa.float32())}, ["score"])
    assert again["score"].tolist() == [2.0]


def test_callers_at_once_get_their_own_results(open_python, model):
    session, signatures = open_python(model)

    def call(number):
        feeds = {"float32": pa.array(np.full(100, number * number, np.float32))}
        return set(session.run(signatures["positive"], feeds, ["score"])["score"].tolist())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, range(1, 60))) == [{float(number)} for number in range(1, 60)]


def test_a_model_that_does_not_load_is_a_model_error(tf, open_python, tmp_path):
    module = tf.Module()
    module.weight = tf.Variable(tf.ones([1000]))
    module.serve = tf.function(
        lambda x: {"score": x * module.weight[0]}, input_signature=[tf.TensorSpec([None], tf.float32)]
    )
    tf.saved_model.save(module, str(tmp_path / "model"), module.serve)
    (data,) = (tmp_path / "model" / "variables").glob("variables.data-*")
    data.unlink()
    with pytest.raises(ModelError, match="TensorFlow cannot load the SavedModel") as caught:
        open_python(tmp_path / "model")
    assert caught.value.error_id == "E-MODEL-LOAD"
    assert str(tmp_path / "model") in str(caught.value)


def test_what_computes_is_named_and_closing_twice_is_harmless(tf, model):
    from batchscore.engine.pyapi import PythonSession

    session = PythonSession(model, threads=1)
    assert session.runtime.startswith(f"tensorflow {tf.__version__} (python")
    session.close()
    session.close()
