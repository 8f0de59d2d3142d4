"""The scorer: one shape, positions that the self-test found wanting stay empty, failing rows are isolated."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.engine.opening import open_session
from batchscore.errors import ModelError
from batchscore.savedmodel.saved_model import Signature, TensorSpec, read_saved_model
from batchscore.savedmodel.score import Score, choose_score
from batchscore.scoring.score import scorer as scorer_module
from batchscore.scoring.score.scorer import Scorer

ROWS = 16


@pytest.fixture(autouse=True)
def small_calls(monkeypatch):
    monkeypatch.setattr(scorer_module, "COMPUTE_ROWS", ROWS)


def signature_of(shape=(None,), score=(None,), dtype="float32"):
    return Signature(
        "serving_default",
        {"x": TensorSpec("x", "x:0", "float64", shape)},
        {"score": TensorSpec("score", "score:0", dtype, score)},
    )


def score_of(signature):
    return Score("score", ("score",), signature.outputs["score"].dtype)


class StubSession:
    """A session whose model is a function of the input x, an array of the call's length, to scores."""

    runtime = "stub"

    def __init__(self, model):
        self.model = model
        self.calls = []
        self.closed = False

    def run(self, signature, feeds, outputs):
        assert not self.closed, "called after it was closed"
        assert outputs == ["score"]
        assert not any(array.null_count for array in feeds.values())
        x = feeds["x"].to_numpy()
        self.calls.append(x)
        return {"score": self.model(x)}

    def close(self):
        self.closed = True


def model_error():
    return ModelError("E-MODEL-RUN", "the model failed", next_step="n")


def identity(x):
    return x.astype(np.float32)


def score_all(session, batches, signature=None, threads=2):
    signature = signature or signature_of()
    scorer = Scorer(session, signature, score_of(signature), threads=threads)
    try:
        return scorer, list(scorer.score(iter(batches)))
    finally:
        scorer.close()


def batches_of(make_pairs, values, size):
    return [make_pairs({"x": np.array(values[at : at + size], np.float64)}, first_row=at)
            for at in range(0, len(values), size)]  # fmt: skip


# shape and order


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 70), total=st.integers(0, 150), threads=st.integers(1, 4))
def test_scores_keep_order_and_length_and_every_call_has_one_shape(make_pairs, size, total, threads):
    session = StubSession(identity)
    batches = batches_of(make_pairs, list(range(total)), size)
    _, scored = score_all(session, batches, threads=threads)
    assert [batch.pairs.rows.tolist() for batch in scored] == [pairs.rows.tolist() for pairs in batches]
    assert [batch.pairs.feeds for batch in scored] == [pairs.feeds for pairs in batches]
    assert np.concatenate([np.empty(0), *(batch.scores for batch in scored)]).tolist() == list(range(total))
    assert all(batch.scores.dtype == np.float32 and not batch.failures for batch in scored)
    assert {len(call) for call in session.calls} <= {ROWS}


def test_the_first_call_is_made_before_there_are_pairs_and_nothing_comes_of_it(make_pairs):
    def model(x):
        if not x.any():
            raise model_error()
        return identity(x)

    session = StubSession(model)
    scorer = Scorer(session, signature_of(), score_of(signature_of()), threads=1)
    scorer.begin()
    scorer._pool.submit(lambda: None).result()
    assert [call.tolist() for call in session.calls] == [[0.0] * ROWS]
    x = np.arange(1.0, 40)
    (scored,) = scorer.score(iter([make_pairs({"x": x})]))
    scorer.close()
    assert scored.scores.tolist() == x.tolist()


def test_padding_is_a_real_row(make_pairs):
    session = StubSession(identity)
    score_all(session, batches_of(make_pairs, [5.0, 6.0, 7.0], 10))
    assert set(np.concatenate(session.calls)) <= {5.0, 6.0, 7.0}


def test_empty_batches_are_passed_on(make_pairs):
    session = StubSession(identity)
    empty = make_pairs({"x": np.empty(0)})
    _, scored = score_all(session, [empty, *batches_of(make_pairs, [1.0], 5), empty])
    assert [len(batch.scores) for batch in scored] == [0, 1, 0]


def test_constants_are_repeated_for_every_call(make_pairs):
    signature = Signature(
        "s",
        {"x": TensorSpec("x", "x", "float64", (None,)), "label": TensorSpec("label", "l", "string", (None,))},
        {"score": TensorSpec("score", "s", "float32", (None,))},
    )
    seen = []

    class Session(StubSession):
        def run(self, signature, feeds, outputs):
            seen.append(feeds["label"])
            return super().run(signature, feeds, outputs)

    pairs = make_pairs({"x": np.arange(3.0)}, {"label": pa.scalar("none", pa.large_string())})
    score_all(Session(identity), [pairs], signature)
    assert all(labels.to_pylist() == ["none"] * ROWS for labels in seen)


