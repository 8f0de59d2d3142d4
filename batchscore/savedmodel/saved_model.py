"""What a SavedModel is, read from its bytes: signatures, card, fingerprint. TensorFlow is not loaded for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchscore.errors import ModelError
from batchscore.savedmodel.card import ModelCard, read_card
from batchscore.savedmodel.fingerprint import FileDigest, digest_files, fingerprint_of
from batchscore.savedmodel.formats import PB, choose_meta_graph
from batchscore.savedmodel.model_files import MAX_MODEL_FILE_BYTES, readable_model
from batchscore.savedmodel.proto import DTYPES, DecodeError, SavedModelProto
from batchscore.savedmodel.repeatable import find_unrepeatable
from batchscore.savedmodel.safety import ASSETS, INIT_OP, Hazard, find_hazards, is_inside, require_trusted
from batchscore.savedmodel.versions import PassedOver, locate
from batchscore.system.regular_files import read_regular

SERVING_DEFAULT = "serving_default"


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature. `shape` is None if the rank is unknown; an open dimension is None."""

    name: str
    tensor: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name} {self.dtype}"
        sizes = (str(size) if size is not None else "L" if axis else "n" for axis, size in enumerate(self.shape))
        return f"{self.name} {self.dtype} [{', '.join(sizes)}]"


@dataclass(frozen=True)
class Signature:
    """A signature of a SavedModel: its inputs and outputs by name.

    `unrepeatable` has, for outputs that depend on a clock, random numbers or state, the ops that make them so;
    `compiled` says whether a function of the model is compiled by XLA, again for each shape that it is called with.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    unrepeatable: Mapping[str, tuple[Hazard, ...]] = field(default_factory=dict)
    compiled: bool = False

    def unrepeatable_ops(self, outputs: Iterable[str]) -> tuple[Hazard, ...]:
        """What makes one of `outputs` another one from call to call, each op once."""
        return tuple(dict.fromkeys(hazard for name in outputs for hazard in self.unrepeatable.get(name, ())))


@dataclass(frozen=True)
class SavedModel:
    """A SavedModel that has been found and read, not loaded."""

    path: Path
    version: int | None
    chosen: str
    fingerprint: str
    tensorflow_version: str
    signatures: Mapping[str, Signature]
    card: ModelCard | None
    hazards: tuple[Hazard, ...] = ()
    """What it would do beyond computing."""
    passed_over: tuple[PassedOver, ...] = ()
    """Higher versions that are incomplete or cannot be read."""

    @property
    def label(self) -> str:
        """How a message calls it: `model 42`, or its directory if it has no version."""
        return f"model {self.version}" if self.version is not None else f"model {self.path.name}"


def read_saved_model(model: Path, version: int | None = None, *, trust_model: bool = False) -> SavedModel:
    """Find (see `versions.locate`) and describe a SavedModel that is safe to load.

    Costs one read of all its files, for the fingerprint. `trust_model` says that what it would do beyond computing
    is wanted. Raises ModelError: E-MODEL-MISSING, E-MODEL-UNREADABLE, E-MODEL-NOT-SAVEDMODEL, E-MODEL-INCOMPLETE,
    E-MODEL-CARD, E-MODEL-DAMAGED if a file is not the one that the card remembers, E-MODEL-SIGNATURE,
    E-MODEL-UNTRUSTED (see `safety.find_hazards`).
    """
    located = locate(model, version)
    card = read_card(located.path)
    with readable_model(located.path):
        content = read_regular(located.path / PB, MAX_MODEL_FILE_BYTES)  # a file without end is not hashed either
        files = digest_files(located.path)
    _require_undamaged(files, card, located.path)
    meta_graphs = _parse_meta_graphs(content, located.path)
    graph = choose_meta_graph(meta_graphs, located.path)
    hazards = find_hazards(meta_graphs, located.path)
    require_trusted(located.path, hazards, trust_model=trust_model)
    with readable_model(located.path):
        _require_assets(graph, located.path)
    return SavedModel(
        path=located.path,
        version=located.version,
        chosen=located.chosen,
        passed_over=located.passed_over,
        fingerprint=fingerprint_of(files),
        tensorflow_version=graph.meta_info_def.tensorflow_version,
        signatures=_signatures(graph),
        card=card,
        hazards=tuple(hazards),
    )


def read_meta_graphs(path: Path) -> list[Any]:
    """The graphs of the SavedModel directory `path`, one for each set of tags, as messages of `proto`.

    Raises ModelError: E-MODEL-UNREADABLE if saved_model.pb cannot be read, E-MODEL-NOT-SAVEDMODEL if it is
    something else.
    """
    with readable_model(path):
        content = read_regular(path / PB, MAX_MODEL_FILE_BYTES)
    return _parse_meta_graphs(content, path)


def _parse_meta_graphs(content: bytes, path: Path) -> list[Any]:
    try:
        return list(SavedModelProto.FromString(content).meta_graphs)
    except DecodeError as error:
        raise ModelError(
            "E-MODEL-NOT-SAVEDMODEL",
            f"{PB} is damaged or is not a SavedModel",
            where=path / PB,
            next_step="copy or export the model again",
        ) from error


def choose_signature(model: SavedModel, wanted: str | None = None) -> tuple[Signature, str]:
    """The signature to score with, and the reason: the one asked for, the card's, or `serving_default`."""
    name, reason = SERVING_DEFAULT, "the default"
    if wanted is not None:
        name, reason = wanted, "--signature"
    elif model.card is not None:
        name, reason = model.card.signature, "model card"
    if name not in model.signatures:
        raise ModelError(
            "E-MODEL-SIGNATURE",
            f"the SavedModel has no signature {name!r} ({reason})",
            where=model.path,
            found=", ".join(model.signatures) or "no signatures",
            next_step="choose one with --signature, or export the model with signatures={'serving_default': ...}",
        )
    return model.signatures[name], reason


