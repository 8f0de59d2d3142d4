"""Where a model lies: a SavedModel directory, or a base directory of integer versions (TF Serving's layout)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from batchscore.errors import ModelError, reason_of
from batchscore.savedmodel.card import CARD_PATH, read_card
from batchscore.savedmodel.formats import PB, recognise_directory, recognise_file
from batchscore.savedmodel.model_files import MAX_MODEL_FILE_BYTES, failure_to_read, readable_model, reading_fails
from batchscore.savedmodel.proto import DecodeError, SavedModelProto
from batchscore.savedmodel.variables_index import CorruptIndexError, read_shards
from batchscore.system.regular_files import open_regular, read_regular

LOCK = ".batchscore.lock"
HIGHEST_VERSION = ".batchscore.version"
REPORTS = "_batchscore"
FAILED_REPORT = "failed.report.json"
INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class PassedOver:
    """A version that is not used, and the reason: `incomplete`, or `cannot be read (Permission denied)`."""

    version: int
    reason: str


@dataclass(frozen=True)
class Located:
    """A SavedModel directory (symbolic links resolved), its version if it has one, and why it was chosen.

    `passed_over` are the higher versions, which are incomplete or cannot be read.
    """

    path: Path
    version: int | None
    chosen: str
    passed_over: tuple[PassedOver, ...] = ()


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
                found=_format(versions),
                next_step="give --model-version one of these, or leave it out for the highest"
                if versions
                else "correct the path of the model, or leave --model-version out if it is itself a SavedModel",
            )
        _require_complete(model / str(version))
        return Located((model / str(version)).resolve(), version, "--model-version")
    skipped: list[PassedOver] = []
    for number in versions:
        problem = _find_problem(model / str(number))
        if problem is None:
            reason = "highest complete version"
            if skipped:
                told = (f"{_format(numbers)} {reason}" for reason, numbers in by_reason(skipped).items())
                reason += f" ({', '.join(told)})"
            return Located((model / str(number)).resolve(), number, reason, tuple(skipped))
        skipped.append(PassedOver(number, problem))
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
            next_step="read the reason in its report, then train again",
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


def by_reason(passed_over: Iterable[PassedOver]) -> dict[str, list[int]]:
    """The versions that are passed over for each reason, in their order."""
    versions: dict[str, list[int]] = {}
    for item in passed_over:
        versions.setdefault(item.reason, []).append(item.version)
    return versions


def list_versions(base: Path) -> list[int]:
    """The integer versions under `base`, highest first, complete or not."""
    if not base.is_dir():
        return []
    return sorted(
        (int(entry.name) for entry in base.iterdir() if _is_version(entry.name) and entry.is_dir()),
        reverse=True,
    )


def missing_files(model: Path) -> list[str]:
    """What the SavedModel directory `model` lacks: nothing if it is complete.

    Complete is: saved_model.pb, the variables index where the graph restores variables, every shard that the index
    names in its full length, and every file that the model card lists, with its size. Raises ModelError
    (see `read_card`) where the card is not valid, OSError if a file cannot be read (see `reading_fails`).
    """
    if _lacks(model, PB, 0, exact=False):
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
            if reading_fails(error):
                raise
            missing.append(f"variables/variables.index ({reason_of(error)})")
    elif index.exists() or any(index.parent.glob("variables.data-*")) or _restores_variables(model):
        missing.append("variables/variables.index")
    if (model / CARD_PATH).exists():
        card = read_card(model)
        for entry in card.files if card else []:
            missing += _lacks(model, entry.path, entry.bytes, exact=True)
    return list(dict.fromkeys(missing))


def _find_problem(version: Path) -> str | None:
    """Why `version` is not used, None if it is complete; one that is still being copied may break its parsers."""
    try:
        with readable_model(version):
            SavedModelProto.FromString(read_regular(version / PB, MAX_MODEL_FILE_BYTES))
            return INCOMPLETE if missing_files(version) else None
    except (ModelError, DecodeError) as error:
        cause = failure_to_read(error)
        return INCOMPLETE if cause is None else f"cannot be read ({reason_of(cause)})"


def _restores_variables(model: Path) -> bool:
    try:
        graphs = SavedModelProto.FromString(read_regular(model / PB, MAX_MODEL_FILE_BYTES)).meta_graphs
    except OSError as error:
        if reading_fails(error):
            raise
        return False
    except DecodeError:
        return False  # the reader of the graph says so
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
        with open_regular(model / name) as file:
            found = os.fstat(file.fileno()).st_size
    except OSError as error:
        if reading_fails(error):
            raise
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


def _format(versions: list[int]) -> str:
    return "version(s) " + ", ".join(map(str, versions[:8])) if versions else "no versions"
