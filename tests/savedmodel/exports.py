"""Export models as other people do, and what TensorFlow's parser reads in them: exports.py FOLDER legacy|keras3

Each run is a process of its own, because a process has one Keras. Beside each model `m` lies `m.json`, its
signatures, and the run's `shards` are a tensor bundle of two shards with the sizes of their files.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

folder, kind = Path(sys.argv[1]), sys.argv[2]
os.environ["TF_USE_LEGACY_KERAS"] = "1" if kind == "legacy" else "0"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import tensorflow as tf  # noqa: E402
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402


def describe(path: Path) -> None:
    (graph,) = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs

    def tensors(infos):
        return {
            key: [info.name, tf.dtypes.as_dtype(info.dtype).name, shape(info.tensor_shape)]
            for key, info in infos.items()
        }

    def shape(proto):
        found = tf.TensorShape(proto)
        return None if found.rank is None else found.as_list()

    described = {
        name: [tensors(signature.inputs), tensors(signature.outputs)]
        for name, signature in graph.signature_def.items()
        if name != "__saved_model_init_op"
    }
    path.with_suffix(".json").write_text(
        json.dumps({"version": graph.meta_info_def.tensorflow_version, "signatures": described})
    )


def save(name, module, signatures=None):
    tf.saved_model.save(module, str(folder / name), signatures)
    describe(folder / name)


def spec(shape, dtype, name):
    return tf.TensorSpec(shape, dtype, name=name)


def ranking_keras(keras):
    user, item = keras.Input((1,), name="user_id", dtype="int32"), keras.Input((1,), name="item_id", dtype="int32")
    vectors = [keras.layers.Flatten()(keras.layers.Embedding(10, 4)(ids)) for ids in (user, item)]
    score = keras.layers.Dense(1, name="score")(keras.layers.Concatenate()(vectors))
    return keras.Model({"user_id": user, "item_id": item}, {"score": score})


def export_legacy():
    import tf_keras

    save("functional", ranking_keras(tf_keras))

    class Ranking(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.rows = tf_keras.layers.Embedding(5, 3)
            self.dense = tf_keras.layers.Dense(1)

        def call(self, features):
            return self.dense(self.rows(features["item"])), tf.reduce_sum(features["price"], keepdims=True)

    model = Ranking()
    model({"item": tf.constant([1, 2]), "price": tf.constant([1.0, 2.0])})
    save("subclassed", model)


def export_keras3():
    import keras

    model = ranking_keras(keras)
    model.export(str(folder / "exported"), verbose=False)
    describe(folder / "exported")
    dtypes = [tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.bool, tf.string, tf.int8, tf.int16, tf.int32,
              tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64]  # fmt: skip
    module = tf.Module()
    module.every = tf.function(lambda **inputs: {f"{name}_out": value for name, value in inputs.items()})
    every = module.every.get_concrete_function(**{
        f"x_{dtype.name}": spec([None, 1], dtype, f"x_{dtype.name}") for dtype in dtypes
    })  # fmt: skip
    module.shapes = tf.function(lambda **inputs: dict(inputs))
    shapes = module.shapes.get_concrete_function(
        scalar=spec([], tf.float32, "scalar"), any=spec(None, tf.float32, "any"),
        fixed=spec([8], tf.float32, "fixed"),
        open=spec([None, None], tf.float32, "open"), deep=spec([None, 3, 1], tf.float32, "deep"),
    )  # fmt: skip
    save("module", module, {"serving_default": every, "shapes": shapes})
    bare = tf.Module()
    bare.f = tf.function(lambda x: x, input_signature=[spec([None], tf.float32, "x")])
    bare.f.get_concrete_function()
    save("without_signatures", bare)
    two_shards(folder / "shards")


def two_shards(path):
    path.mkdir()
    prefixes = []
    for shard, count in enumerate((100, 3)):
        prefix = str(path / f"part-{shard:05d}-of-00002")
        tensors = [tf.range(count), tf.zeros([count])]
        tf.raw_ops.SaveV2(
            prefix=prefix, tensor_names=[f"a{shard}", f"b{shard}"], shape_and_slices=["", ""], tensors=tensors
        )
        prefixes.append(prefix)
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=prefixes, destination_prefix=str(path / "variables"), delete_old_dirs=False
    )


if __name__ == "__main__":
    if kind == "legacy":
        export_legacy()
    else:
        export_keras3()
