"""Claiming an output: it is checked, locked and cleared before anything costs time."""

from __future__ import annotations

import errno
import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batchscore.errors import OutputError, UsageError
from batchscore.publishing.job import STATE_FOLDER, Job
from batchscore.publishing.previous import PreviousOutputs
from batchscore.publishing.publish import Claim
from batchscore.publishing.replaceable import require_no_record, require_replaceable
from batchscore.savedmodel.formats import PB
from batchscore.savedmodel.versions import HIGHEST_VERSION, list_versions
from batchscore.settings.paths import is_same_file
from batchscore.system.disk import cannot_write
from batchscore.system.durable import sync, temporary_beside, unique_temporary_beside
from batchscore.system.lock import locked

_IN_STATE = re.compile(
    r"\.(report\.json|failed\.json|(failed\.)?rejects\.jsonl|refused\.parquet|previous-\d+(\.report\.json)?)\.tmp"
)
"""How the name of a temporary file in the state folder ends, after the record's."""


@contextmanager
def claim(job: Job, reads: Path | None = None) -> Iterator[Claim]:
    """Claim the output of `job` for this run: check it, lock it, and clear what dead runs left.

    `reads` is the input, if there is one: it must not be the output, nor a folder that the output or the state
    folder is in; neither may lie in a model, nor the output among the records of jobs. A file that stands in
    its place must be one that a run may replace (see `require_replaceable`). A state folder other than the output's
    own may serve outputs of one name in several folders. A folder of the output that `{date}` names is made. Raises
    UsageError (E-OUTPUT-IS-INPUT), OutputError (E-OUTPUT) if the run could not publish there, and TryLaterError
    (E-LOCKED) at once if another run of the job holds the lock. At the end the lock is released, and neither a
    temporary file nor a folder that was made for nothing is left.
    """
    _require_publishable(job, reads)
    with locked(job.locks, job.path), _state(job), _made_folders(job):
        temporary = unique_temporary_beside(job.path)
        try:
            for stale in _left_behind(job):
                stale.unlink()
            PreviousOutputs(job.state, job.record).finish(job.path)
            mode = 0o600 if job.path.exists() else 0o666  # no one reads it before it has the mode of the old one
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        except OSError as error:
            raise cannot_write(job.path, error) from error
        try:
            yield Claim(job, temporary)
        finally:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def _state(job: Job) -> Iterator[None]:
    """The state folder: made, known to be writable, and locked if the job has a name of its own."""
    try:
        job.state.mkdir(parents=True, exist_ok=True)
        probe = temporary_beside(job.state / f"{job.record}.report.json")
        probe.unlink(missing_ok=True)
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        probe.unlink()
    except OSError as error:
        raise cannot_write(job.state, error) from error
    with locked(job.named_locks, job.path):
        yield


@contextmanager
def _made_folders(job: Job) -> Iterator[None]:
    """The folders of the output that come from a date: made, and removed again if nothing is published in them."""
    made: list[Path] = []
    try:
        for folder in reversed([job.path.parent, *job.path.parent.parents]):
            if folder.is_relative_to(job.folder) and not folder.is_dir():
                _make(folder)
                made.append(folder)
        yield
    finally:
        with suppress(OSError):
            for folder in reversed(made):
                folder.rmdir()  # the system refuses if anything lies in it


def _make(folder: Path) -> None:
    try:
        folder.mkdir()
        sync(folder.parent)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _require_publishable(job: Job, reads: Path | None) -> None:
    output = job.path
    if reads is not None and is_same_file(output, reads):
        raise UsageError(
            "E-OUTPUT-IS-INPUT", "output and input are the same file", where=output,
            next_step="give --output another path",
        )  # fmt: skip
    for folder in dict.fromkeys((output.parent, job.folder)):
        _require_outside("output", output, folder, "--output", reads)
    _require_outside("state folder", job.state, job.state, "--state-dir", reads)
    require_no_record(output)
    try:
        mode = output.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise OSError(errno.EINVAL, f"it is a symbolic link to {output.readlink()}")
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        require_replaceable(job)
    except FileNotFoundError:
        if not job.folder.is_dir():
            raise _no_folder(job) from None
    except OSError as error:
        raise cannot_write(output, error) from error


def _no_folder(job: Job) -> OutputError:
    return OutputError(
        "E-OUTPUT",
        "the output cannot be written: its folder does not exist",
        where=job.path,
        found=f"no folder {job.folder}",
        next_step=f"make it: mkdir -p {shlex.quote(str(job.folder))}",
    )


def _require_outside(what: str, path: Path, folder: Path, flag: str, reads: Path | None) -> None:
    """Raise UsageError (E-OUTPUT-IS-INPUT) if `folder` is, or lies in, the input folder or a SavedModel."""
    real = Path(os.path.realpath(folder))
    for parent in (real, *real.parents):
        if reads is not None and reads.is_dir() and is_same_file(parent, reads):
            raise UsageError(
                "E-OUTPUT-IS-INPUT", f"the {what} lies inside the input folder", where=path,
                found=f"--input {reads}", next_step=f"give {flag} a path outside the folder that the run reads",
            )  # fmt: skip
        is_near = parent == real or (real.name == STATE_FOLDER and parent == real.parent)
        if found := _find_model(parent, list_them=is_near):
            raise UsageError(
                "E-OUTPUT-IS-INPUT", f"the {what} lies inside a model", where=path, found=f"{found} in {parent}",
                next_step=f"give {flag} a path outside the model",
            )  # fmt: skip


def _find_model(folder: Path, *, list_them: bool) -> str | None:
    """What in `folder` says that it is a SavedModel or a directory of versions; None if nothing does."""
    for name in (PB, HIGHEST_VERSION):
        if os.path.exists(folder / name):  # noqa: PTH110 - never raises
            return name
    if list_them:
        with suppress(OSError):
            return next((f"{version}/{PB}" for version in list_versions(folder)
                         if (folder / str(version) / PB).exists()), None)  # fmt: skip
    return None


def _left_behind(job: Job) -> list[Path]:
    """What dead runs of this very job left, on any night: never a name that a run of another job may be using."""
    found = [path for folder in job.recent_folders() for path in folder.iterdir()
             if job.is_temporary(path.name)]  # fmt: skip
    for path in job.state.iterdir():
        ending = job.after_record(path.name[1:]) if path.name.startswith(".") else None
        if ending is not None and _IN_STATE.fullmatch(ending):
            found.append(path)
    return found