# the self-test


def wrong_at_the_end(x):
    """Other bits at the last two positions, as TensorFlow's matrix product gives at some shapes."""
    scores = identity(x)
    scores[-2:] = np.nextafter(scores[-2:], np.float32(np.inf))
    return scores


@settings(max_examples=25, deadline=None)
@given(total=st.integers(1, 100), size=st.integers(1, 50))
def test_positions_that_give_other_bits_stay_empty(make_pairs, total, size):
    values = [1 + number / 7 for number in range(total)]
    scorer, scored = score_all(StubSession(wrong_at_the_end), batches_of(make_pairs, values, size))
    assert scorer.positions_left_out == 2
    found = np.concatenate([batch.scores for batch in scored])
    assert found.tobytes() == np.array(values, np.float32).tobytes()


@settings(max_examples=40, deadline=None)
@given(wrong=st.sets(st.integers(0, ROWS - 1), max_size=ROWS // 2 - 1), total=st.integers(1, 40))
def test_positions_stay_empty_wherever_they_lie(make_pairs, wrong, total):
    def model(x):
        scores = identity(x)
        scores[list(wrong)] += 1
        return scores

    values = [float(number) for number in range(total)]
    scorer, scored = score_all(StubSession(model), batches_of(make_pairs, values, total))
    if len(wrong) < ROWS // 2:  # of two halves either may be the right one
        assert scorer.positions_left_out == len(wrong)
        assert scored[0].scores.tolist() == values


def test_a_position_that_differs_for_one_row_only_stays_empty(make_pairs):
    def model(x):
        scores = identity(x)
        scores[3] += x[3] == 5
        return scores

    scorer, scored = score_all(StubSession(model), batches_of(make_pairs, [float(n) for n in range(8)], 8))
    assert scorer.positions_left_out == 1
    assert scored[0].scores.tolist() == list(range(8))


def test_without_a_position_effect_no_position_is_lost(make_pairs):
    scorer, _ = score_all(StubSession(identity), batches_of(make_pairs, [1.0, 2.0], 2))
    assert scorer.positions_left_out == 0


def random_model():
    draw = np.random.default_rng(1)
    return lambda x: draw.normal(size=len(x)).astype(np.float32)


def noise_per_call():
    draw = np.random.default_rng(1)
    return lambda x: identity(x) + np.float32(draw.normal())


def batch_statistics(x):
    return identity(x - x.mean())


@pytest.mark.parametrize(
    "model", [random_model(), noise_per_call(), batch_statistics], ids=["row", "call", "batch"]
)
def test_a_score_that_does_not_depend_on_the_pair_alone_is_refused(make_pairs, model):
    session = StubSession(model)
    with pytest.raises(ModelError) as caught:
        score_all(session, batches_of(make_pairs, [float(n) for n in range(40)], 40))
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-RUN", 4)
    assert "a score that depends on the pair alone" in str(caught.value)
    assert "no dropout" in str(caught.value)


def test_noise_is_found_although_the_signature_takes_one_row_a_call(make_pairs):
    signature = signature_of((1,), (1,))
    with pytest.raises(ModelError, match="depends on the pair alone"):
        score_all(StubSession(random_model()), batches_of(make_pairs, [1.0, 2.0], 2), signature)


# rows on which the model fails


def refuses(*bad):
    def model(x):
        if np.isin(x, bad).any():
            raise model_error()
        return identity(x)

    return model


@settings(max_examples=40, deadline=None)
@given(data=st.data(), total=st.integers(1, 60), size=st.integers(1, 60))
def test_only_the_rows_on_which_the_model_fails_have_no_score(make_pairs, data, total, size):
    bad = data.draw(st.sets(st.integers(0, total - 1), max_size=5 if total > 7 else total))
    values = [float(number) for number in range(total)]
    _, scored = score_all(StubSession(refuses(*bad)), batches_of(make_pairs, values, size))
    at = 0
    for batch in scored:
        expected = {row - at for row in bad if at <= row < at + len(batch.scores)}
        assert set(batch.failures) == expected
        assert all("the model failed" in reason for reason in batch.failures.values())
        good = [position for position in range(len(batch.scores)) if position not in expected]
        assert batch.scores[good].tolist() == [float(at + position) for position in good]
        at += len(batch.scores)


def test_the_self_test_still_finds_positions_when_some_of_its_rows_fail(make_pairs):
    def model(x):
        return wrong_at_the_end(refuses(0.0)(x))

    scorer, scored = score_all(StubSession(model), batches_of(make_pairs, [float(n) for n in range(30)], 30))
    assert scorer.positions_left_out == 2
    assert set(scored[0].failures) == {0}
    assert scored[0].scores[1:].tolist() == list(range(1, 30))


def test_a_model_that_fails_on_every_row_is_at_fault_itself(make_pairs):
    def broken(_):
        raise model_error()

    session = StubSession(broken)
    with pytest.raises(ModelError, match="the model failed"):
        score_all(session, batches_of(make_pairs, [float(n) for n in range(5000)], 5000))
    assert len(session.calls) == 8


def test_other_errors_of_the_model_are_not_hidden(make_pairs):
    def out_of_memory(_):
        raise MemoryError

    with pytest.raises(MemoryError):
        score_all(StubSession(out_of_memory), batches_of(make_pairs, [1.0], 1))


# shapes and dtypes of the signature


@pytest.mark.parametrize(("pairs", "rows"), [(1, 4), (4, 4), (5, 8), (9, 16), (16, 16)])
def test_a_comparison_makes_no_larger_call_than_it_needs(make_pairs, monkeypatch, pairs, rows):
    monkeypatch.setattr(scorer_module, "_MIN_CALL_ROWS", 4)
    session, signature = StubSession(lambda x: 2 * x), signature_of()
    scorer = Scorer(session, signature, score_of(signature), threads=1)
    x = np.arange(pairs, dtype=np.float64)
    np.testing.assert_array_equal(scorer.score_once(make_pairs({"x": x})), 2 * x)
    assert [len(call) for call in session.calls] == [rows]


@pytest.mark.parametrize("closed", [{"shape": (ROWS,)}, {"compiled": True}], ids=["fixed", "compiled"])
def test_a_comparison_makes_whole_calls_where_another_shape_fails_or_costs_more(make_pairs, monkeypatch, closed):
    monkeypatch.setattr(scorer_module, "_MIN_CALL_ROWS", 4)
    session, signature = StubSession(lambda x: 2 * x), signature_of(closed.pop("shape", (None,)))
    scorer = Scorer(session, replace(signature, **closed), score_of(signature), threads=1)
    scorer.score_once(make_pairs({"x": np.arange(3.0)}))
    assert [len(call) for call in session.calls] == [ROWS]


def test_a_fixed_batch_dimension_is_the_length_of_every_call(make_pairs):
    session = StubSession(identity)
    _, scored = score_all(session, batches_of(make_pairs, [1.0, 2.0, 3.0, 4.0, 5.0], 5), signature_of((3,), (3,)))
    assert {len(call) for call in session.calls} == {3}
    assert scored[0].scores.tolist() == [1, 2, 3, 4, 5]


def test_a_column_of_scores_is_flattened(make_pairs):
    session = StubSession(lambda x: identity(x).reshape(-1, 1))
    _, scored = score_all(session, batches_of(make_pairs, [3.0, 1.0], 2), signature_of((None, 1), (None, 1)))
    assert scored[0].scores.tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.float64, [0.1, 1e39, -1e39], np.float64),
        (np.int64, [3.0, -4.0, 2**53], np.int64),
        (np.int32, [3.0, -4.0, 2**31 - 1], np.float64),
        (np.uint8, [0.0, 200.0, 255.0], np.float32),
    ],
)
def test_scores_of_other_dtypes_are_not_rounded(make_pairs, dtype, values, expected):
    session = StubSession(lambda x: x.astype(dtype))
    signature = signature_of(dtype=np.dtype(dtype).name)
    _, scored = score_all(session, batches_of(make_pairs, values, 3), signature)
    assert scored[0].scores.dtype == expected
    assert scored[0].scores.tolist() == values


