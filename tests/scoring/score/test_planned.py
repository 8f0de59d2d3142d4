"""Scoring by a plan: the model's own scores, its failures, and the model itself where the plan does not fit."""

from __future__ import annotations

import dataclasses
import itertools
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from batchscore.arrays.tolerance import score_tolerance
from batchscore.engine.opening import open_session
from batchscore.errors import ModelError
from batchscore.planning.graph import head as planning_head
from batchscore.planning.graph.plan_model import plan_model
from batchscore.planning.plan_file import read_plan
from batchscore.savedmodel.saved_model import read_saved_model
from batchscore.savedmodel.score import choose_score
from batchscore.scoring.pairs import ScorablePairs
from batchscore.scoring.score import parts, per_pair, plan_check
from batchscore.scoring.score.plan_check import PAIRS_A_SAMPLE
from batchscore.scoring.score.planned import PlannedScorer
from batchscore.scoring.score.scorer import Scorer

pytestmark = pytest.mark.tensorflow

CALL_ROWS = 2048


class Opened:
    """A model in a session, with its signature's scorer and one by a plan."""

    def __init__(self, path, *, api="c", plan=None, threads=2, budget_bytes=2**26, probes=None, required=False):
        self.session = open_session(path, threads=threads, api=api)
        saved = read_saved_model(path)
        signature = saved.signatures["serving_default"]
        self.scorer = Scorer(self.session, signature, choose_score(signature)[0], threads=threads)
        self.plan = plan or read_plan(path / "assets.extra")
        self.planned = PlannedScorer(
            self.session, self.plan, self.scorer, threads=threads, budget_bytes=budget_bytes, probes=probes,
            required=required,
        )  # fmt: skip

    def close(self):
        self.planned.close()
        self.session.close()


@pytest.fixture
def opened(planned_models):
    held = []

    def open_(name, **options):
        held.append(Opened(planned_models / name, **options))
        return held[-1]

    yield open_
    for item in held:
        item.close()


def pairs_of(feeds, constants=None, first_row=0):
    rows = len(next(iter(feeds.values())))
    ids = pa.array(range(first_row, first_row + rows), pa.int64())
    numbers = np.arange(first_row, first_row + rows)
    return ScorablePairs("pairs.parquet", numbers, ids, ids, [], feeds, constants or {})


def draw_feeds(name, rows, vocabulary, *, seed=1, dictionary=True):
    users, items = vocabulary
    draw = np.random.default_rng(seed)
    item_id = pa.array(draw.choice([*items, "new", ""], rows), pa.large_string())
    feeds = {"item_id": item_id.dictionary_encode() if dictionary else item_id}
    if name == "varied":
        return feeds | {
            "user_id": pa.array(draw.integers(0, 50, rows), pa.int64()),
            "hour": pa.array(draw.integers(0, 24, rows).astype(np.float32)),
            "seen": pa.array(draw.random(rows, np.float32)),
        }
    user_id = pa.array(draw.choice([*users, "new"], rows), pa.large_string())
    return feeds | {"user_id": user_id.dictionary_encode() if dictionary else user_id}


CONSTANTS = {"ranking": {}, "varied": {"label": pa.scalar(0.0, pa.float32())}}


def batches_of(pairs, batch_rows):
    return [pairs.slice(start, batch_rows) for start in range(0, len(pairs), batch_rows)]


def assert_same_scores(scored, batches, expected):
    assert [batch.pairs for batch in scored] == batches, "order and length are kept"
    found = np.concatenate([batch.scores for batch in scored])
    assert found.dtype == np.float32
    assert np.abs(found.astype(np.float64) - expected).max() <= score_tolerance(expected)


# the model's scores


