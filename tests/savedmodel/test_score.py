from __future__ import annotations

import numpy as np
import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.card import ModelCard
from batchscore.savedmodel.saved_model import Signature, TensorSpec
from batchscore.savedmodel.score import choose_score, exact_dtype

SHAPES = {"rating": (None,), "click": (None, 1), "vector": (None, 8), "output_1": (None,)}
OUTPUTS = {name: TensorSpec(name, f"{name}:0", "float32", shape) for name, shape in SHAPES.items()}
OUTPUTS["title"] = TensorSpec("title", "title:0", "string", (None,))
OUTPUTS["a-b"] = TensorSpec("a-b", "x:0", "float64", (None,))
SIGNATURE = Signature("serving_default", {}, OUTPUTS)
RESULTS = {
    "rating": np.array([1.0, 2.0, np.nan], np.float32),
    "click": np.array([[0.5], [0.25], [1.0]], np.float32),
    "output_1": np.array([10.0, 3e38, 1.0], np.float32),
}


@pytest.mark.parametrize(("text", "expected"), [
    ("0.7*rating + 0.3*click", [0.7 * 1 + 0.3 * 0.5, 0.7 * 2 + 0.3 * 0.25, np.nan]),
    ("rating*click", [0.5, 0.5, np.nan]),
    ("rating - click", [0.5, 1.75, np.nan]),
    ("-rating", [-1, -2, np.nan]),
    (" + 2 *rating*.5*  click ", [0.5, 0.5, np.nan]),
    ("1e1*rating+click", [10.5, 20.25, np.nan]),
    ("output_1*output_1", [100, float(np.float32(3e38)) ** 2, 1]),
])  # fmt: skip
def test_a_sum_or_product_of_outputs(text, expected):
    score, why = choose_score(SIGNATURE, text)
    assert (score.name, score.dtype, why) == (text, "float64", "--score-output")
    np.testing.assert_array_equal(score.compute(RESULTS, 3), np.array(expected, np.float64))


def test_only_the_outputs_needed_are_asked_for_each_once():
    assert choose_score(SIGNATURE, "click*rating + click")[0].outputs == ("click", "rating")


def test_a_sum_is_not_rounded():
    results = {"rating": np.array([1e8], np.float32), "click": np.array([1.0], np.float32)}
    assert choose_score(SIGNATURE, "rating + click - rating")[0].compute(results, 1) == [1.0]
    found = choose_score(SIGNATURE, "rating + click")[0].compute(results, 1)
    assert (found.dtype, found.tolist()) == (np.float64, [100_000_001.0])


@pytest.mark.parametrize(("dtype", "ranked"), [
    *((dtype, "float32") for dtype in ("float16", "bfloat16", "float32", "int8", "int16", "uint8", "uint16")),
    *((dtype, "float64") for dtype in ("float64", "int32", "uint32")),
    ("int64", "int64"), ("uint64", "uint64"),
])  # fmt: skip
def test_scores_are_ranked_as_a_type_that_holds_them_all(dtype, ranked):
    assert exact_dtype(dtype) == np.dtype(ranked)
    signature = Signature("serving_default", {}, {"score": TensorSpec("score", "s:0", dtype, (None, 1))})
    score, _ = choose_score(signature)
    assert score.ranked_dtype == np.dtype(ranked)
    given = np.dtype("float32" if dtype in ("float16", "bfloat16") else dtype)
    values = np.array([[0], [1], [100 if given.kind == "f" else np.iinfo(given).max]], given)
    found = score.compute({"score": values}, 3)
    assert found.dtype == score.ranked_dtype
    assert [int(value) for value in found.tolist()] == [int(value) for value in values.reshape(-1).tolist()]


@pytest.mark.parametrize("largest", [2**53, 2**53 + 1, -(2**53) - 1, 2**64 - 1])
def test_an_expression_refuses_integers_that_float64_does_not_hold(largest):
    dtype = "uint64" if largest > 2**63 else "int64"
    outputs = {"count": TensorSpec("count", "c:0", dtype, (None,)), "rating": OUTPUTS["rating"]}
    score, _ = choose_score(Signature("serving_default", {}, outputs), "rating - count")
    results = {"count": np.array([0, largest], dtype), "rating": np.array([0.5, 0], np.float32)}
    if largest == 2**53:
        assert score.compute(results, 2).tolist() == [0.5, -(2.0**53)]
        return
    with pytest.raises(ModelError, match="output 'count' is too large") as caught:
        score.compute(results, 2)
    assert caught.value.error_id == "E-MODEL-OUTPUT"
    assert f"{abs(largest):,}" in str(caught.value)
    assert "--score-output count" in str(caught.value)


@pytest.mark.parametrize(("text", "said"), [
    ("0.7*rating + 0.3*likes", "there is no output 'likes'"),
    ("rating + vector", "output vector float32 [n, 8] is not one number per pair"),
    ("rating + title", "output title string [n] is not one number per pair"),
    ("rating +", "an output or a number is missing at the end"),
    ("rating * * click", "an output or a number is missing before '*'"),
    ("*rating", "an output or a number is missing before '*'"),
    ("rating + 1", "a number alone changes no rank"),
    ("2*3 - 1", "a number alone changes no rank"),
    ("1e999*rating", "a factor is not finite"),
    ("rating/click + rating", "there is no output 'rating/click'"),
    ("0.5*(rating + click)", "'(rating + click)' is neither an output, a number nor one of + - *"),
    ("rating + __import__('os').system('true')", "is neither an output, a number nor one of + - *"),
    ("rating click * 2", "an operator is missing before 'click'"),
    ("+".join(["rating"] * 17), "more than 16 terms"),
    ("rating + ½", "is neither an output"),
])  # fmt: skip
def test_an_expression_that_is_none_is_refused(text, said):
    with pytest.raises(ModelError) as caught:
        choose_score(SIGNATURE, text)
    assert caught.value.error_id == "E-MODEL-OUTPUT"
    assert said in str(caught.value)
    assert "such as 0.7*rating + 0.3*click" in str(caught.value)


def test_an_output_of_that_very_name_is_no_expression():
    score, _ = choose_score(SIGNATURE, "a-b")
    assert (score.outputs, score.terms, score.dtype) == (("a-b",), (), "float64")


def test_the_card_may_hold_an_expression():
    card = ModelCard.model_validate({
        "signature": "serving_default", "score_output": "rating*click", "probes": {"inputs": {}, "scores": [1]},
    })  # fmt: skip
    score, why = choose_score(SIGNATURE, None, card)
    assert (score.name, why) == ("rating*click", "model card")
    assert choose_score(SIGNATURE, "click", card)[0].name == "click"


def test_an_output_that_is_no_column_after_all_is_refused():
    with pytest.raises(ModelError, match=r"shape \[2, 2\] for 3 pairs"):
        choose_score(SIGNATURE, "rating")[0].compute({"rating": np.zeros((2, 2))}, 3)