def test_not_one_score_a_pair_is_refused(make_pairs):
    with pytest.raises(ModelError) as caught:
        score_all(StubSession(lambda x: np.zeros((len(x), 2), np.float32)), batches_of(make_pairs, [1.0], 1))
    assert caught.value.error_id == "E-MODEL-OUTPUT"
    assert "shape [16, 2] for 16 pairs" in str(caught.value)


# an end in the middle


def test_closing_waits_for_the_calls_that_are_under_way(make_pairs):
    under_way, proceed = threading.Event(), threading.Event()

    def model(x):
        if threading.current_thread().name.startswith("scorer"):
            under_way.set()
            proceed.wait(10)
        return identity(x)

    session = StubSession(model)
    signature = signature_of()
    scorer = Scorer(session, signature, score_of(signature), threads=1)
    scored = scorer.score(iter(batches_of(make_pairs, [float(n) for n in range(640)], 64)))

    def take():
        with suppress(CancelledError):
            next(scored)

    taker = threading.Thread(target=take)
    taker.start()
    assert under_way.wait(10)
    closer = threading.Thread(target=lambda: (scorer.close(), session.close()))
    closer.start()
    closer.join(0.05)
    assert not session.closed, "the session was closed under a call"
    proceed.set()
    closer.join(10)
    taker.join(10)
    assert session.closed
    assert len(session.calls) < 20, "calls that had not begun were not cancelled"


