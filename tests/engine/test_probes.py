from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from batchscore.engine.probes import replay_probes, require_stable_scores
from batchscore.errors import ModelError
from batchscore.savedmodel.card import ModelCard, Probes
from batchscore.savedmodel.saved_model import Signature, TensorSpec
from batchscore.savedmodel.score import Score

SCORE = Score("s", ("s",), "float32")


class Fixed:
    """A session that gives the same scores whatever it is fed, and remembers what that was."""

    runtime = "fixed"

    def __init__(self, scores):
        self.scores = np.asarray(scores, np.float32)
        self.feeds = None

    def run(self, signature, feeds, outputs):
        assert list(feeds) == list(signature.inputs)
        self.feeds = feeds
        return dict.fromkeys(outputs, self.scores)

    def close(self):
        pass


def signature(**dtypes):
    inputs = {name: TensorSpec(name, f"{name}:0", dtype, (None,)) for name, dtype in dtypes.items()}
    return Signature("serving_default", inputs, {"s": TensorSpec("s", "s:0", "float32", (None,))})


def card(scores, **inputs):
    return ModelCard(
        signature="serving_default", score_output="s", user_input="u", candidate_input="c",
        probes=Probes(inputs=inputs, scores=scores),
    )  # fmt: skip


def test_the_worst_row_is_named():
    result = replay_probes(Fixed([1.0, 2.5, 3.1]), signature(u="string"), SCORE, card([1, 2, 3], u=["a", "b", "c"]))
    assert (result.rows, result.worst_row) == (3, 1)
    assert (result.found, result.expected) == (2.5, 2.0)
    assert result.worst == pytest.approx(0.5)
    assert not result.ok


def test_a_difference_within_the_tolerance_is_none():
    expected = [0.0, 1000.0]
    assert replay_probes(Fixed([0.04, 1000.0]), signature(u="string"), SCORE, card(expected, u=["a", "b"])).ok
    assert not replay_probes(Fixed([0.06, 1000.0]), signature(u="string"), SCORE, card(expected, u=["a", "b"])).ok


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_never_right(broken):
    result = replay_probes(Fixed([1.0, broken]), signature(u="string"), SCORE, card([1, 2], u=["a", "b"]))
    assert (result.worst, result.worst_row, result.ok) == (math.inf, 1, False)


def test_a_column_of_scores_is_taken_as_it_is():
    assert replay_probes(Fixed([[1.0], [2.0]]), signature(u="string"), SCORE, card([1, 2], u=["a", "b"])).ok


@pytest.mark.parametrize(
    ("dtype", "values", "arrow"),
    [
        ("string", ["a", ""], pa.string()),
        ("int64", [2**53 + 1, -1], pa.int64()),
        ("int32", [1, 2], pa.int32()),
        ("uint8", [1, 255], pa.uint8()),
        ("float32", [0.1, 2.0], pa.float32()),
        ("float64", [0.1, 2.0], pa.float64()),
        ("float16", [0.5, 2.0], pa.float16()),
        ("bfloat16", [0.5, 2.0], pa.float32()),
        ("bool", [True, False], pa.bool_()),
    ],
)
def test_every_input_is_fed_with_exactly_its_type(dtype, values, arrow):
    session = Fixed([1.0, 2.0])
    replay_probes(session, signature(u=dtype), SCORE, card([1, 2], u=values))
    assert session.feeds["u"].type == arrow
    if dtype not in ("float32", "bfloat16"):
        assert session.feeds["u"].to_pylist() == values


@pytest.mark.parametrize(
    ("dtypes", "probes", "problem"),
    [
        ({"u": "string", "c": "string"}, {"u": ["a", "b"]}, "input c: no values for 2 scores"),
        ({"u": "string"}, {"u": ["a"]}, "input u: 1 values for 2 scores"),
        ({"u": "string"}, {"u": ["a", None]}, "input u: a value is null"),
        ({"u": "int64"}, {"u": ["a", "b"]}, "input u: not int64"),
        ({"u": "uint8"}, {"u": [1, 256]}, "input u: not uint8"),
        ({"u": "string"}, {"u": ["a", "b"], "x": [1, 2]}, "x is no input of the signature"),
        ({"u": "resource"}, {"u": ["a", "b"]}, "input u: resource has no probe values"),
    ],
)
def test_probe_rows_that_do_not_fit_the_signature(dtypes, probes, problem):
    with pytest.raises(ModelError) as caught:
        replay_probes(Fixed([1, 2]), signature(**dtypes), SCORE, card([1, 2], **probes))
    assert caught.value.error_id == "E-MODEL-CARD"
    assert problem in str(caught.value)


