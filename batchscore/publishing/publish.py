"""Publishing an output: whole or not at all, one run at a time, the last good file never at risk.

The guarantee: at every moment, also after a crash or a power cut, the output path holds the complete old file or
the complete new one. A temporary file in the output's own directory is written, flushed to the disk (fsync) and
renamed onto the output: the rename is the commit point. Then the directory is flushed, then the report is written;
nothing that fails from the commit point on is more than a warning.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.errors import reason_of
from batchscore.publishing.job import Job
from batchscore.publishing.previous import PreviousOutputs
from batchscore.publishing.ranked_file import read_through
from batchscore.publishing.records import FoundReport, find_report, identify
from batchscore.report_parts import Output
from batchscore.run_report import Report
from batchscore.system.disk import cannot_write, keep_access
from batchscore.system.durable import replacing, sync, tolerated, write_whole

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """The output of a job's night that this run alone may publish, and its records in the state folder."""

    job: Job
    temporary: Path

    @property
    def output(self) -> Path:
        """The output."""
        return self.job.path

    @property
    def state(self) -> Path:
        """The folder of the records."""
        return self.job.state

    @property
    def name(self) -> str:
        """What the names of the records begin with."""
        return self.job.record

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
        self, write: Callable[[Path], None], rows: int, *, keep_replaced: bool, committing: Callable[[], None]
    ) -> Output:
        """Write the output with `write`, and make it the published one; `settle` does the rest.

        `keep_replaced` says whether the output before it is kept. `committing` is called right before the commit
        point, which is the last step. Raises OutputError (E-OUTPUT) if the disk says no; the published file is
        then the old one, and all that was kept is still there.
        """
        with self._until_committed():
            write(self.temporary)
            written = pq.read_metadata(self.temporary).num_rows
            if written != rows:
                raise OSError(errno.EIO, f"{written:,} rows on disk, {rows:,} written")
            sha256, status = seal(self.temporary, self.output)
            output = Output(
                path=str(self.output), rows=rows, bytes=status.st_size, sha256=sha256, file_id=identify(status)
            )
            if keep_replaced:
                self.keep_replaced()
            committing()
            self.commit()
        return output

    def settle(self, report: Report, keep_previous: int) -> None:
        """After the commit point: the outputs before this one, its rejects and its report. Nothing is raised.

        What goes wrong is a warning: the new output is the published one, whatever becomes of its records.
        """
        if self.is_commit_durable():
            with tolerated("the outputs before this one could not be updated"):
                self.previous.finish(self.output)
                self.previous.keep_at_most(keep_previous)
        with tolerated("the rejects of this run could not be moved to their place"):
            place = self.rejects_path(failed=False)
            if report.rejects is None:
                place.unlink(missing_ok=True)
            else:
                Path(report.rejects).replace(place)
                report.rejects = str(place)
        with tolerated("the report could not be completed"):
            report.end()
        self.record(report)

    @contextmanager
    def _until_committed(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            with suppress(OSError):
                self.previous.finish(self.output)
            if isinstance(error, MemoryError) or not isinstance(error, (OSError, pa.ArrowException)):
                raise
            raise cannot_write(self.output, error) from error

    def commit(self) -> None:
        """The commit point. Raises OSError if the output is still the old one."""
        ours = identify(self.temporary.stat())
        try:
            self.temporary.replace(self.output)
        except OSError:
            # a network file system may lose the answer to a rename that it has done
            if not self.output.exists() or identify(self.output.stat()) != ours:
                raise

    def keep_replaced(self) -> bool:
        """Before the commit point: give the output that stands there now a second name. Whether it is kept.

        A damaged one is not: it would push a good one out. What no report tells of is read for that.
        Raises OSError.
        """
        if not self.output.exists():
            return False
        found = self.find_report()
        if found.report is None:
            try:
                read_through(self.output)
            except ValueError as error:
                _log.warning("the output that is replaced is damaged, and is not kept: %s", error)
                return False
        self.previous.prepare(self.output, found.path)
        sync(self.state)
        return True

    def is_commit_durable(self) -> bool:
        """Flush the rename to the disk. Only then may an older output be forgotten: a power cut may undo it."""
        with tolerated("the output's directory could not be flushed to the disk"):
            sync(self.output.parent)
            return True
        return False

    def park(self, write: Callable[[Path], None]) -> Path:
        """Write an output that is refused to `refused_path`, to be looked at. Raises OutputError (E-OUTPUT)."""
        try:
            with replacing(self.refused_path) as temporary:
                write(temporary)
                with temporary.open("rb+") as file:
                    keep_access(file.fileno(), self.output)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, MemoryError):
                raise
            raise cannot_write(self.refused_path, error) from error
        return self.refused_path

    def record(self, report: Report) -> None:
        """Write the report: beside the published output, or as the failure's.

        A failure to write it only warns; an older report does not stay in its place then.
        """
        path = self.report_path if report.status == "published" else self.failed_path
        try:
            write_whole(path, report.to_json())
        except Exception as error:  # noqa: BLE001 - no report is no reason to call the night failed
            _log.warning("the report %s could not be written: %s", path, reason_of(error))
            with suppress(OSError):
                path.unlink()
            return
        with tolerated("the state folder could not be updated"):
            failure = [self.failed_path, self.rejects_path(failed=True)] if report.status == "published" else []
            refused = [self.refused_path] if report.refused_output is None else []
            if outdated := [place for place in (*failure, *refused) if os.path.lexists(place)]:
                for place in outdated:
                    place.unlink()
                sync(path.parent)

    def abandon(self, report: Report, error: BaseException) -> None:
        """Leave nothing but the report of the failure, for a process that ends right here."""
        with suppress(OSError):
            self.temporary.unlink()
        report.end(error)
        self.record(report)

    def find_report(self) -> FoundReport:
        """The report of the output that stands here now; nothing if none does, or the report is another one's."""
        return find_report(self.job.reports(), self.output) if self.output.exists() else FoundReport()


def seal(written: Path, standing: Path) -> tuple[str, os.stat_result]:
    """Give `written` the access of `standing`, which it is to replace, and flush it; its SHA-256 and status.

    Raises OSError.
    """
    with written.open("rb+") as file:
        keep_access(file.fileno(), standing)
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno())
