"""The base directory of a model's versions: who may write to it, the next version, and how one appears.

Beside the versions (`1/`, `2/`, ...) it holds files whose names begin with a dot, which TensorFlow Serving and
`batchscore run` skip: `.batchscore.lock` (held while a model is made), `.batchscore.version` (the highest version
ever published), `.batchscore.incoming` (a version that is not published yet), `.batchscore.evaluated/7` (the model
that version 7 was evaluated by, where version 7 has learned the held-out rows since), `.batchscore.training` (where
a training stands) and `.batchscore.removed` (versions on their way out). `_batchscore/` has the reports of
trainings.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from batchscore.errors import ModelError, OutputError, TryLaterError, reason_of
from batchscore.publishing.job import find_output_in
from batchscore.savedmodel.card import read_card
from batchscore.savedmodel.formats import PB
from batchscore.savedmodel.versions import HIGHEST_VERSION, LOCK, REPORTS, list_versions
from batchscore.system.durable import sync, sync_tree, tolerated, write_whole
from batchscore.system.lock import describe_holder, hold_lock
from batchscore.system.regular_files import read_regular

INCOMING = ".batchscore.incoming"
EVALUATED = ".batchscore.evaluated"
TRAINING = ".batchscore.training"
REMOVED = ".batchscore.removed"

_LEFT_BEHIND = "files of an earlier training cannot be removed"


@dataclass(frozen=True)
class ModelBase:
    """A base directory that this process alone may publish to."""

    path: Path
    next_version: int

    @property
    def incoming(self) -> Path:
        """The hidden directory into which the next version is written; empty at first."""
        return self.path / INCOMING

    @property
    def incoming_evaluated(self) -> Path:
        """Where the evaluated model of the next version is written, if it is another one; not yet there."""
        return self.path / EVALUATED / "incoming"

    @property
    def training(self) -> Path:
        """The hidden directory in which a training keeps where it stands, until its model is published."""
        return self.path / TRAINING

    @property
    def training_rows(self) -> Path:
        """The directory in `training` for rows that are too many for memory."""
        return self.training / "rows"

    @property
    def reports(self) -> Path:
        """The directory for what people read of trainings; it may not be there yet."""
        return self.path / REPORTS

    def evaluated(self, version: int) -> Path:
        """Where the evaluated model of `version` is, if it is another one."""
        return self.path / EVALUATED / str(version)

    def publish(self) -> Path:
        """Make what stands in `incoming` the next version, whole or not at all. Its path.

        Everything is fsynced, then renamed (the commit point); what stands in `incoming_evaluated` takes its place
        before that. Raises OutputError (E-OUTPUT), and then nothing was published; errors after the rename
        is a warning.
        """
        target = self.path / str(self.next_version)
        with _output_errors(self.path):
            sync_tree(self.incoming)
            self._remember_version()
            if self.incoming_evaluated.exists():
                sync_tree(self.incoming_evaluated)
                remove(self.evaluated(self.next_version))
                self.incoming_evaluated.rename(self.evaluated(self.next_version))
                sync(self.path / EVALUATED)
            self.incoming.rename(target)
        with tolerated(f"version {target} is published, but may not survive a power cut"):
            sync(self.path)
        with tolerated(_LEFT_BEHIND):
            if (folder := self.path / EVALUATED).is_dir():
                self._remove_behind(
                    *(path for path in folder.iterdir() if path != self.evaluated(self.next_version))
                )
        return target

    def remove_old_versions(self, keep: int) -> list[int]:
        """Remove all but the `keep` highest versions, the next one (published by now) among them. Those removed.

        Only directories that batchscore has published count and are removed: those with a model card that says so.
        A version leaves by a rename, so that no one finds half of one; a run that has loaded it keeps it. What
        cannot be removed is a warning.
        """
        ours: list[int] = []
        with tolerated("old versions cannot be listed"):
            ours = [number for number in list_versions(self.path) if _is_ours(self.path / str(number))]
        removed = []
        for number in reversed([number for number in ours if number != self.next_version][keep - 1 :]):
            with tolerated(f"version {number} is old, but cannot be removed"):
                (self.path / REMOVED).mkdir(exist_ok=True)
                (self.path / str(number)).rename(self.path / REMOVED / str(number))
                removed.append(number)
                remove(self.path / REMOVED)
        return removed

    def forget_training(self) -> None:
        """Remove where a training stood: its model is published."""
        self._remove_behind(self.training)

    def _remove_behind(self, *paths: Path) -> None:
        """Remove what a published model no longer needs; the next one tries again if that fails."""
        for path in paths:
            with tolerated(_LEFT_BEHIND):
                remove(path)

    def _remember_version(self) -> None:
        """Before the rename: a number that a crash leaves unused is skipped, one that was used never comes back."""
        write_whole(self.path / HIGHEST_VERSION, f"{self.next_version}\n")
        sync(self.path)  # no version may take a number that could come back


@contextmanager
def hold_model_base(path: Path) -> Iterator[ModelBase]:
    """Hold the base directory `path` (created if it is missing; its parent must exist) for one export.

    The next version is the highest that ever stood there + 1, also when that one was deleted since. What a killed
    process left is removed, but for `training`, and so is whatever was not published in the end; a directory that
    was created and is not used goes too.

    Raises TryLaterError (E-LOCKED) at once where another process holds it, OutputError (E-OUTPUT) if it cannot
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
        if path.is_dir() and (output := find_output_in(path)) is not None:
            raise OutputError(
                "E-OUTPUT",
                "the directory holds outputs of `batchscore run`, and takes no versions of a model",
                where=path,
                found=output,
                expected="a directory of versions, or a new one",
                next_step="give another directory with --output, or move the outputs out of it",
            )
        made = _make(path)
    with ExitStack() as held:
        _lock(path, held, made=made)
        try:
            with _output_errors(path):
                base = ModelBase(path, _highest_version(path) + 1)
                for left in (base.incoming, base.incoming_evaluated, path / REMOVED):
                    remove(left)
                base.incoming.mkdir()
            yield base
        finally:
            for left in (path / INCOMING, path / EVALUATED / "incoming"):
                with suppress(OSError):  # the next one removes it
                    remove(left)
            if made:
                _remove_unused(path)


