"""Where plans are kept: with their model, or in a folder of the user.

A plan is a program that the model's fingerprint does not cover. So a cache is used only where no one but its owner,
who is the user or root, can have put a plan into it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from batchscore.errors import ModelError
from batchscore.planning.plan import PLANNER_VERSION, NotPlanned, Plan, PlanInput
from batchscore.planning.plan_file import MAX_PLAN_BYTES, PLAN_FILE, parse_plan, read_plan, unreadable_plan
from batchscore.planning.plan_graph import find_misfit
from batchscore.savedmodel.proto import DecodeError
from batchscore.savedmodel.safety import find_graph_hazards
from batchscore.savedmodel.saved_model import Signature, TensorSpec
from batchscore.system.environment import CACHE_HOME

_FOLDER_MODE = 0o700


@dataclass(frozen=True)
class PlanKey:
    """What a plan is made for: a model by its fingerprint, an output of a signature, a version of TensorFlow."""

    fingerprint: str
    signature: str
    score_output: str
    tensorflow: str
    user_input: str | None
    candidate_input: str | None

    def fits(self, plan: Plan | NotPlanned) -> bool:
        """Whether a plan that lies with the model was made for this."""
        made_for = (plan.signature, plan.score_output, plan.tensorflow_version)
        return made_for == (self.signature, self.score_output, self.tensorflow)

    def folder(self, cache: Path) -> Path:
        """The folder of the plan within `cache`."""
        parts = map(str, (*astuple(self), PLANNER_VERSION))
        return cache / hashlib.sha256("\0".join(parts).encode()).hexdigest()


def default_cache() -> Path:
    """The user's cache folder. Raises FileNotFoundError for a user who has none (cron and containers know some)."""
    base = Path(os.environ.get(CACHE_HOME) or "")
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError as error:
            raise FileNotFoundError(f"there is no home folder: {error}") from error
    return base / "batchscore" / "plans"


def make_cache_folder(folder: Path) -> None:
    """Make `folder` and what it lies in, for the user alone. Raises OSError."""
    for path in (*reversed(folder.parents), folder):
        if not path.is_dir():
            path.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def read_model_plan(folder: Path) -> Plan | NotPlanned | None:
    """The plan that lies with a model in `folder`, None if there is none of this version of the planner.

    A plan is a program that is loaded beside the model, so it is looked at as the model is. Raises ModelError
    (E-MODEL-PLAN) if it is damaged, does not fit its own graph or would do more than compute.
    """
    return _harmless(read_plan(folder), folder)


def read_cached_plan(folder: Path) -> Plan | NotPlanned | None:
    """The plan in `folder` of a cache, as `read_model_plan` gives it.

    Raises OSError if it cannot be read, or someone else could have put it there: see `require_own_cache`.
    """
    try:
        with _own_folder(folder.parent, follow=True) as cache, _own_folder(folder, within=cache) as opened:
            content = _read_own_file(folder / PLAN_FILE, opened)
    except FileNotFoundError:
        return None
    return _harmless(parse_plan(content, folder / PLAN_FILE), folder)


def require_own_cache(folder: Path) -> None:
    """Raise PermissionError if `folder`, the folder of a plan in a cache, or the cache is not the user's alone.

    That is: owned by the user or root, and writable by no one else.
    """
    with _own_folder(folder.parent, follow=True) as cache, _own_folder(folder, within=cache):
        pass


def fits_signature(plan: Plan, signature: Signature) -> bool:
    """Whether every input of the plan is one of the signature, of its dtype and rank."""
    items = [*plan.head.inputs, *(item for part in plan.parts for item in part.inputs)]
    return all(_is_input(item, signature.inputs) for item in items)


def _is_input(item: PlanInput, inputs: Mapping[str, TensorSpec]) -> bool:
    spec = inputs.get(item.name)
    return spec is not None and spec.dtype == item.dtype and spec.shape is not None and len(spec.shape) == item.rank


def _harmless(plan: Plan | NotPlanned | None, folder: Path) -> Plan | NotPlanned | None:
    if not isinstance(plan, Plan):
        return plan
    path = folder / PLAN_FILE
    try:
        hazards = find_graph_hazards(plan.graph)
        misfit = find_misfit(plan)
    except DecodeError as error:
        raise unreadable_plan(path, str(error)) from error
    if hazards:
        raise ModelError(
            "E-MODEL-PLAN", "the plan would do more than compute", where=path, found=str(hazards[0]),
            next_step="delete the file: the next run makes it again",
        )  # fmt: skip
    if misfit is not None:
        raise unreadable_plan(path, misfit)
    return plan


@contextmanager
def _own_folder(path: Path, *, within: int | None = None, follow: bool = False) -> Iterator[int]:
    """A descriptor of the folder `path`, opened by its last name in the folder `within` if that is given."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    descriptor = os.open(path if within is None else path.name, flags, dir_fd=within)
    try:
        _require_own(os.fstat(descriptor), path)
        yield descriptor
    finally:
        os.close(descriptor)


def _read_own_file(path: Path, folder: int) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path.name, flags, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_PLAN_BYTES:
            raise OSError(0, "it is not a file that a plan can be in", str(path))
        _require_own(found, path)
        return file.read(MAX_PLAN_BYTES)


def _require_own(found: os.stat_result, path: Path) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        raise PermissionError(0, f"it belongs to user {found.st_uid}, who could put another plan there", str(path))
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(0, "others may write to it: chmod go-w", str(path))
