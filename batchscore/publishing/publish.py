"""Publishing an output: whole or not at all, one run at a time, the last good file never at risk.

The guarantee: at every moment, also after a crash or a power cut, the output path holds the complete old file or
the complete new one. A temporary file in the output's own directory is written, flushed to the disk (fsync) and
renamed onto the output: the rename is the commit point. Then the directory is flushed, then the report is written.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.durable import sync, tolerated
from batchscore.errors import UsageError
from batchscore.paths import is_same_file
from batchscore.publishing.baseline import Baseline
from batchscore.publishing.disk import cannot_write
from batchscore.publishing.lock import locked
from batchscore.publishing.previous import PreviousOutputs
from batchscore.publishing.ranked_file import count_ranked
from batchscore.publishing.records import identify, is_output
from batchscore.report import Output, Report, read_report
from batchscore.runtime.formats import PB

STATE_FOLDER = "_batchscore"

_log = logging.getLogger("batchscore")


@dataclass(frozen=True)
class Claim:
    """An output that this run alone may publish, and its records in the state folder: they begin with `name`."""

    output: Path
    state: Path
    temporary: Path
    name: str

    @property
    def report_path(self) -> Path:
        """Report of the published output."""
        return self.state / f"{self.name}.report.json"

    @property
    def failed_path(self) -> Path:
        """Report of the last failure since; absent after a success."""
        return self.state / f"{self.name}.failed.json"

    def rejects_path(self, *, failed: bool) -> Path:
        """Rejects of the published output, or of the last failure."""
        return self.state / f"{self.name}{'.failed' if failed else ''}.rejects.jsonl"

    @property
    def refused_path(self) -> Path:
        """The output that a guard refused last; absent after a run that published, or that failed without lists."""
        return self.state / f"{self.name}.refused.parquet"

    @property
    def previous(self) -> PreviousOutputs:
        """The outputs before the published one."""
        return PreviousOutputs(self.state, self.name)

    def publish(
        self, write: Callable[[Path], None], rows: int, *, keep_previous: int, committing: Callable[[], None]
    ) -> Output:
        """Write the output with `write`, and make it the published one.

        `committing` is called right before the commit point. Raises OutputError (E-OUTPUT) where the disk says no;
        the published file is then the old one, and all that was kept is still there. From the commit point on
        nothing is raised.
        """
        try:
            write(self.temporary)
            written = pq.read_metadata(self.temporary).num_rows
            if written != rows:
                raise OSError(errno.EIO, f"{written:,} rows on disk, {rows:,} written")
            with self.temporary.open("rb+") as file:
                os.fsync(file.fileno())
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                status = os.fstat(file.fileno())
            if keep_previous:
                self.keep_replaced()
            committing()
            self.temporary.replace(self.output)
        except BaseException as error:
            with suppress(OSError):
                self.previous.finish(self.output)
            if isinstance(error, MemoryError) or not isinstance(error, (OSError, pa.ArrowException)):
                raise
            raise cannot_write(self.output, error) from error
        if self.is_commit_durable():
            with tolerated("the outputs before this one could not be brought up to date"):
                self.previous.finish(self.output)
                self.previous.keep_at_most(keep_previous)
        return Output(
            path=str(self.output), rows=rows, bytes=status.st_size, sha256=sha256, file_id=identify(status)
        )

    def keep_replaced(self) -> None:
        """Before the commit point: see to it that the output which stands there now is not lost. Raises OSError."""
        if self.output.exists():
            self.previous.prepare(self.output, self._published_report_path())
            sync(self.state)

    def is_commit_durable(self) -> bool:
        """Flush the rename to the disk. Only then may an older output be forgotten: a power cut may undo it."""
        with tolerated("the output's directory could not be flushed to the disk"):
            sync(self.output.parent)
            return True
        return False

    def park(self, write: Callable[[Path], None]) -> Path:
        """Write an output that is refused to `refused_path`, to be looked at. Raises OutputError (E-OUTPUT)."""
        temporary = self.refused_path.with_name(f".{self.refused_path.name}.tmp")
        try:
            write(temporary)
            temporary.replace(self.refused_path)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, MemoryError):
                raise
            raise cannot_write(self.refused_path, error) from error
        finally:
            temporary.unlink(missing_ok=True)
        return self.refused_path

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
            for rest in (temporary, path):
                with suppress(OSError):
                    rest.unlink()
            return
        with tolerated("the state folder could not be brought up to date"):
            if report.status == "published":
                self.failed_path.unlink(missing_ok=True)
                self.rejects_path(failed=True).unlink(missing_ok=True)
            if report.refused_output is None:
                self.refused_path.unlink(missing_ok=True)
            sync(path.parent)

    def abandon(self, report: Report, error: BaseException) -> None:
        """Leave nothing but the report of the failure, for a process that ends right here."""
        with suppress(OSError):
            self.temporary.unlink()
        report.end(error)
        self.record(report)

    def previous_report(self) -> Report | None:
        """The report of the published output; None where there is none or it belongs to another file."""
        report = read_report(self.report_path)
        try:
            known = report is not None and report.output is not None and is_output(report.output, self.output)
        except OSError:
            return None
        return report if known else None

    def baseline(self) -> Baseline:
        """What this run compares itself with; without a report, users and rows counted in the published file."""
        report = self.previous_report()
        file = self.output if self.output.exists() else None
        if report is not None:
            return Baseline(report, report.served, report.rows_written, file)
        if file is None:
            return Baseline()
        lost = "the published output has no report"
        try:
            counted = count_ranked(file)
        except ValueError as error:
            nothing = f"its users cannot be counted ({error}): this run has nothing to compare itself with"
            return Baseline(file=file, warnings=(f"{lost}, and {nothing}",))
        warning = f"{lost}: this run compares itself with the users and rows of the file alone"
        return Baseline(None, counted.users, counted.rows, file, (warning,))

    def _published_report_path(self) -> Path | None:
        return self.report_path if self.previous_report() is not None else None


@contextmanager
def claim(output: Path, state_dir: Path | None, reads: Path | None = None) -> Iterator[Claim]:
    """Claim `output` for this run: check it, lock it, and clear what dead runs left.

    `reads` is the input, if there is one: it must not be the output, nor a folder that the output or the state
    folder is in; neither may lie in a SavedModel. A state folder other than the output's own may serve outputs of
    one name in several folders. Raises UsageError (E-OUTPUT-IS-INPUT), OutputError (E-OUTPUT) where the run could
    not publish there, and TryLaterError (E-LOCKED) at once where another run holds the lock. At the end the lock is
    released and no temporary file is left.
    """
    state = state_dir or output.parent / STATE_FOLDER
    _require_publishable(output, state, reads)
    name = _record_name(output, state)
    temporary = output.parent / f".{output.name}.{secrets.token_hex(4)}.tmp"
    with locked(output):
        try:
            state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(state, error) from error
        try:
            for stale in _left_behind(output, state, name):
                stale.unlink()
            PreviousOutputs(state, name).finish(output)
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except OSError as error:
            raise cannot_write(output, error) from error
        try:
            yield Claim(output, state, temporary, name)
        finally:
            with suppress(OSError):
                temporary.unlink()


def _require_publishable(output: Path, state: Path, reads: Path | None) -> None:
    if reads is not None and is_same_file(output, reads):
        raise UsageError(
            "E-OUTPUT-IS-INPUT", "output and input are the same file", where=output,
            next_step="give --output a path of its own",
        )  # fmt: skip
    _require_outside("output", output, output.parent, "--output", reads)
    _require_outside("state folder", state, state, "--state-dir", reads)
    try:
        mode = output.lstat().st_mode
        if stat.S_ISLNK(mode):
            raise OSError(errno.EINVAL, f"it is a symbolic link to {output.readlink()}")
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "what stands there is not a regular file")
    except FileNotFoundError:
        if not output.parent.is_dir():
            raise cannot_write(output, OSError(errno.ENOENT, "its directory does not exist")) from None
    except OSError as error:
        raise cannot_write(output, error) from error


def _require_outside(what: str, path: Path, folder: Path, flag: str, reads: Path | None) -> None:
    """Raise UsageError (E-OUTPUT-IS-INPUT) where `folder` is, or lies in, the input folder or a SavedModel."""
    real = Path(os.path.realpath(folder))
    for parent in (real, *real.parents):
        if reads is not None and reads.is_dir() and is_same_file(parent, reads):
            raise UsageError(
                "E-OUTPUT-IS-INPUT", f"the {what} lies inside the input folder", where=path,
                found=f"--input {reads}", next_step=f"give {flag} a path outside the folder that the run reads",
            )  # fmt: skip
        if os.path.exists(parent / PB):  # noqa: PTH110 - never raises
            raise UsageError(
                "E-OUTPUT-IS-INPUT", f"the {what} lies inside a model", where=path, found=f"{PB} in {parent}",
                next_step=f"give {flag} a path outside the model",
            )  # fmt: skip


def _record_name(output: Path, state: Path) -> str:
    """What the records of `output` are called in `state`: like it, with a hash of its folder in foreign folders."""
    folder = os.path.realpath(output.parent)
    if os.path.realpath(state) == os.path.join(folder, STATE_FOLDER):  # noqa: PTH118 - as realpath spells it
        return output.name
    return f"{output.name}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"


def _left_behind(output: Path, state: Path, name: str) -> list[Path]:
    """What dead runs on this very output left: never a name that a run on another output may be using."""
    beside = re.compile(re.escape(f".{output.name}.") + r"[0-9a-f]{8}\.tmp")
    in_state = re.compile(
        re.escape(f".{name}.") + r"(report\.json|failed\.json|(failed\.)?rejects\.jsonl|refused\.parquet"
        r"|previous-\d+(\.report\.json)?)\.tmp"
    )
    return [path for folder, pattern in ((output.parent, beside), (state, in_state))
            for path in folder.iterdir() if pattern.fullmatch(path.name)]  # fmt: skip