@pytest.mark.parametrize("api", ["c", "python"])
@pytest.mark.parametrize("name", ["ranking", "varied"])
def test_the_scores_are_those_of_the_signature(opened, vocabulary, name, api):
    model = opened(name, api=api)
    pairs = pairs_of(draw_feeds(name, 9_000, vocabulary), CONSTANTS[name])
    batches = batches_of(pairs, 3_500)
    expected = np.concatenate([batch.scores for batch in model.scorer.score(iter(batches))])
    scored = list(model.planned.score(iter(batches)))
    assert model.planned.check.ok
    first, few = CALL_ROWS // 2, sum(-(-len(batch) // PAIRS_A_SAMPLE) for batch in batches)
    assert first + len(batches) <= model.planned.check.rows <= first + few, "and a few of each batch"
    assert_same_scores(scored, batches, expected)
    assert np.unique(expected).size > 1_000


def test_parts_are_computed_for_what_varies(opened, vocabulary):
    model = opened("varied")
    pairs = pairs_of(draw_feeds("varied", 3_000, vocabulary), CONSTANTS["varied"])
    list(model.planned.score(iter([pairs])))
    filled = {tuple(item.name for item in part.part.inputs): part._kept.filled for part in model.planned._parts}
    tuples = set(zip(*(pairs.feeds[name].to_pylist() for name in ("user_id", "hour")), strict=True))
    assert filled == {("hour", "user_id"): len(tuples), ("item_id",): 62}
    assert len(tuples) < len(pairs) / 2
    assert [item.name for item in model.plan.head.inputs] == ["seen", "label"]


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 65, CALL_ROWS - 1, CALL_ROWS, CALL_ROWS + 1])
def test_any_number_of_pairs(opened, vocabulary, rows):
    model = opened("ranking")
    pairs = pairs_of(draw_feeds("ranking", rows, vocabulary))
    probes = pairs_of(draw_feeds("ranking", 64, vocabulary, seed=2))
    model.planned._probes = probes
    expected = np.concatenate([batch.scores for batch in model.scorer.score(iter([pairs, probes]))])
    scored = list(model.planned.score(iter([pairs])))
    assert model.planned.check.ok, model.planned.check.describe()
    assert len(scored[0].scores) == rows
    assert np.abs(scored[0].scores.astype(np.float64) - expected[:rows]).max() <= score_tolerance(expected)


def test_calls_in_earnest(ranking_model, vocabulary):
    plan = plan_model(
        ranking_model, "serving_default", "score", user_inputs=["user_id"], candidate_inputs=["item_id"]
    )
    assert (plan.head.call_rows, plan.head.block_rows) == (65_536, 512)
    for sizes in ([65_537], [511, 1, 512, 513]):
        model = Opened(ranking_model, plan=plan)
        try:
            batches = [pairs_of(draw_feeds("ranking", rows, vocabulary, seed=rows)) for rows in sizes]
            expected = np.concatenate([batch.scores for batch in model.scorer.score(iter(batches))])
            assert_same_scores(list(model.planned.score(iter(batches))), batches, expected)
            assert model.planned.check.ok
        finally:
            model.close()


def test_empty_batches_come_first_and_in_between(opened, vocabulary):
    model = opened("ranking")
    pairs = pairs_of(draw_feeds("ranking", 100, vocabulary))
    empty = pairs.slice(0, 0)
    scored = list(model.planned.score(iter([empty, empty, pairs, empty, pairs])))
    assert [len(batch.scores) for batch in scored] == [100, 0, 100]
    assert np.array_equal(scored[0].scores, scored[2].scores)


def test_nothing_but_empty_batches(opened, vocabulary):
    model = opened("ranking", required=True)
    empty = pairs_of(draw_feeds("ranking", 1, vocabulary)).slice(0, 0)
    assert list(model.planned.score(iter([empty, empty]))) == []
    assert list(model.planned.score(iter([]))) == []
    assert model.planned.check is None


def test_plain_text_scores_as_dictionaries_do(opened, vocabulary):
    scores = []
    for dictionary in (True, False):
        pairs = pairs_of(draw_feeds("ranking", 500, vocabulary, dictionary=dictionary))
        (scored,) = opened("ranking").planned.score(iter([pairs]))
        scores.append(scored.scores.tobytes())
    assert scores[0] == scores[1]


