"""What else people have where a SavedModel should be, and what each must become."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchscore.errors import ModelError
from batchscore.savedmodel.model_files import MAX_MODEL_FILE_BYTES
from batchscore.savedmodel.proto import DecodeError, GraphProto
from batchscore.system.regular_files import open_regular, read_regular

PB = "saved_model.pb"
SERVE = "serve"

_EXPORT = "export('model/1')"
_HEAD_BYTES = 512
_KERAS_PARTS = {"config.json", "model.weights.h5"}


@dataclass(frozen=True)
class Format:
    """A format that is no SavedModel: its name, and how to get to a SavedModel from it."""

    name: str
    next_step: str


_KERAS_NEXT = (
    f"load it where it was trained and export it: keras.saving.load_model(PATH).{_EXPORT}; "
    "a subclassed model: model.export after one call, or tf.saved_model.save with signatures="
)
_WEIGHTS_NEXT = (
    "build the model in code, load these weights, then tf.saved_model.save(model, 'model/1', signatures=...) "
    f"(Keras: model.load_weights, then model.{_EXPORT})"
)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MODEL_SUFFIXES = (".keras", ".h5", ".hdf5", ".tflite", ".zip", ".pb")

_WEIGHTS = Format("Keras weights in HDF5, without a graph", _WEIGHTS_NEXT)
_KERAS_HDF5 = Format("a Keras model in HDF5", _KERAS_NEXT)
_KERAS = Format("a Keras archive (.keras)", _KERAS_NEXT)
_UNPACKED_KERAS = Format("an unpacked .keras archive", _KERAS_NEXT)
_CHECKPOINT = Format("a TensorFlow checkpoint: weights without a graph", _WEIGHTS_NEXT)
_LITE = Format(
    "a TensorFlow Lite model",
    "export the model that it was converted from with tf.saved_model.save: there is no way back from .tflite",
)
_ARCHIVE = Format("a packed archive", f"unpack it and give the directory that holds {PB}")
_FROZEN = Format(
    "a frozen graph (GraphDef), which has no signatures",
    "export the model from the code that froze it with tf.saved_model.save",
)
_TEXT = Format("a SavedModel in text form", "load it with tf.saved_model.load and save it with tf.saved_model.save")
_CHUNKED = Format(
    "a SavedModel in chunks",
    "export it again without tf.saved_model.SaveOptions(experimental_image_format=True)",
)
_SOME_FILE = Format(
    "a file of an unknown format", f"export a SavedModel with tf.saved_model.save (Keras: model.{_EXPORT})"
)


def recognise_file(path: Path) -> Format:
    """What the file `path` is, told by its first bytes, or by its name where those are shared."""
    if not path.is_file():
        return _SOME_FILE
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(b"PK"):
        return _recognise_zip(path)
    by_bytes = {
        _WEIGHTS: head.startswith(_HDF5) and path.name.endswith(".weights.h5"),
        _KERAS_HDF5: head.startswith(_HDF5),
        _LITE: head[4:8] == b"TFL3",
        _ARCHIVE: head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) or head[257:262] == b"ustar",
    }
    by_name = {
        Format("the file inside a SavedModel", f"give its directory: {path.parent}"): path.name == PB,
        _CHECKPOINT: path.suffix == ".index" or path.name == "checkpoint" or ".data-" in path.name,
        _FROZEN: path.suffix == ".pb" and _is_graph(path),
    }
    fitting = [known for known, fits in (by_bytes | by_name).items() if fits]
    return fitting[0] if fitting else _SOME_FILE


def recognise_directory(path: Path) -> Format:
    """What the directory `path` without saved_model.pb is."""
    names = sorted(entry.name for entry in path.iterdir())
    models = [name for name in names if (path / name / PB).is_file()]
    files = [name for name in names if name.endswith(_MODEL_SUFFIXES)]
    fitting = [known for known, fits in (
        (_TEXT, f"{PB}txt" in names),
        (_CHUNKED, "saved_model.cpb" in names),
        (_UNPACKED_KERAS, set(names) >= _KERAS_PARTS),
        (_CHECKPOINT, "checkpoint" in names or any(name.endswith(".index") for name in names)),
    ) if fits]  # fmt: skip
    if fitting:
        return fitting[0]
    if models:
        return Format(
            f"SavedModels whose names are not version numbers: {', '.join(models[:5])}",
            f"give one of them: {path / models[0]}; or make it a version with `batchscore adopt`",
        )
    if files:
        inside = recognise_file(path / files[0])
        return Format(f"{files[0]}: {inside.name}", inside.next_step)
    return Format(
        ", ".join(names[:8]) or "an empty directory",
        "give the directory that tf.saved_model.save or `batchscore train` wrote",
    )


def choose_meta_graph(meta_graphs: Sequence[Any], path: Path) -> Any:
    """The graph for serving among those of a SavedModel.

    Raises ModelError (E-MODEL-NOT-SAVEDMODEL) if there is none, or only one in the form of TensorFlow 1.
    """
    tags = [sorted(set(graph.meta_info_def.tags)) for graph in meta_graphs]
    for graph, graph_tags in zip(meta_graphs, tags, strict=True):
        if graph_tags == [SERVE]:
            version = graph.meta_info_def.tensorflow_version
            if graph.object_graph_def or not version:  # what no TensorFlow has signed is left to the loader
                return graph
            raise ModelError(
                "E-MODEL-NOT-SAVEDMODEL",
                "the SavedModel has the form of TensorFlow 1",
                where=path,
                found=f"a graph without objects, written by TensorFlow {version}",
                expected="what tf.saved_model.save of TensorFlow 2 writes",
                next_step="rebuild the model as a tf.Module or Keras 2 model, load the old variables with "
                "tf.train.load_checkpoint, and save it with TensorFlow 2; loading and saving the old export loses "
                "its variables",
            )
    raise ModelError(
        "E-MODEL-NOT-SAVEDMODEL",
        "the SavedModel has no graph for serving",
        where=path,
        found="graphs tagged " + ", ".join("+".join(item) or "with nothing" for item in tags)
        if tags
        else "no graphs",
        expected=f"a graph with the tag {SERVE!r} alone",
        next_step="export it with tf.saved_model.save of TensorFlow 2, which sets the tag; with the builder of "
        "TensorFlow 1, add the graph under tf.saved_model.SERVING",
    )


def _recognise_zip(path: Path) -> Format:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return Format("a damaged zip file", "copy or export it again")
    if set(names) >= _KERAS_PARTS:
        return _KERAS
    inside = next((name for name in names if name.endswith(PB)), None)
    if inside is not None:
        return Format("a zip file with a SavedModel in it", f"unpack it and give the directory that holds {inside}")
    return Format("a zip file", _SOME_FILE.next_step)


def _is_graph(path: Path) -> bool:
    try:
        graph = GraphProto.FromString(read_regular(path, MAX_MODEL_FILE_BYTES))
    except (DecodeError, OSError):
        return False
    return bool(graph.node) and all(node.op for node in graph.node)
