"""The base directory of a model's versions: who may write to it, the next version, and how one appears.

Beside the versions (`1/`, `2/`, ...) it holds files whose names begin with a dot, which TensorFlow Serving and
`batchscore run` skip: `.batchscore.lock` (held while a model is made), `.batchscore.version` (the highest version
ever published) and `.batchscore.incoming` (a version that is not published yet).
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from batchscore.durable import sync
from batchscore.errors import OutputError, TryLaterError
from batchscore.runtime.formats import PB

LOCK = ".batchscore.lock"
HIGHEST_VERSION = ".batchscore.version"
INCOMING = ".batchscore.incoming"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelBase:
    """A base directory that this process alone may publish to."""

    path: Path
    next_version: int

    @property
    def incoming(self) -> Path:
        """The hidden directory into which the next version is written; empty at first."""
        return self.path / INCOMING

    def publish(self) -> Path:
        """Make what stands in `incoming` the next version, whole or not at all. Its path.

        Everything is fsynced, then renamed (the commit point). Raises OutputError (E-OUTPUT), and then nothing was
        published.
        """
        target = self.path / str(self.next_version)
        with _output_errors(self.path):
            _sync_tree(self.incoming)
            self._remember_version()
            self.incoming.rename(target)
        try:
            sync(self.path)
        except OSError as error:
            _LOG.warning("version %s is published, but may not survive a power cut: %s", target, error)
        return target

    def _remember_version(self) -> None:
        """Before the rename: a number that a crash leaves unused is skipped, one that was used never comes back."""
        draft = self.path / f"{HIGHEST_VERSION}.new"
        draft.write_text(f"{self.next_version}\n", encoding="ascii")
        sync(draft)
        draft.replace(self.path / HIGHEST_VERSION)
        sync(self.path)


@contextmanager
def hold_model_base(path: Path) -> Iterator[ModelBase]:
    """Hold the base directory `path` (created where it is missing; its parent must exist) for one export.

    The next version is the highest that ever stood there + 1, also when that one was deleted since. What a killed
    process left is removed, and so is whatever was not published in the end.

    Raises TryLaterError (E-LOCKED) at once where another process holds it, OutputError (E-OUTPUT) where it cannot
    be written or is a SavedModel itself.
    """
    with _output_errors(path):
        if (path / PB).exists():
            raise OutputError(
                "E-OUTPUT",
                "the output is a SavedModel itself, so versions below it would never be used",
                where=path,
                expected="a directory of versions, or a new one",
                next_step="give another directory with --output",
            )
        if not path.is_dir():
            path.mkdir()
            sync(path.parent)
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with _output_errors(path):
            _lock(lock, path)
            base = ModelBase(path, _highest_version(path) + 1)
            _remove(base.incoming)
            base.incoming.mkdir()
        try:
            yield base
        finally:
            with suppress(OSError):  # the next one removes it
                _remove(base.incoming)
    finally:
        os.close(lock)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TryLaterError(
            "E-LOCKED",
            "another process is making a model for this directory",
            where=path,
            next_step="wait for it to end, then run again",
        ) from error


def _highest_version(path: Path) -> int:
    """The highest version that stands in `path` or ever stood there, 0 for none."""
    standing = [int(entry.name) for entry in path.iterdir() if entry.name.isascii() and entry.name.isdigit()]
    record = path / HIGHEST_VERSION
    try:
        remembered = int(record.read_text(encoding="ascii"))
    except FileNotFoundError:
        remembered = 0
    except ValueError as error:
        raise OutputError(
            "E-OUTPUT",
            "the record of the highest version is not a number",
            where=record,
            next_step=f"write the highest version ever published into it, {max(standing, default=0)} or more",
        ) from error
    return max([remembered, *standing])


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_tree(root: Path) -> None:
    for folder, _, files in os.walk(root):
        for name in files:
            sync(Path(folder, name))
        sync(Path(folder))


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            "E-OUTPUT",
            f"the model cannot be written: {error.strerror or error}",
            where=error.filename or path,
            expected="a directory that this user may write to, or a new one in an existing directory",
            next_step="check --output, its permissions and the free space",
        ) from error