def test_tables_that_begin_anew_under_calls_change_nothing(opened, vocabulary):
    """Every call has other tuples than the one before, and a budget for none."""
    rows = 8 * CALL_ROWS
    draw = np.random.default_rng(3)
    feeds = draw_feeds("varied", rows, vocabulary) | {"user_id": pa.array(draw.permutation(rows))}
    pairs = pairs_of(feeds, CONSTANTS["varied"])
    small = opened("varied", budget_bytes=0, threads=3)
    with mock.patch.object(parts.PartTables, "_begin", autospec=True, side_effect=parts.PartTables._begin) as begun:
        (few,) = small.planned.score(iter([pairs]))
    assert begun.call_count >= 7
    (many,) = opened("varied", budget_bytes=2**30).planned.score(iter([pairs]))
    assert few.scores.tobytes() == many.scores.tobytes()


@pytest.mark.parametrize("name", ["ranking", "varied", "strict"])
@pytest.mark.parametrize("api", ["c", "python"])
def test_a_part_whose_tuples_hardly_recur_is_computed_per_pair_to_the_same_bits(
    opened, vocabulary, monkeypatch, name, api
):
    if name == "strict":
        pairs = strict_pairs(vocabulary, 9_000, bad_user=[0, 4_000, 7_001], bad_item=[4_000, 8_999])
    else:
        pairs = pairs_of(draw_feeds(name, 9_000, vocabulary), CONSTANTS[name])
    batches = batches_of(pairs, 3_500)
    kept = list(opened(name, api=api).planned.score(iter(batches)))
    monkeypatch.setattr(parts, "WATCHED_ROWS", 0)
    monkeypatch.setattr(parts, "_MAX_NEW_SHARE", -1.0)
    model = opened(name, api=api, threads=3)
    with mock.patch.object(
        per_pair.PerPair, "for_call", autospec=True, side_effect=per_pair.PerPair.for_call
    ) as used:
        per = list(model.planned.score(iter(batches)))
    assert used.call_count == 2 * (2 + 2 + 1), "each call of the head has one of each part"
    assert model.planned.check.ok
    assert [batch.failures for batch in per] == [batch.failures for batch in kept]
    for one, other in zip(per, kept, strict=True):
        good = [row for row in range(len(one.scores)) if row not in one.failures]
        assert one.scores[good].tobytes() == other.scores[good].tobytes()


def test_when_a_part_is_computed_per_pair(opened, vocabulary, monkeypatch):
    """Only once enough rows have shown that nine in ten bring a tuple of their own."""
    monkeypatch.setattr(parts, "WATCHED_ROWS", 2_000)
    model = opened("varied")
    feeds = draw_feeds("varied", 6_000, vocabulary) | {"user_id": pa.array(np.arange(6_000))}
    pairs = pairs_of(feeds, CONSTANTS["varied"])
    list(model.planned.score(iter(batches_of(pairs, 3_000))))
    by_user, by_item = model.planned._parts
    assert [item.name for item in by_user.part.inputs] == ["hour", "user_id"]
    columns = [{item.name: pairs.feeds[item.name] for item in part.part.inputs} for part in (by_user, by_item)]
    assert isinstance(by_user.take(columns[0]), per_pair.PerPair)
    assert isinstance(by_item.take(columns[1]), parts.Placed)
    assert by_user._kept.filled < 6_000


# rows on which the model fails


def strict_pairs(vocabulary, rows, bad_user=(), bad_item=()):
    users, items = vocabulary
    draw = np.random.default_rng(4)
    user_id, item_id = draw.choice(users, rows).astype(object), draw.choice(items, rows).astype(object)
    user_id[list(bad_user)], item_id[list(bad_item)] = "nobody", "nothing"
    return pairs_of({"user_id": pa.array(user_id, pa.large_string()).dictionary_encode(),
                     "item_id": pa.array(item_id, pa.large_string()).dictionary_encode()})  # fmt: skip


