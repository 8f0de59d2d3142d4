"""Graphs without weights, imported into a model's own session: how a plan runs."""

import numpy as np
import pyarrow as pa
import pytest

from batchscore.engine.opening import open_session
from batchscore.errors import ModelError
from batchscore.savedmodel.saved_model import read_saved_model

pytestmark = pytest.mark.tensorflow

USERS = pa.array([f"user-{number % 50}" for number in range(200)])
FEEDS = {
    "ranking": {"user_id": USERS, "candidate": pa.array([1, 5, 7, 999] * 50, pa.int64())},
    "compiled": {"user_id": USERS},
    "keras_layers": {
        "user_id": USERS,
        "movie_id": pa.array([1, 5, 7, 999] * 50, pa.int64()),
        "title": pa.array(["The Cat, the DOG!", "on a mat", "zzz", ""] * 50),
        "hour": pa.array(np.linspace(0, 24, 200, dtype=np.float32)),
    },
}


@pytest.fixture(params=["c", "python"])
def open_model(request, models):
    sessions = []

    def open_one(name):
        sessions.append(open_session(models / name, threads=2, api=request.param))
        return sessions[-1], read_saved_model(models / name).signatures["serving_default"]

    yield open_one
    for session in sessions:
        session.close()


def graph_of(path):
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def


def shared_name(path, shape):
    """By which name a session knows the model's variable of that shape."""
    for node in graph_of(path).node:
        if [dimension.size for dimension in node.attr["shape"].shape.dim] == shape and node.op == "VarHandleOp":
            return node.attr["shared_name"].s.decode()
    raise AssertionError(shape)


@pytest.mark.parametrize("name", FEEDS)
def test_a_copy_of_the_serving_graph_finds_the_models_variables_and_tables(name, open_model, models, tf):
    session, signature = open_model(name)
    output = signature.outputs["score"].tensor
    graph = tf.compat.v1.graph_util.extract_sub_graph(graph_of(models / name), [output.split(":")[0]])
    graph.library.CopyFrom(graph_of(models / name).library)
    session.import_graph(graph.SerializeToString(), "plan")
    inputs = [f"plan/{spec.tensor}" for spec in signature.inputs.values()]
    call = session.prepare(inputs, [f"plan/{output}"], label="the plan")

    (found,) = call(*(FEEDS[name][input_name] for input_name in signature.inputs))

    expected = session.run(signature, FEEDS[name], ["score"])["score"]
    assert len(np.unique(expected)) > 3
    assert found.tobytes() == expected.tobytes()


def test_a_graph_with_a_compiled_function_of_its_own(open_model, models, tf):
    session, _ = open_model("compiled")
    with tf.Graph().as_default() as graph:
        rows = tf.compat.v1.placeholder(tf.int32, [None], "rows")
        scale = tf.compat.v1.placeholder(tf.float32, [None], "scale")
        shared = shared_name(models / "compiled", [41, 16])
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[41, 16], shared_name=shared)
        vectors = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)

        @tf.function(jit_compile=True)
        def head(vectors, rows, scale):
            return tf.reduce_sum(tf.gather(vectors, rows), 1) * scale

        tf.identity(vectors, "vectors")
        tf.identity(head(vectors, rows, scale), "score")
    session.import_graph(graph.as_graph_def().SerializeToString(), "plan")
    (vectors,) = session.prepare([], ["plan/vectors:0"], label="the table")()
    call = session.prepare(["plan/rows:0", "plan/scale:0"], ["plan/score:0"], label="the head")

    rows, scale = np.arange(30, dtype=np.int32), np.linspace(0, 1, 30, dtype=np.float32)
    (score,) = call(pa.array(rows), scale)

    np.testing.assert_allclose(score, vectors[:30].sum(1) * scale, rtol=1e-5)
    assert np.abs(score).max() > 1
    for _ in range(3):
        assert call(rows, pa.array(scale))[0].tobytes() == score.tobytes()


def test_calls_go_on_while_a_graph_is_imported(open_model, tf):
    session, signature = open_model("ranking")
    before = session.run(signature, FEEDS["ranking"], ["score"])["score"]
    with tf.Graph().as_default() as graph:
        value = tf.compat.v1.placeholder(tf.float32, [None, 3], "value")
        tf.add(value, value, "double")
    for prefix in ("first", "second"):
        session.import_graph(graph.as_graph_def().SerializeToString(), prefix)
        call = session.prepare([f"{prefix}/value:0"], [f"{prefix}/double:0"], label="a test")
        assert call(np.ones((2, 3), np.float32))[0].tolist() == [[2.0] * 3] * 2
    assert session.run(signature, FEEDS["ranking"], ["score"])["score"].tobytes() == before.tobytes()


def test_bytes_that_are_no_graph_are_refused(open_model):
    session, signature = open_model("ranking")
    with pytest.raises(ModelError, match="cannot add the plan") as caught:
        session.import_graph(b"\xff\xff\xff", "plan")
    assert caught.value.error_id == "E-MODEL-LOAD"
    assert session.run(signature, FEEDS["ranking"], ["score"])["score"].shape == (200, 1)


def test_an_op_that_does_not_exist_is_refused(open_model, tf):
    session, _ = open_model("ranking")
    graph = tf.compat.v1.GraphDef()
    graph.node.add(name="a", op="NoSuchOp")
    with pytest.raises(ModelError, match="NoSuchOp"):
        session.import_graph(graph.SerializeToString(), "plan")
