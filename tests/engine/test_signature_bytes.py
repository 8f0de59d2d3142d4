"""Signatures read from bytes against what TensorFlow's own parser reads."""

import pytest

from batchscore.savedmodel.saved_model import read_saved_model

pytestmark = pytest.mark.tensorflow


def described_by_tensorflow(tf, path):
    from tensorflow.core.protobuf import saved_model_pb2

    (graph,) = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs
    described = {
        name: {
            kind: {
                key: (info.name, tf.dtypes.as_dtype(info.dtype).name, shape_of(tf, info.tensor_shape))
                for key, info in tensors.items()
            }
            for kind, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs))
        }
        for name, signature in graph.signature_def.items()
        if name != "__saved_model_init_op"
    }
    return described, graph.meta_info_def.tensorflow_version


def shape_of(tf, proto):
    shape = tf.TensorShape(proto)
    return None if shape.rank is None else tuple(shape.as_list())


@pytest.mark.parametrize(
    "name", ["ranking", "numbers", "texts", "keeping", "failing", "compiled", "keras_layers", "shapes"]
)
def test_signatures_are_read_as_tensorflow_reads_them(models, tf, name):
    model = read_saved_model(models / name)
    found = {
        signature.name: {
            "inputs": {key: (spec.tensor, spec.dtype, spec.shape) for key, spec in signature.inputs.items()},
            "outputs": {key: (spec.tensor, spec.dtype, spec.shape) for key, spec in signature.outputs.items()},
        }
        for signature in model.signatures.values()
    }
    assert (found, model.tensorflow_version) == described_by_tensorflow(tf, models / name)
    assert found


@pytest.mark.parametrize(("name", "compiled"), [("compiled", True), ("ranking", False)])
def test_functions_that_xla_compiles_are_seen(models, name, compiled):
    signatures = read_saved_model(models / name).signatures.values()
    assert {signature.compiled for signature in signatures} == {compiled}