@pytest.mark.parametrize("api", ["c", "python"])
def test_a_row_on_which_the_model_fails_has_no_score(opened, vocabulary, api):
    model = opened("strict", api=api)
    pairs = strict_pairs(vocabulary, 3_000, bad_user=[0, 7, 2_500], bad_item=[7, 9])
    (expected,) = model.scorer.score(iter([pairs]))
    (scored,) = model.planned.score(iter([pairs]))
    assert model.planned.check.ok, model.planned.check.describe()
    assert model.planned.check.rows >= CALL_ROWS // 2 - 4
    assert set(scored.failures) == set(expected.failures) == {0, 7, 9, 2_500}
    assert all(why.startswith("E-MODEL-RUN") for why in scored.failures.values())
    good = np.ones(len(scored.scores), bool)
    good[list(scored.failures)] = False
    assert np.abs(scored.scores[good] - expected.scores[good]).max() <= score_tolerance(expected.scores[good])


def test_rows_that_fail_only_later(opened, vocabulary):
    model = opened("strict")
    good, bad = strict_pairs(vocabulary, 100), strict_pairs(vocabulary, 100, bad_item=[3])
    scored = list(model.planned.score(iter([good, bad, good])))
    assert [set(batch.failures) for batch in scored] == [set(), {3}, set()]


def test_a_first_batch_on_which_the_model_fails_is_told_by_the_model(opened, vocabulary):
    model = opened("strict")
    pairs = strict_pairs(vocabulary, 20, bad_user=range(20))
    with pytest.raises(ModelError, match="the model failed in signature 'serving_default'"):
        list(model.planned.score(iter([pairs])))


# a plan that does not fit


def change_graph(plan, tf, change):
    graph = tf.compat.v1.GraphDef.FromString(plan.graph)
    change(graph)
    return dataclasses.replace(plan, graph=graph.SerializeToString())


def double_a_table(graph):
    """The first table of the first part comes out doubled, where it looks the same from outside."""
    (node,) = [node for node in graph.node if node.name == "batchscore/user/tables/0"]
    twice = graph.node.add(name="batchscore/twice", op="AddV2", input=[node.input[0], node.input[0]])
    twice.attr["T"].CopyFrom(node.attr["T"])
    node.input[0] = "batchscore/twice"


def test_a_plan_that_gives_other_scores_is_found_before_any_is_kept(opened, vocabulary, planned_models, tf):
    plan = change_graph(read_plan(planned_models / "ranking" / "assets.extra"), tf, double_a_table)
    model = opened("ranking", plan=plan)
    pairs = pairs_of(draw_feeds("ranking", 500, vocabulary))
    (expected,) = model.scorer.score(iter([pairs]))
    (scored,) = model.planned.score(iter([pairs]))
    assert scored.scores.tobytes() == expected.scores.tobytes(), "scored by the signature"
    check = model.planned.check
    assert not check.ok
    assert check.worst > check.tolerance > 0
    row = int(check.user)
    assert check.signature_score == pytest.approx(float(expected.scores[row]), abs=check.tolerance)
    assert check.describe().startswith(
        f"the plan gives other scores: user {row}, candidate {row}: {check.plan_score:.9g} by"
    )
    with pytest.raises(ModelError, match="the plan gives other scores") as caught:
        list(opened("ranking", plan=plan, required=True).planned.score(iter([pairs])))
    assert caught.value.error_id == "E-PLAN-REQUIRED"


def test_a_plan_of_another_model_is_not_used(opened, vocabulary, planned_models):
    """It names variables that this model does not have."""
    plan = read_plan(planned_models / "strict" / "assets.extra")
    pairs = pairs_of(draw_feeds("ranking", 500, vocabulary))
    model = opened("ranking", plan=plan)
    (expected,) = model.scorer.score(iter([pairs]))
    (scored,) = model.planned.score(iter([pairs]))
    assert not model.planned.check.ok
    assert scored.scores.tobytes() == expected.scores.tobytes()