def test_no_probe_rows_prove_nothing():
    with pytest.raises(ModelError, match="there are no probe rows"):
        replay_probes(Fixed([]), signature(u="string"), SCORE, card([], u=[]))


def test_a_model_that_does_not_give_one_score_a_row():
    with pytest.raises(ModelError) as caught:
        replay_probes(Fixed([[1, 2], [3, 4]]), signature(u="string"), SCORE, card([1, 2], u=["a", "b"]))
    assert caught.value.error_id == "E-MODEL-OUTPUT"
    assert "[2, 2] for 2 pairs" in str(caught.value)


class Computed:
    """A session that computes scores from input `x` as an array, and counts its calls."""

    runtime = "computed"

    def __init__(self, compute):
        self.compute = compute
        self.calls = 0

    def run(self, signature, feeds, outputs):
        self.calls += 1
        x = feeds["x"].to_numpy()
        return dict.fromkeys(outputs, np.asarray(self.compute(x), np.float32))


VALUES = [0.5, -1.0, 2.0, 7.25, 0.0, 3.0, -4.5, 1.5, 9.0, 2.5]


def require_stable(compute, values=VALUES, rows=None):
    """Of a model whose signature fixes `rows`, if any."""
    inputs = {"x": TensorSpec("x", "x:0", "float32", (rows,))}
    known = Signature("serving_default", inputs, {"s": TensorSpec("s", "s:0", "float32", (rows,))})
    require_stable_scores(Computed(compute), known, SCORE, card([0.0] * len(values), x=values))


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: 2 * x,
        lambda x: x + 1e-6 * np.arange(len(x)),  # float noise of a position
        lambda x: np.where(x > 0, x, np.nan),
        lambda x: np.where(x > 0, x, np.inf),
        np.zeros_like,
    ],
)
def test_a_score_of_the_row_alone_is_stable(compute):
    require_stable(compute)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x - x.mean() + 3.4,
        lambda x: x / max(np.abs(x).max(), 1),
        lambda x: (x - x.mean()) / np.sqrt(x.var() + 1e-3),
        lambda x: x + np.append(0, x[:-1]),
        lambda x: x + np.arange(len(x)),
        lambda x: x / np.ptp(x),
        lambda x: np.random.default_rng(7).permutation(len(x)) * x,  # a dropout that draws the same in every call
    ],
)
@pytest.mark.parametrize("rows", [None, len(VALUES)])
def test_a_score_that_depends_on_the_rows_beside_it_is_refused(compute, rows):
    with pytest.raises(ModelError) as caught, np.errstate(all="ignore"):
        require_stable(compute, rows=rows)
    assert caught.value.error_id == "E-MODEL-PROBES"
    message = str(caught.value)
    assert message.startswith("E-MODEL-PROBES: the model gives the same row different scores beside other rows")
    assert "no dropout, no random op, no statistics over the batch" in message
    assert "where:    probe row " in message


def test_scores_that_change_from_call_to_call_are_refused():
    random = np.random.default_rng(1)
    with pytest.raises(ModelError) as caught:
        require_stable(lambda x: x * random.integers(2, size=len(x)))
    message = str(caught.value)
    assert message.startswith("E-MODEL-PROBES: the model gives the same row different scores from call to call")
    assert "no dropout, no random op, no statistics over the batch" in message


def test_stability_is_asked_of_probe_rows_that_fit_the_signature():
    with pytest.raises(ModelError) as caught:
        require_stable_scores(Computed(np.zeros_like), signature(x="float32"), SCORE, card([1, 2], x=[1.0]))
    assert caught.value.error_id == "E-MODEL-CARD"
