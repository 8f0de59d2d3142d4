"""`batchscore rollback` from top to bottom: the output before the published one is published again."""

from __future__ import annotations

import datetime as dt
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from batchscore.errors import OutputError, UsageError, reason_of
from batchscore.observer import Observer
from batchscore.publishing.claim import claim
from batchscore.publishing.history import find_history_elsewhere, require_history
from batchscore.publishing.job import Job, find_job
from batchscore.publishing.previous import PreviousOutputs
from batchscore.publishing.publish import Claim, seal
from batchscore.publishing.ranked_file import read_through
from batchscore.publishing.records import identify, read_published_report
from batchscore.run_report import Report
from batchscore.settings.paths import DatedPath, require_paths
from batchscore.settings.values import job_name
from batchscore.system.clock import utc_now, utc_today
from batchscore.system.disk import cannot_write
from batchscore.system.durable import tolerated
from batchscore.system.regular_files import require_regular

_log = logging.getLogger(__name__)


def rollback(
    output: Path,
    state_dir: Path | None = None,
    observer: Observer | None = None,
    *,
    date: dt.date | None = None,
    job: str | None = None,
) -> Report | None:
    """Publish the newest kept output that differs from the published one; that one is kept in its place.

    `output` is the published file, or the path of the configuration, whose `{date}` is `date` (today in UTC if it
    is None). `job` is the job's own name, if it has one. A second rollback takes the first one back. Returns the
    report of what is published now, which carries `rolled_back_at` and `rolled_back_from`; None if that output has
    lost its report.

    Raises UsageError (E-NO-PREVIOUS if nothing is kept or was published, E-CONFIG for what no run is given),
    OutputError (E-PREVIOUS-DAMAGED, E-OUTPUT), and TryLaterError (E-LOCKED) if a run is writing this output. The
    published file is then the old one.
    """
    known = _job_of(output, state_dir, date, job)
    require_history(known)
    with claim(known) as ours:
        replaced = ours.find_report().report
        age = ours.previous.newest_other(ours.output)
        if age is None:
            raise _nothing_kept(ours)
        report, missing = _report_of(ours, age)
        _copy_whole(ours, age, report)
        kept = _swap(ours, (observer or Observer()).committing)
        if missing:
            _log.warning("%s: the next run compares itself with the users and rows of the file alone", missing)
        _settle(ours, age, report, replaced)
        if kept:
            _log.info("the output that it replaces is kept as %s", ours.previous.path(1))
    return report


def _report_of(ours: Claim, age: int) -> tuple[Report | None, str]:
    """The report of a kept output, or None and why there is none."""
    path = ours.previous.report_path(age)
    try:
        return read_published_report(path)[0], ""
    except FileNotFoundError:
        return None, "the output that is published again has no report"
    except OSError as error:
        return None, f"the report {path} cannot be read: {reason_of(error)}"
    except ValueError as error:
        return None, f"the report {path} {error}"


def _settle(ours: Claim, age: int, report: Report | None, replaced: Report | None) -> None:
    """After the commit point: the kept outputs and the report. What goes wrong is a warning."""
    if ours.is_commit_durable():
        with tolerated("the outputs before this one could not be updated"):
            ours.previous.drop(age)
            ours.previous.finish(ours.output)
    if report is None:
        with tolerated("the report of the replaced output could not be removed"):
            ours.report_path.unlink(missing_ok=True)
    else:
        report.rolled_back_at = utc_now()
        report.rolled_back_from = None if replaced is None else replaced.run_id
        ours.record(report)
        _log.info("published again: run %s, %s users, %s rows", report.run_id, f"{report.served:,}",
                  f"{report.rows_written:,}")  # fmt: skip


def _job_of(output: Path, state_dir: Path | None, date: dt.date | None, name: str | None) -> Job:
    """The job that keeps earlier outputs of this night; if several could, one that really does."""
    advice = "give the output, --state-dir and --job of the run"
    given = DatedPath(output, date or utc_today())
    require_paths(given.path, state_dir, next_step=advice)
    try:
        if name is not None:
            job_name(name)
    except ValueError as error:
        raise UsageError("E-CONFIG", str(error), where=output, next_step=advice) from error
    jobs = [Job(given, state_dir, name)]
    if not given.is_dated:
        jobs.insert(0, find_job(output, state_dir, name))
    return next((job for job in jobs if _keeps_any(job)), jobs[0])


def _keeps_any(job: Job) -> bool:
    try:
        return bool(PreviousOutputs(job.state, job.record).ages())
    except OSError:
        return False  # no state folder there, or none that can be read: the claim will say so


def _copy_whole(ours: Claim, age: int, report: Report | None) -> None:
    """Copy the kept output, and make sure that it is whole and the file which its report tells of."""
    kept, target, output = ours.previous.path(age), ours.temporary, ours.output
    told = None if report is None else report.output
    try:
        require_regular(kept)
    except OSError as error:
        raise _damaged(ours.previous, age, reason_of(error), "a Parquet file") from error
    try:
        shutil.copyfile(kept, target)
        found, status = seal(target, output if output.exists() else kept)
        if told is not None:
            told.file_id = identify(status)
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        read_through(target)
    except ValueError as error:
        raise _damaged(ours.previous, age, str(error), "a Parquet file, every page of which can be read") from error
    if told is not None and told.sha256 != found:
        raise _damaged(ours.previous, age, f"SHA-256 {found}", told.sha256)


def _swap(ours: Claim, committing: Callable[[], None]) -> bool:
    """Rename the copy of the kept output onto the published one, which gets a second name before if it is whole.

    Whether it got one.
    """
    try:
        kept = ours.keep_replaced()
        committing()
        ours.commit()
    except BaseException as error:
        with suppress(OSError):
            ours.previous.finish(ours.output)
        if isinstance(error, OSError):
            raise cannot_write(ours.output, error) from error
        raise
    return kept


def _nothing_kept(ours: Claim) -> UsageError:
    advice = "run with --keep-previous 1 or more from now on, and give the --state-dir and --job of the run here"
    if elsewhere := find_history_elsewhere(ours.job):
        advice = elsewhere
    elif earlier := [night for night in map(ours.job.output.on, ours.job.earlier_dates()) if night.exists()]:
        advice = f"the output of an earlier date is still at {earlier[0]}"
    return UsageError(
        "E-NO-PREVIOUS",
        "there is no other output to go back to",
        where=ours.state,
        found="no kept output that differs from the published one",
        expected=ours.previous.path(1).name,
        next_step=f"{advice}; "
        "to replace the published output now, run again with an earlier model (--model-version)",
    )


def _damaged(previous: PreviousOutputs, age: int, found: str, expected: str) -> OutputError:
    kept, older = previous.path(age), [other for other in previous.ages() if other > age]
    advice = (
        "no older output is kept: run again for new lists, "
        "or run with --model-version for those of an earlier model"
    )
    if older:
        advice = f"remove {kept.name}, and roll back again: {previous.path(older[0]).name} is older"
    return OutputError(
        "E-PREVIOUS-DAMAGED",
        "the kept output is damaged and was not published",
        where=kept,
        found=found,
        expected=expected,
        next_step=f"{advice}; the file in the output's place is untouched",
    )
