"""Scores are ranked as the model gives them, whatever their dtype: an exact oracle gives the same ranks."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.columns import ranked_schema
from batchscore.outputs.rows import open_ranked
from batchscore.savedmodel.score import exact_dtype
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.rank import topn
from batchscore.scoring.rank.topn import TopN
from batchscore.scoring.rank.writer import write_lists
from batchscore.scoring.run import run
from batchscore.scoring.source import reader
from batchscore.settings.run import RunSettings

SCHEMA = ranked_schema(pa.field("u", pa.int64()), pa.field("c", pa.int64()))
LARGE = [2**24, 2**24 + 1, 2**24 + 2, 2**53, 2**53 + 1, 2**53 + 2, 2**62, 2**62 + 1, 2**63 - 1]
SCORES = {
    "float32": [0.0, -0.0, 1.0, 1 + 2.0**-23, -1.0, 2.0**24, 2.0**24 + 2],
    "float64": [0.0, -0.0, 1e-300, -1e-300, 5e-324, 1 + 2**-52, 1.0, *map(float, LARGE[:6]), 3.4e38, -3.4e38],
    "int64": [0, -1, *LARGE, *(-score for score in LARGE), -(2**63)],
    "uint64": [0, 1, *LARGE, 2**63, 2**64 - 1],
}


def rank_exactly(rows, top_n):
    """(user, candidate, score, rank) by Python's exact comparison of numbers, and the ties at the cut."""
    best = {}
    for user, candidate, score in rows:
        pairs = best.setdefault(user, {})
        pairs[candidate] = max(score, pairs.get(candidate, score))
    listed, ties = [], 0
    for user, pairs in sorted(best.items()):
        ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
        listed += [(user, candidate, score, rank) for rank, (candidate, score) in enumerate(ordered[:top_n], 1)]
        ties += len(ordered) > top_n and ordered[top_n - 1][1] == ordered[top_n][1]
    return listed, ties


def as_written(score):
    """A score as float32, from the exact number."""
    with np.errstate(over="raise"):
        return float(np.array(score).astype(np.float32)) + 0.0


@settings(max_examples=200, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(list(SCORES)), top_n=st.integers(1, 4), pending=st.integers(1, 12))
def test_ranks_are_exact_for_any_dtype_and_any_batches(tmp_path_factory, data, dtype, top_n, pending):
    few = st.sampled_from(data.draw(st.lists(st.sampled_from(SCORES[dtype]), min_size=1, max_size=5)))
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), few), min_size=1, max_size=30))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    top = TopN(top_n, SCHEMA, np.dtype(dtype))
    with mock.patch.object(topn, "_MIN_PENDING_ROWS", pending):
        for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            part = rows[start:end]
            users, candidates, scores = zip(*part, strict=True) if part else ((), (), ())
            ids = [pa.array(column, pa.int64()) for column in (users, candidates)]
            pairs = ScorablePairs("f", np.arange(len(part)), *ids, [], {}, {})
            top.add(ScoredPairs(pairs, np.array(scores, dtype)))
        lists = top.finish()
    path = tmp_path_factory.getbasetemp() / "ranked.parquet"
    write_lists(lists, path)
    listed, ties = rank_exactly(rows, top_n)
    found = [tuple(row.values()) for row in pq.read_table(path).to_pylist()]
    assert found == [(user, candidate, as_written(score), rank) for user, candidate, score, rank in listed]
    assert not any(np.signbit(row[2]) and row[2] == 0 for row in found)
    assert lists.ties_at_cut == ties
    assert sum(frame.height for frame in open_ranked(path).read()) == len(listed), "our own readers take it"


USERS, ITEMS = 30, 80
BASES = {"float64": 2**52, "int64": 2**62, "int32": 2**30, "uint64": 2**63, "float32": 0}


@pytest.fixture(scope="module")
def models(tf, tmp_path_factory):
    """A model for each dtype, with its plan: whole scores close to the dtype's base, as `score_of` has them."""
    from batchscore.planning.graph import head
    from batchscore.planning.graph.plan_model import plan_model
    from batchscore.planning.plan import Plan
    from batchscore.planning.plan_file import write_plan

    folder = tmp_path_factory.mktemp("dtypes")

    class Steps(tf.Module):
        def __init__(self, dtype):
            super().__init__()
            self.user_steps, self.item_steps = (
                tf.Variable(np.array([BASES[dtype] + 41 * user % 97 for user in range(USERS)], dtype)),
                tf.Variable(np.array([59 * item % 83 for item in range(ITEMS)], dtype)),
            )

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.int64)])
        def serve(self, user_id, item_id):
            return {"score": tf.gather(self.user_steps, user_id) + tf.gather(self.item_steps, item_id)}

    with mock.patch.object(head, "CALL_ROWS", 2048), mock.patch.object(head, "BLOCK_ROWS", 64):
        for dtype in BASES:
            model = Steps(dtype)
            tf.saved_model.save(model, str(folder / dtype), signatures={"serving_default": model.serve})
            plan = plan_model(
                folder / dtype, "serving_default", "score", user_inputs=["user_id"], candidate_inputs=["item_id"]
            )
            assert isinstance(plan, Plan), plan
            (folder / dtype / "assets.extra").mkdir(exist_ok=True)
            write_plan(folder / dtype / "assets.extra", plan)
    return folder


def score_of(dtype, user, item):
    return BASES[dtype] + 41 * user % 97 + 59 * item % 83


@pytest.mark.tensorflow
@pytest.mark.parametrize("plan", ["require", "off"])
@pytest.mark.parametrize("dtype", list(BASES))
def test_a_models_scores_are_ranked_exactly(models, tmp_path, dtype, plan):
    draw = np.random.default_rng(5)
    rows = [(user, item) for user in range(USERS) for item in range(ITEMS)]
    rows = [rows[index] for index in draw.permutation(len(rows))]
    users, items = (pa.array(column, pa.int64()) for column in zip(*rows, strict=True))
    pq.write_table(pa.table([users, items], ["user_id", "item_id"]), tmp_path / "pairs.parquet")
    wanted = RunSettings(
        input=tmp_path / "pairs.parquet", output=tmp_path / "ranked.parquet", model=models / dtype, top_n=7,
        plan=plan, candidate_column="item_id", max_identical_lists="off",
    )  # fmt: skip
    with mock.patch.object(reader, "BATCH_ROWS", 777):
        report = run(wanted)
    assert report.plan.used == (plan == "require")
    listed, ties = rank_exactly([(user, item, score_of(dtype, user, item)) for user, item in rows], 7)
    found = [tuple(row.values()) for row in pq.read_table(tmp_path / "ranked.parquet").to_pylist()]
    assert found == [(user, item, as_written(score), rank) for user, item, score, rank in listed]
    assert report.ties_at_cut == ties
    rounded = exact_dtype(dtype) != np.float32
    told = f"scores are {dtype}: ranked at full precision"
    assert [told in warning for warning in report.warnings] == [True] * rounded