# real models


@pytest.fixture(scope="module")
def export(tf, tmp_path_factory):
    """Export one function as a SavedModel, and open it."""
    opened = []

    def make(function, *specs):
        path = tmp_path_factory.mktemp("model")
        module = tf.Module()
        module.serve = tf.function(function, input_signature=specs)
        tf.saved_model.save(module, str(path), signatures=module.serve)
        saved = read_saved_model(path)
        opened.append(open_session(path, threads=2))
        signature = saved.signatures["serving_default"]
        return opened[-1], signature, choose_score(signature)[0]

    yield make
    for session in opened:
        session.close()


def score_real(model, pairs):
    session, signature, score = model
    scorer = Scorer(session, signature, score, threads=2)
    try:
        return next(scorer.score(iter([pairs])))
    finally:
        scorer.close()


@pytest.mark.tensorflow
def test_an_id_outside_a_vocabulary_without_oov_is_one_bad_row(tf, export, make_pairs):

    def serve(item_id):
        row = tf.argmax(tf.equal(item_id[:, None], tf.constant(["a", "b", "c"])[None]), axis=1)
        known = tf.reduce_any(tf.equal(item_id[:, None], tf.constant(["a", "b", "c"])[None]), axis=1)
        with tf.control_dependencies([tf.debugging.assert_equal(known, True, "unknown id")]):
            return {"score": tf.gather(tf.constant([1.0, 2.0, 3.0]), row)}

    model = export(serve, tf.TensorSpec([None], tf.string, "item_id"))
    ids = ["a", "b", "nobody", *["c"] * 30, "nobody", "a"]
    scored = score_real(model, make_pairs({"item_id": pa.array(ids, pa.large_string())}))
    assert set(scored.failures) == {2, 33}
    assert scored.failures[2].startswith("E-MODEL-RUN")
    expected = [{"a": 1.0, "b": 2.0, "c": 3.0}.get(item) for item in ids]
    assert [None if row in scored.failures else float(score) for row, score in enumerate(scored.scores)] == expected


@pytest.mark.tensorflow
@pytest.mark.parametrize("case", ["fixed", "column", "float64", "int64", "bfloat16", "string column"])
def test_real_signatures_of_every_shape_and_dtype(tf, export, make_pairs, case):

    values = np.arange(10) / 8
    feeds = {"x": pa.array(values.astype(np.float32))}
    expected = (values * 2).tolist()
    if case == "fixed":
        model = export(lambda x: {"score": x * 2}, tf.TensorSpec([4], tf.float32, "x"))
    elif case == "column":
        model = export(lambda x: {"score": x * 2}, tf.TensorSpec([None, 1], tf.float32, "x"))
    elif case == "float64":
        model = export(lambda x: {"score": tf.cast(x, tf.float64) * 2}, tf.TensorSpec([None], tf.float32, "x"))
    elif case == "int64":
        model = export(lambda x: {"score": x * 3}, tf.TensorSpec([None], tf.int64, "x"))
        feeds = {"x": pa.array(range(10), pa.int64())}
        expected = [3.0 * number for number in range(10)]
    elif case == "bfloat16":
        model = export(lambda x: {"score": x * 2}, tf.TensorSpec([None], tf.bfloat16, "x"))
    else:
        model = export(lambda x: {"score": tf.strings.to_number(x) * 2}, tf.TensorSpec([None, 1], tf.string, "x"))
        feeds = {"x": pa.array([str(value) for value in values], pa.large_string())}
    scored = score_real(model, make_pairs(feeds))
    assert scored.scores.dtype == (case if case in ("float64", "int64") else "float32")
    assert scored.scores.tolist() == expected


@pytest.mark.tensorflow
def test_dropout_that_was_left_on_is_refused(tf, export, make_pairs):

    model = export(lambda x: {"score": tf.nn.dropout(x, 0.5)}, tf.TensorSpec([None], tf.float32, "x"))
    with pytest.raises(ModelError, match="no dropout"):
        score_real(model, make_pairs({"x": pa.array(np.arange(1, 60, dtype=np.float32))}))