def test_a_plan_that_fails_is_left_aside(opened, vocabulary, planned_models, tf):
    def fail(graph):
        (node,) = [node for node in graph.node if node.name == "batchscore/candidate/tables/0/shape"]
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.array([-1, 7], np.int32)))

    plan = change_graph(read_plan(planned_models / "ranking" / "assets.extra"), tf, fail)
    model = opened("ranking", plan=plan)
    pairs = pairs_of(draw_feeds("ranking", 50, vocabulary))
    (expected,) = model.scorer.score(iter([pairs]))
    (scored,) = model.planned.score(iter([pairs]))
    assert not model.planned.check.ok
    assert "it could not be checked" in model.planned.check.describe()
    assert scored.scores.tobytes() == expected.scores.tobytes()


def test_a_plan_that_scores_what_the_model_refuses_is_not_used(opened, vocabulary, planned_models, tf):
    def forget_the_checks(graph):
        for node in list(graph.node):
            kept = [name for name in node.input if not name.startswith("^")]
            del node.input[:]
            node.input.extend(kept)
            if node.op == "ResourceGather":
                positive = graph.node.add(name=f"{node.name}/positive", op="Abs", input=[node.input[1]])
                positive.attr["T"].CopyFrom(node.attr["Tindices"])
                node.input[1] = positive.name

    plan = change_graph(read_plan(planned_models / "strict" / "assets.extra"), tf, forget_the_checks)
    pairs = strict_pairs(vocabulary, 200, bad_item=[5])
    model = opened("strict", plan=plan)
    (scored,) = model.planned.score(iter([pairs]))
    assert set(scored.failures) == {5}
    assert not model.planned.check.ok


def test_the_probes_are_compared_too(opened, vocabulary):
    model = opened("ranking")
    probes = pairs_of(draw_feeds("ranking", 64, vocabulary, seed=9))
    model.planned._probes = probes
    pairs = pairs_of(draw_feeds("ranking", 10, vocabulary))
    list(model.planned.score(iter([pairs])))
    assert model.planned.check.rows == 74 + 1


# a plan that turns out late not to fit


@pytest.fixture
def compared_often(monkeypatch):
    monkeypatch.setattr(plan_check, "PAIRS_A_SAMPLE", 8)


def wrong_from(model, call, change):
    """From the head's call `call` on, `change` is done to its scores."""
    real, calls = model.planned._head, itertools.count()

    def head(*feeds):
        (scores,) = real(*feeds)
        return [change(scores) if next(calls) >= call else scores]

    model.planned._tested = True
    model.planned._head = head


@pytest.mark.usefixtures("compared_often")
@pytest.mark.parametrize("batch_rows", [1_500, 100])
def test_other_scores_in_a_later_batch_end_the_scoring(opened, vocabulary, batch_rows):
    model = opened("ranking")
    wrong_from(model, 3, lambda scores: scores + 1)
    batches = batches_of(pairs_of(draw_feeds("ranking", 9_000, vocabulary)), batch_rows)
    with pytest.raises(plan_check.PlanUnfitError, match="the plan gives other scores: user") as caught:
        list(model.planned.score(iter(batches)))
    assert caught.value.check is model.planned.check
    assert not model.planned.check.ok
    assert model.planned.check.worst == pytest.approx(1, rel=1e-3)
    assert model.planned.check.plan_score - model.planned.check.signature_score == pytest.approx(1, rel=1e-3)


@pytest.mark.usefixtures("compared_often")
def test_they_end_a_run_that_requires_the_plan(opened, vocabulary):
    model = opened("ranking", required=True)
    wrong_from(model, 3, lambda scores: scores + 1)
    batches = batches_of(pairs_of(draw_feeds("ranking", 9_000, vocabulary)), 1_500)
    with pytest.raises(ModelError, match="E-PLAN-REQUIRED"):
        list(model.planned.score(iter(batches)))


def fail(_):
    raise ModelError("E-MODEL-RUN", "the model failed in the head of the plan", next_step="n")


