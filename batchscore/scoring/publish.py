"""Publishing an output: whole or not at all, one run at a time, the last good file never at risk.

The guarantee: at every moment, also after a crash or a power cut, the output path holds the complete old file or
the complete new one. A temporary file in the output's own directory is written, flushed to the disk (fsync) and
renamed onto the output: the rename is the commit point. Then the directory is flushed, then the report is written.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.errors import OutputError, TryLaterError, UsageError
from batchscore.report import Output, Report

STATE_FOLDER = "_batchscore"

_ARROW_DETAIL = re.compile(r".*\[errno \d+\] ")
"""How pyarrow wraps the words of the operating system."""
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

_log = logging.getLogger("batchscore")


@dataclass(frozen=True)
class Claim:
    """An output that this run alone may publish, and the files beside it in the state folder."""

    output: Path
    state: Path
    temporary: Path

    @property
    def report_path(self) -> Path:
        """Report of the published output."""
        return self.state / f"{self.output.name}.report.json"

    @property
    def failed_path(self) -> Path:
        """Report of the last failure since; absent after a success."""
        return self.state / f"{self.output.name}.failed.json"

    def rejects_path(self, *, failed: bool) -> Path:
        """Rejects of the published output, or of the last failure."""
        return self.state / f"{self.output.name}{'.failed' if failed else ''}.rejects.jsonl"

    def previous_path(self, age: int) -> Path:
        """The output `age` publications ago, 1 being the one before the published."""
        return self.state / f"{self.output.name}.previous-{age}"

    def publish(
        self, write: Callable[[Path], None], rows: int, *, keep_previous: int, committing: Callable[[], None]
    ) -> Output:
        """Write the output with `write`, and make it the published one.

        `committing` is called right before the commit point. Raises OutputError (E-OUTPUT) where the disk says no;
        the published file is then the old one.
        """
        try:
            write(self.temporary)
            written = pq.read_metadata(self.temporary).num_rows
            if written != rows:
                raise OSError(errno.EIO, f"{written:,} rows on disk, {rows:,} written")
            with self.temporary.open("rb+") as file:
                os.fsync(file.fileno())
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
            self._keep_previous(keep_previous)
            committing()
            self.temporary.replace(self.output)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, MemoryError):
                raise
            raise _cannot_write(self.output, error) from error
        with _tolerated("the output's directory could not be flushed to the disk"):
            _sync_directory(self.output.parent)
        return Output(path=str(self.output), rows=rows, bytes=size, sha256=sha256)

    def record(self, report: Report) -> None:
        """Write the report: beside the published output, or as the failure's.

        A failure to write it only warns; an older report does not stay in its place then.
        """
        path = self.report_path if report.status == "published" else self.failed_path
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(report.to_json())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            _log.warning("the report %s could not be written: %s", path, error.strerror or error)
            with suppress(OSError):
                path.unlink()
            return
        with _tolerated("the state folder could not be brought up to date"):
            if report.status == "published":
                self.failed_path.unlink(missing_ok=True)
                self.rejects_path(failed=True).unlink(missing_ok=True)
            _sync_directory(path.parent)

    def previous_report(self) -> Report | None:
        """The report of the published output; None where there is none or it belongs to another file."""
        try:
            report = Report.model_validate_json(self.report_path.read_bytes())
            published = self.output.stat().st_size
        except (OSError, ValueError):
            return None
        return report if report.output is not None and report.output.bytes == published else None

    def _keep_previous(self, keep: int) -> None:
        """Keep the published output and its report under the state folder before it is replaced."""
        if not keep or not self.output.exists():
            return
        newest = self.previous_path(1)
        # a run that was killed right before its commit point has kept the output already
        if not _is_same_file(newest, self.output):
            for age in range(keep, 1, -1):
                if self.previous_path(age - 1).exists():
                    self.previous_path(age - 1).replace(self.previous_path(age))
                    _move(_report_of(self.previous_path(age - 1)), _report_of(self.previous_path(age)))
            _link(self.output, newest)
        _report_of(newest).unlink(missing_ok=True)
        if self.previous_report() is not None:
            _link(self.report_path, _report_of(newest))


@contextmanager
def claim(output: Path, state_dir: Path | None, reads: Path) -> Iterator[Claim]:
    """Claim `output` for this run: check it, lock it, and clear what dead runs left.

    `reads` is the input, which must not be the output. Raises UsageError (E-OUTPUT-IS-INPUT), OutputError
    (E-OUTPUT) where the run could not publish there, and TryLaterError (E-LOCKED) at once where another run holds
    the lock. At the end the lock is released and no temporary file is left.
    """
    _require_publishable(output, reads)
    state = state_dir or output.parent / STATE_FOLDER
    temporary = output.parent / f".{output.name}.{secrets.token_hex(4)}.tmp"
    with _locked(output):
        try:
            state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(state, error) from error
        try:
            for stale in _left_behind(output, state):
                stale.unlink()
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except OSError as error:
            raise _cannot_write(output, error) from error
        try:
            yield Claim(output, state, temporary)
        finally:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Hold `.<output>.lock`. It is empty and stays: removing a lock file would let two runs in."""
    path = output.parent / f".{output.name}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            error = OSError(error.errno, "the lock file is a symbolic link")
        raise _cannot_write(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TryLaterError(
                "E-LOCKED",
                "another run is writing this output",
                where=output,
                found=f"{path.name} is locked",
                next_step="let it finish; if this happens every night, the runs overlap",
            ) from error
        except OSError as error:
            raise _cannot_write(path, error) from error
        yield
    finally:
        os.close(descriptor)


def _require_publishable(output: Path, reads: Path) -> None:
    if _is_same_file(output, reads):
        raise UsageError(
            "E-OUTPUT-IS-INPUT", "output and input are the same file", where=output,
            next_step="give --output a path of its own",
        )  # fmt: skip
    try:
        mode = output.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise OSError(errno.EINVAL, f"it is a symbolic link to {output.readlink()}")
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "what stands there is not a regular file")
    except FileNotFoundError:
        if not output.parent.is_dir():
            raise _cannot_write(output, OSError(errno.ENOENT, "its directory does not exist")) from None
    except OSError as error:
        raise _cannot_write(output, error) from error


