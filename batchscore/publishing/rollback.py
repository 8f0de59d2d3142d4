"""`batchscore rollback` from top to bottom: the output before the published one is published again."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.durable import sync
from batchscore.errors import OutputError, UsageError
from batchscore.observer import Observer
from batchscore.paths import require_usable
from batchscore.publishing.disk import cannot_write, tolerated
from batchscore.publishing.publish import Claim, claim
from batchscore.report import Report, read_report

_log = logging.getLogger("batchscore")


def rollback(output: Path, state_dir: Path | None = None, observer: Observer | None = None) -> Report | None:
    """Publish the newest kept output that differs from the published one; that one is kept in its place.

    So a second rollback takes the first one back. Returns the report of what is published now, which carries
    `rolled_back_at` and `rolled_back_from`; None where that output has lost its report.

    Raises UsageError (E-NO-PREVIOUS where nothing is kept, E-CONFIG for a path that no run publishes to),
    OutputError (E-PREVIOUS-DAMAGED, E-OUTPUT), and TryLaterError (E-LOCKED) where a run is writing this output. The
    published file is then the old one.
    """
    for path in filter(None, (output, state_dir)):
        _require_usable(path)
    with claim(output, state_dir) as ours:
        replaced = ours.previous_report()
        age = ours.previous.newest_other(output)
        if age is None:
            raise _nothing_kept(ours)
        report = read_report(ours.previous.report_path(age))
        _copy_whole(ours.previous.path(age), ours.temporary, report)
        _swap(ours, (observer or Observer()).committing)
        if report is None:
            _log.warning(
                "the output that is published again has no report: the next run has nothing to compare with"
            )
            with tolerated("the report of the replaced output could not be removed"):
                ours.report_path.unlink(missing_ok=True)
            return None
        report.rolled_back_at = dt.datetime.now(dt.UTC)
        report.rolled_back_from = None if replaced is None else replaced.run_id
        ours.record(report)
    _log.info("published again: run %s, %s users, %s rows", report.run_id, f"{report.users:,}",
              f"{report.rows_written:,}")  # fmt: skip
    _log.info("the output that it replaces is kept as %s", ours.previous.path(1))
    return report


def _require_usable(path: Path) -> None:
    try:
        require_usable(path)
    except ValueError as error:
        raise UsageError(
            "E-CONFIG", str(error), where=path, next_step="give the --output and --state-dir of the run"
        ) from error


def _copy_whole(kept: Path, target: Path, report: Report | None) -> None:
    """Copy the kept output, and make sure that it is the file which its report tells of."""
    expected = None if report is None or report.output is None else report.output.sha256
    try:
        shutil.copyfile(kept, target)
        with target.open("rb+") as file:
            os.fsync(file.fileno())
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        pq.read_metadata(target)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(kept, str(error).splitlines()[0], "a Parquet file") from error
    if expected not in (None, found):
        raise _damaged(kept, f"SHA-256 {found}", expected)


def _swap(ours: Claim, committing: Callable[[], None]) -> None:
    """Keep the published output, rename the copy onto it, and forget the kept file that it was copied from."""
    kept = ours.previous
    try:
        if ours.output.exists():
            published_report = ours.report_path if ours.previous_report() is not None else None
            kept.keep(ours.output, published_report, max(kept.ages()) + 1)
            sync(ours.state)
        age = kept.newest_other(ours.output)
        committing()
        ours.temporary.replace(ours.output)
    except OSError as error:
        raise cannot_write(ours.output, error) from error
    with tolerated("the folders could not be brought up to date"):
        sync(ours.output.parent)
        if age is not None:
            kept.drop(age)


def _nothing_kept(ours: Claim) -> UsageError:
    ages = ours.previous.ages()
    return UsageError(
        "E-NO-PREVIOUS",
        "there is no other output to go back to",
        where=ours.state,
        found="kept outputs with the same bytes as the published one" if ages else "no kept output",
        expected=ours.previous.path(1).name,
        next_step="run with --keep-previous 1 or more from now on, and with the --state-dir of the run here; "
        "to replace the published output now, run again with an earlier model (--model-version)",
    )


def _damaged(kept: Path, found: str, expected: str) -> OutputError:
    return OutputError(
        "E-PREVIOUS-DAMAGED",
        "the kept output is damaged and was not published",
        where=kept,
        found=found,
        expected=expected,
        next_step="run again with an earlier model (--model-version); the published output is untouched",
    )