def test_a_plan_that_fails_late_is_unfit_too(opened, vocabulary):
    model = opened("ranking")
    wrong_from(model, 3, fail)
    batches = batches_of(pairs_of(draw_feeds("ranking", 9_000, vocabulary)), 1_500)
    with pytest.raises(plan_check.PlanUnfitError, match="failed in the head of the plan"):
        list(model.planned.score(iter(batches)))


def test_a_failure_of_another_stage_is_not_the_plans(opened, vocabulary):
    def batches():
        yield from batches_of(pairs_of(draw_feeds("ranking", 3_000, vocabulary)), 1_500)
        raise ModelError("E-MODEL-RUN", "the look-up failed", next_step="n")

    with pytest.raises(ModelError, match="the look-up failed"):
        list(opened("ranking").planned.score(batches()))


def test_pairs_on_which_only_the_plan_fails_are_found_late_too(opened, vocabulary, monkeypatch):
    model = opened("strict")
    good, bad = strict_pairs(vocabulary, 100), strict_pairs(vocabulary, 100, bad_item=[3])
    (first,) = model.planned._compare(good)
    score_once = model.scorer.score_once
    monkeypatch.setattr(model.planned, "_compare", lambda _: [first])
    monkeypatch.setattr(model.scorer, "score_once", lambda _: score_once(good.slice(0, 1)))
    monkeypatch.setattr(plan_check.SpreadCheck, "_begin", lambda _: None)
    with pytest.raises(plan_check.PlanUnfitError, match=r"candidate 3: nan by the plan, -?\d"):
        list(model.planned.score(iter([good, bad])))


@pytest.mark.parametrize("name", ["ranking", "varied", "strict"])
def test_batches_of_any_text_are_compared(opened, vocabulary, name, monkeypatch):
    monkeypatch.setattr(plan_check, "PAIRS_A_SAMPLE", 1)
    model = opened(name)
    batches = [
        pairs_of(draw_feeds(name, 500, vocabulary, seed=seed, dictionary=seed % 2 == 0), CONSTANTS.get(name))
        if name != "strict"
        else strict_pairs(vocabulary, 500, bad_user=[seed])
        for seed in range(6)
    ]
    list(model.planned.score(iter(batches)))
    assert model.planned.check.ok
    assert model.planned.check.rows > 500 + 6 * 300


# positions


def test_positions_of_the_head_that_give_other_bits_stay_empty(opened, vocabulary):
    model = opened("ranking")
    real = model.planned._head

    def head(*feeds):
        (scores,) = real(*feeds)
        wrong = scores.reshape(-1, 64)
        wrong[:, [5, 60]] = np.nextafter(wrong[:, [5, 60]], np.float32(np.inf))
        return [wrong.reshape(-1)]

    model.planned._head = head
    pairs = pairs_of(draw_feeds("ranking", 5_000, vocabulary))
    (scored,) = model.planned.score(iter([pairs]))
    assert model.planned.positions_left_out == 2 * CALL_ROWS // 64
    (expected,) = opened("ranking").planned.score(iter([pairs]))
    assert scored.scores.tobytes() == expected.scores.tobytes()


def test_a_head_without_positions_that_agree_is_left_aside(opened, vocabulary):
    model = opened("ranking")
    real, draw = model.planned._head, np.random.default_rng(1)

    def head(*feeds):
        (scores,) = real(*feeds)
        return [scores + draw.random(len(scores), np.float32)]

    model.planned._head = head
    pairs = pairs_of(draw_feeds("ranking", 100, vocabulary))
    (expected,) = model.scorer.score(iter([pairs]))
    (scored,) = model.planned.score(iter([pairs]))
    assert not model.planned.check.ok
    assert "give the same pair the same score" in model.planned.check.describe()
    assert scored.scores.tobytes() == expected.scores.tobytes()


def test_the_shape_of_the_heads_calls(planned_models):
    plan = read_plan(planned_models / "ranking" / "assets.extra")
    assert (plan.head.call_rows, plan.head.block_rows) == (CALL_ROWS, 64)
    assert (planning_head.CALL_ROWS, planning_head.BLOCK_ROWS) == (65_536, 512)