def _cannot_write(path: Path, error: BaseException) -> OutputError:
    reason = getattr(error, "strerror", None) or (str(error).strip().splitlines() or [type(error).__name__])[0]
    reason = _ARROW_DETAIL.sub("", reason)
    steps = {
        errno.EACCES: "give the job's user the right to write in this directory",
        errno.ENOSPC: "free space on this file system, then run again",
        errno.EDQUOT: "free space within the quota, then run again",
        errno.EFBIG: "raise the file size limit (ulimit -f) of the job, then run again",
        errno.EROFS: "the file system is mounted read-only; mount it for writing or give another --output",
    }
    return OutputError(
        "E-OUTPUT",
        f"the output cannot be written: {reason}",
        where=path,
        next_step=steps.get(getattr(error, "errno", None) or 0, "give --output a writable path of a regular file"),
    )


def _left_behind(output: Path, state: Path) -> list[Path]:
    """What dead runs on this very output left: never a name that a run on another output may be using."""
    name = re.escape(f".{output.name}.")
    beside = re.compile(name + r"[0-9a-f]{8}\.tmp")
    in_state = re.compile(
        name + r"(report\.json|failed\.json|(failed\.)?rejects\.jsonl|previous-\d+(\.report\.json)?)\.tmp"
    )
    return [path for folder, pattern in ((output.parent, beside), (state, in_state))
            for path in folder.iterdir() if pattern.fullmatch(path.name)]  # fmt: skip


def _report_of(previous: Path) -> Path:
    return previous.with_name(f"{previous.name}.report.json")


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _move(source: Path, target: Path) -> None:
    """Move `source` to `target`; where there is no `source`, there is no `target` afterwards."""
    try:
        source.replace(target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    """Hard-link `source` as `target`, replacing it; a copy where the state folder is on another file system."""
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, temporary)
    temporary.replace(target)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _tolerated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _log.warning("%s: %s", what, error.strerror or error)
