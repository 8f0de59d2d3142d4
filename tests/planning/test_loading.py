"""A plan beside its model in one graph: no name of the one is a name of the other."""

import numpy as np
import pytest

from batchscore.engine.opening import open_session
from batchscore.planning.graph.plan_model import plan_model
from batchscore.planning.plan import Plan

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def dense_table_model(tf, planning, tmp_path_factory):
    """Its main graph calls a function to fill the table, by a node that is named after the op."""
    draw = np.random.default_rng(2)
    table = tf.lookup.experimental.DenseHashTable(tf.int64, tf.int64, 0, empty_key=-1, deleted_key=-2)
    table.insert(tf.range(1, 40, dtype=tf.int64), tf.range(1, 40, dtype=tf.int64))
    rows = tf.Variable(draw.normal(size=(41, 8)).astype(np.float32))
    kernel = tf.Variable(draw.normal(size=(16, 1)).astype(np.float32))

    def score(user_id, item_id):
        vectors = [tf.gather(rows, table.lookup(ids)) for ids in (user_id, item_id)]
        return {"score": tf.nn.relu(tf.concat(vectors, 1)) @ kernel}

    path = tmp_path_factory.mktemp("dense") / "model"
    return planning.save(path, score, {"user_id": tf.int64, "item_id": tf.int64}, [table, rows, kernel])


def make(path):
    plan = plan_model(path, "serving_default", "score", user_inputs=["user_id"], candidate_inputs=["item_id"])
    assert isinstance(plan, Plan), plan
    return plan


@pytest.mark.parametrize("api", ["c", "python"])
def test_a_plan_loads_beside_a_model_whose_nodes_are_named_after_ops(dense_table_model, tf, api):
    plan = make(dense_table_model)
    graph = tf.compat.v1.GraphDef.FromString(plan.graph)
    assert {node.name.partition("/")[0] for node in graph.node} == {"batchscore"}
    assert all(function.signature.name.startswith("batchscore_") for function in graph.library.function)
    session = open_session(dense_table_model, threads=1, api=api)
    try:
        session.import_graph(plan.graph, "")
        session.prepare([plan.head.blocks_feed], [plan.head.output], label="the head")
    finally:
        session.close()


def test_its_scores_are_the_models(dense_table_model, planning):
    draw = np.random.default_rng(4)
    pairs = {name: draw.integers(0, 60, 300) for name in ("user_id", "item_id")}
    planning.assert_same_scores(dense_table_model, make(dense_table_model), pairs)