def choose_score_output(
    signature: Signature, wanted: str | None = None, card: ModelCard | None = None
) -> tuple[TensorSpec, str]:
    """The output that is the score, and the reason: the one asked for, the card's, or the only one that fits.

    Raises ModelError (E-MODEL-OUTPUT) if it cannot be told or is no number.
    """
    listing = "; ".join(map(str, signature.outputs.values()))
    fitting = [output for output in signature.outputs.values() if is_one_value(output) and is_score(output)]
    if wanted is not None or (card is not None and card.signature == signature.name):
        name, reason = (wanted, "--score-output") if wanted is not None else (card.score_output, "model card")  # type: ignore[union-attr]
        if name not in signature.outputs or signature.outputs[name] not in fitting:
            raise ModelError(
                "E-MODEL-OUTPUT",
                f"output {name!r} ({reason}) is not a score of signature {signature.name!r}",
                found=listing,
                expected="a numeric output of shape [n], [n, 1] or [n, 1, 1]",
                next_step="choose another with --score-output",
            )
        return signature.outputs[name], reason
    if len(fitting) != 1:
        raise ModelError(
            "E-MODEL-OUTPUT",
            f"{len(fitting) or 'no'} outputs of signature {signature.name!r} could be the score",
            found=listing,
            expected="one numeric output of shape [n], [n, 1] or [n, 1, 1]",
            next_step="choose with --score-output" if fitting else "export a model with one score per pair",
        )
    return fitting[0], "the only output with one number per pair"


def is_column(tensor: TensorSpec) -> bool:
    """Whether an input takes one value per row: shape [n], [n, 1], or unknown."""
    shape = tensor.shape
    return shape is None or len(shape) == 1 or (len(shape) == 2 and shape[1] in (1, None))  # noqa: PLR2004


def is_one_value(tensor: TensorSpec) -> bool:
    """Whether an output can have one value per row: after the rows every dimension is 1 or open; or unknown."""
    return tensor.shape is None or (len(tensor.shape) > 0 and all(size in (1, None) for size in tensor.shape[1:]))


def takes_list(tensor: TensorSpec) -> bool:
    """Whether an input has any number of values per row: shape [n, L]."""
    return tensor.shape is not None and len(tensor.shape) == 2 and tensor.shape[1] is None  # noqa: PLR2004


def is_score(tensor: TensorSpec) -> bool:
    """Whether the tensor's dtype can be a score: any float or integer."""
    return tensor.dtype.startswith(("float", "bfloat", "int", "uint"))


def _require_undamaged(files: Mapping[str, FileDigest], card: ModelCard | None, path: Path) -> None:
    """Raise ModelError (E-MODEL-DAMAGED) if a file has another SHA-256 than the card remembers of it."""
    for entry in card.files if card is not None else []:
        found = files.get(entry.path)
        if entry.sha256 is not None and (found is None or found.sha256 != entry.sha256):
            raise ModelError(
                "E-MODEL-DAMAGED",
                f"{entry.path} is not the file that was exported",
                where=path / entry.path,
                found="no such file" if found is None else f"SHA-256 {found.sha256}",
                expected=f"SHA-256 {entry.sha256}, as the model card says",
                next_step="copy or export the model again, or pick another version with --model-version",
            )


def _require_assets(graph: Any, path: Path) -> None:
    missing = [
        asset.filename
        for asset in graph.asset_file_def
        if is_inside(asset.filename, path) and not (path / ASSETS / asset.filename).is_file()
    ]
    if missing:
        raise ModelError(
            "E-MODEL-INCOMPLETE",
            "the SavedModel is incomplete",
            where=path,
            found=f"missing: {', '.join(f'{ASSETS}/{name}' for name in missing[:5])}",
            next_step="copy or export it again, or pick another version with --model-version",
        )


def _signatures(graph: Any) -> dict[str, Signature]:
    items = [item for item in sorted(graph.signature_def, key=lambda item: str(item.key)) if item.key != INIT_OP]
    tensors = {output.value.name for item in items for output in item.value.outputs}
    unrepeatable = find_unrepeatable(graph, tensors)
    compiled = any(_is_compiled(function) for function in graph.graph_def.library.function)
    signatures = {}
    for item in items:
        outputs = _tensors(item.value.outputs)
        own = {spec.name: unrepeatable[spec.tensor] for spec in outputs.values() if spec.tensor in unrepeatable}
        signatures[item.key] = Signature(item.key, _tensors(item.value.inputs), outputs, own, compiled)
    return signatures


def _is_compiled(function: Any) -> bool:
    return any(attr.key == "_XlaMustCompile" and attr.value.b for attr in function.attr)


def _tensors(items: Any) -> dict[str, TensorSpec]:
    return {item.key: _tensor(item.key, item.value) for item in sorted(items, key=lambda item: str(item.key))}


def _tensor(key: str, info: Any) -> TensorSpec:
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else int(dim.size) for dim in info.tensor_shape.dim)
    return TensorSpec(key, info.name, DTYPES.get(info.dtype, f"type {info.dtype}"), shape)
