from __future__ import annotations

import numpy as np
import pytest

from batchscore.errors import ModelError
from batchscore.runtime.card import ModelCard
from batchscore.runtime.saved_model import Signature, TensorSpec
from batchscore.runtime.score import choose_score

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
    ("output_1*output_1", [100, np.inf, 1]),
])  # fmt: skip
def test_a_sum_or_product_of_outputs(text, expected):
    score, why = choose_score(SIGNATURE, text)
    assert (score.name, score.dtype, why) == (text, "float32", "--score-output")
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(score.compute(RESULTS, 3), np.array(expected, np.float64).astype(np.float32))


def test_only_the_outputs_needed_are_asked_for_each_once():
    assert choose_score(SIGNATURE, "click*rating + click")[0].outputs == ("click", "rating")


def test_a_sum_is_rounded_once():
    results = {"rating": np.array([1e8], np.float32), "click": np.array([1.0], np.float32)}
    assert choose_score(SIGNATURE, "rating + click - rating")[0].compute(results, 1) == [1.0]


@pytest.mark.parametrize(("text", "said"), [
    ("0.7*rating + 0.3*likes", "there is no output 'likes'"),
    ("rating + vector", "output vector float32 [n, 8] is not one number a pair"),
    ("rating + title", "output title string [n] is not one number a pair"),
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
