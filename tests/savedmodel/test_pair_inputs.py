"""What a signature takes that no column of pairs can give, said as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.pair_inputs import describe_values, require_columns
from batchscore.savedmodel.saved_model import Signature, TensorSpec, read_saved_model

NOWHERE = Path("/nowhere")


def spec(dtype, *shape):
    return TensorSpec("x", "x:0", dtype, shape)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (spec("float32", None, 16), "a vector of 16 numbers per row"),
        (spec("bfloat16", None, 4, 4), "a vector of 4 x 4 numbers per row"),
        (spec("string", None, 20), "a list of 20 values per row"),
        (spec("int64", None, None, 3), "a list of L x 3 values per row"),
        (spec("float32"), "one value for a whole call"),
    ],
)
def test_what_an_input_takes_in_words(tensor, words):
    assert describe_values(tensor) == words


@pytest.mark.parametrize(
    ("tensor", "advice", "others"),
    [
        (spec("float32", None, 16), "a vector is looked up inside", ("listwise", "whole call")),
        (spec("int64", None, 50), "a history or tags come as one text (a|b|c)", ("vector", "whole call")),
        (spec("bool"), "a setting of the whole call belongs inside", ("vector", "listwise")),
    ],
)
def test_the_advice_is_for_what_the_model_has(tensor, advice, others):
    signature = Signature("serving_default", {"x": tensor, "id": spec("string", None)}, {})
    with pytest.raises(ModelError) as caught:
        require_columns(signature, NOWHERE)
    assert caught.value.error_id == "E-MODEL-SIGNATURE"
    assert advice in str(caught.value)
    assert f"input {tensor} takes {describe_values(tensor)}" in str(caught.value)
    assert not any(word in str(caught.value) for word in others)


@pytest.mark.tensorflow
def test_a_signature_of_examples_is_called_that(tf, tmp_path):
    class Parsing(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def serve(self, examples):
            parsed = tf.io.parse_example(examples, {"user_id": tf.io.FixedLenFeature([], tf.string)})
            return {"score": tf.cast(tf.strings.length(parsed["user_id"]), tf.float32)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "user_id")])
        def plain(self, user_id):
            return {"score": tf.cast(tf.strings.length(user_id), tf.float32)}

    model = Parsing()
    tf.saved_model.save(model, str(tmp_path / "m"), signatures={"serving_default": model.serve, "raw": model.plain})
    saved = read_saved_model(tmp_path / "m")
    with pytest.raises(ModelError, match=r"takes serialized tf\.Examples, not columns") as caught:
        require_columns(saved.signatures["serving_default"], saved.path)
    assert "input examples string [n] feeds ParseExample" in str(caught.value)
    require_columns(saved.signatures["raw"], saved.path)
