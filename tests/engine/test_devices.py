"""Models that were exported on a machine with devices that this one does not have."""

import numpy as np
import pyarrow as pa
import pytest

from batchscore.engine.opening import open_session
from batchscore.savedmodel.saved_model import read_saved_model

pytestmark = pytest.mark.tensorflow

GPU = "/job:localhost/replica:0/task:0/device:GPU:0"
FEEDS = {"user_id": pa.array([0, 7, 40] * 50, pa.int64()), "item_id": pa.array([3, 1, 2] * 50, pa.int64())}


@pytest.fixture(scope="module", params=["device scope", "mirrored variables"])
def gpu_model(tf, request, tmp_path_factory):
    """A model as an export on a machine with a GPU writes it: variables and their ops are placed on that GPU."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = tmp_path_factory.mktemp("devices") / "model"
    mirrored = tf.distribute.MirroredStrategy(["/CPU:0"]) if request.param == "mirrored variables" else None
    draw = np.random.default_rng(5)
    module = tf.Module()
    with mirrored.scope() if mirrored else tf.device("/GPU:0"):
        module.rows = tf.Variable(draw.normal(size=(41, 8)).astype(np.float32))
        module.kernel = tf.Variable(draw.normal(size=(16, 1)).astype(np.float32))

    def serve(user_id, item_id):
        with tf.device("/GPU:0"):
            vectors = [tf.gather(module.rows, ids % 41) for ids in (user_id, item_id)]
            return {"score": tf.nn.relu(tf.concat(vectors, 1)) @ module.kernel}

    ids = [tf.TensorSpec([None], tf.int64, name) for name in FEEDS]
    signature = tf.function(serve).get_concrete_function(*ids)
    options = tf.saved_model.SaveOptions(experimental_variable_policy="save_variable_devices")
    tf.saved_model.save(module, str(path), {"serving_default": signature}, options)

    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    for nodes in (graph.node, *(function.node_def for function in graph.library.function)):
        for node in nodes:
            if node.device.endswith(("CPU:0", "GPU:0")):
                node.device = GPU
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    return path, signature(**{name: tf.constant(ids.to_numpy()) for name, ids in FEEDS.items()})["score"].numpy()


@pytest.mark.parametrize("api", ["c", "python"])
def test_a_model_placed_on_devices_that_are_not_here_gives_its_scores(gpu_model, api):
    path, expected = gpu_model
    session = open_session(path, threads=2, api=api)
    try:
        signature = read_saved_model(path).signatures["serving_default"]
        found = session.run(signature, FEEDS, ["score"])["score"]
    finally:
        session.close()
    assert np.unique(found).size == 3
    np.testing.assert_allclose(found, expected, rtol=1e-5)
