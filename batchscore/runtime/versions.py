"""Where a model lies: a SavedModel directory, or a base directory of integer versions (TF Serving's layout)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from batchscore.errors import ModelError
from batchscore.regular_files import read_regular, require_regular
from batchscore.runtime.card import CARD_PATH, read_card
from batchscore.runtime.formats import PB, recognise_directory, recognise_file
from batchscore.runtime.model_files import MAX_MODEL_FILE_BYTES, readable_model
from batchscore.runtime.proto import DecodeError, SavedModelProto
from batchscore.runtime.variables_index import CorruptIndexError, read_shards

LOCK = ".batchscore.lock"
REPORTS = "_batchscore"
FAILED_REPORT = "failed.report.json"


@dataclass(frozen=True)
class Located:
    """A SavedModel directory (symbolic links resolved), its version if it has one, and why it was chosen.

    `passed_over` are the higher versions that are incomplete.
    """

    path: Path
    version: int | None
    chosen: str
    passed_over: tuple[int, ...] = ()


def locate(model: Path, version: int | None = None) -> Located:
    """The SavedModel directory that `model` means.

    `model` is a SavedModel itself, or a base directory whose highest complete version is taken; `version` picks
    one. Raises ModelError: E-MODEL-MISSING, E-MODEL-UNREADABLE, E-MODEL-NOT-SAVEDMODEL, E-MODEL-INCOMPLETE.
    """
    with readable_model(model):
        return _locate(model, version)


def _locate(model: Path, version: int | None) -> Located:
    if not _exists(model):
        raise ModelError(
            "E-MODEL-MISSING",
            "there is no model",
            where=model,
            expected="a SavedModel directory, or a directory of integer versions of it",
            next_step="correct its path, or export one with `batchscore train`",
        )
    if not model.is_dir():
        found = recognise_file(model)
        raise ModelError(
            "E-MODEL-NOT-SAVEDMODEL",
            "the model is a file, not a SavedModel directory",
            where=model,
            found=found.name,
            expected=f"a directory with {PB}",
            next_step=found.next_step,
        )
    if version is None and (model / PB).exists():
        _require_complete(model)
        return Located(model.resolve(), None, "the directory given")
    versions = list_versions(model)
    if version is not None:
        if version not in versions:
            raise ModelError(
                "E-MODEL-MISSING",
                f"there is no version {version}",
                where=model,
                found=_spell(versions),
                next_step="give --model-version one of these, or leave it out for the highest"
                if versions
                else "correct --model, or leave --model-version out if --model is itself a SavedModel",
            )
        _require_complete(model / str(version))
        return Located((model / str(version)).resolve(), version, "--model-version")
    skipped: list[int] = []
    for number in versions:
        if _is_complete(model / str(number)):
            why = "highest complete version"
            if skipped:
                why += f" ({_spell(skipped)} incomplete)"
            return Located((model / str(number)).resolve(), number, why, tuple(skipped))
        skipped.append(number)
    if versions:
        _require_complete(model / str(versions[0]))
    _require_no_first_training(model)
    found = recognise_directory(model)
    raise ModelError(
        "E-MODEL-NOT-SAVEDMODEL",
        "the directory is not a SavedModel and has no versions of one",
        where=model,
        found=found.name,
        expected=f"{PB}, or directories named 1, 2, ... that contain it",
        next_step=found.next_step,
    )


def _require_no_first_training(base: Path) -> None:
    """Raise ModelError (E-MODEL-MISSING) if trainings were made for `base`, and none was published."""
    report = base / REPORTS / FAILED_REPORT
    if report.exists():
        raise ModelError(
            "E-MODEL-MISSING",
            "no version has been published yet: the last training was refused or failed",
            where=base,
            found=f"its report: {report}",
            expected=f"directories named 1, 2, ... that contain {PB}",
            next_step="read why in its report, then train again",
        )
    if (base / LOCK).exists():
        raise ModelError(
            "E-MODEL-MISSING",
            "no version has been published yet",
            where=base,
            found="a training or an adoption under way, or one that was stopped",
            expected=f"directories named 1, 2, ... that contain {PB}",
            next_step="wait for it to end, or run it again",
        )


def list_versions(base: Path) -> list[int]:
    """The integer versions under `base`, highest first, complete or not."""
    if not base.is_dir():
        return []
    return sorted(
        (int(entry.name) for entry in base.iterdir() if _is_version(entry.name) and entry.is_dir()),
        reverse=True,
    )


def missing_files(model: Path) -> list[str]:
    """What the SavedModel directory `model` lacks: nothing where it is complete.

    Complete is: saved_model.pb, the variables index where the graph restores variables, every shard that the index
    names in its full length, and every file that the model card lists, with its size. Raises ModelError
    (E-MODEL-CARD) where the card is not valid.
    """
    if not (model / PB).is_file():
        return [PB]
    missing = []
    index = model / "variables" / "variables.index"
    if index.is_file():
        try:
            for name, size in read_shards(index).items():
                missing += _lacks(model, f"variables/{name}", size, exact=False)
        except CorruptIndexError as error:
            missing.append(f"variables/variables.index ({error})")
        except OSError as error:
            missing.append(f"variables/variables.index ({error.strerror})")
    elif index.exists() or any(index.parent.glob("variables.data-*")) or _restores_variables(model):
        missing.append("variables/variables.index")
    if (model / CARD_PATH).exists():
        card = read_card(model)
        for entry in card.files if card else []:
            missing += _lacks(model, entry.path, entry.bytes, exact=True)
    return list(dict.fromkeys(missing))


def _is_complete(version: Path) -> bool:
    """Whether nothing is missing; a version that is still being copied may also break its parsers."""
    try:
        SavedModelProto.FromString(read_regular(version / PB, MAX_MODEL_FILE_BYTES))
        return not missing_files(version)
    except (ModelError, DecodeError, OSError):
        return False


def _restores_variables(model: Path) -> bool:
    try:
        graphs = SavedModelProto.FromString(read_regular(model / PB, MAX_MODEL_FILE_BYTES)).meta_graphs
    except (DecodeError, OSError):
        return False  # whoever reads the graph says so
    return any(graph.saver_def.restore_op_name for graph in graphs)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        raise
    except OSError:  # no such name is possible
        return False


def _lacks(model: Path, name: str, size: int, *, exact: bool) -> list[str]:
    try:
        path = model / name
        require_regular(path)
        found = path.stat().st_size
    except OSError:
        return [name]
    if found < size or (exact and found != size):
        return [f"{name} ({found:,} bytes, expected {size:,})"]
    return []


def _require_complete(model: Path) -> None:
    missing = missing_files(model)
    if missing:
        raise ModelError(
            "E-MODEL-INCOMPLETE",
            "the SavedModel is incomplete",
            where=model,
            found=f"missing or short: {', '.join(missing[:5])}",
            next_step="copy or export it again, or pick another version with --model-version",
        )


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit() and str(int(name)) == name


def _spell(versions: list[int]) -> str:
    return "version(s) " + ", ".join(map(str, versions[:8])) if versions else "no versions"