def _make(path: Path) -> bool:
    """Make the folder `path`; False if it is there. Raises OSError; then `path` is as before."""
    if path.is_dir():
        return False
    path.mkdir()
    try:
        sync(path.parent)
    except BaseException:
        _remove_unused(path)
        raise
    return True


def _lock(path: Path, held: ExitStack, *, made: bool) -> None:
    """Take the lock in `path` until `held` ends. A folder that was `made` goes if there can be no lock in it."""
    with _output_errors(path):
        try:
            held.enter_context(hold_lock(path / LOCK))
        except BlockingIOError as error:
            raise TryLaterError(
                "E-LOCKED",
                "another process is making a model for this directory",
                where=path,
                found=describe_holder(path / LOCK),
                next_step="wait for it to end, then run again",
            ) from error
        except BaseException:
            if made:
                _remove_unused(path)
            raise


def _highest_version(path: Path) -> int:
    """The highest version that stands in `path` or ever stood there, 0 for none."""
    standing = [int(entry.name) for entry in path.iterdir() if entry.name.isascii() and entry.name.isdigit()]
    record = path / HIGHEST_VERSION
    try:
        remembered = int(read_regular(record).decode("ascii"))
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


def remove(path: Path) -> None:
    """Remove a file or a whole directory; nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_unused(path: Path) -> None:
    """Remove a base directory that holds nothing but its lock."""
    with suppress(OSError):
        if {entry.name for entry in path.iterdir()} <= {LOCK}:
            (path / LOCK).unlink(missing_ok=True)
            path.rmdir()


def _is_ours(version: Path) -> bool:
    """Whether batchscore published the version: its model card tells what trained or adopted it."""
    try:
        card = read_card(version)
    except ModelError:
        return False
    return card is not None and bool({"batchscore", "adopted_with"} & set(card.made_with))


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not os.path.lexists(path.parent):
            raise OutputError(
                "E-OUTPUT", "the model cannot be written: its folder does not exist", where=path,
                found=f"no folder {path.parent}", next_step=f"make it: mkdir -p {shlex.quote(str(path.parent))}",
            ) from error  # fmt: skip
        raise OutputError(
            "E-OUTPUT",
            f"the model cannot be written: {reason_of(error)}",
            where=error.filename or path,
            expected="a directory that this user may write to, or a new one in an existing directory",
            next_step="check --output, its permissions and the free space",
        ) from error
