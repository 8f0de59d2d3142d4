"""What a run compares itself with: the output that its job published last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchscore.publishing.job import Job, find_undeclared_night_before
from batchscore.publishing.previous import PreviousOutputs
from batchscore.publishing.ranked_file import count_ranked, read_columns
from batchscore.publishing.records import find_report
from batchscore.run_report import Report

_NOTHING = "this run has nothing to compare itself with"


@dataclass(frozen=True)
class Baseline:
    """The last published output of a job, as far as anything is known of it; every field may be empty.

    `report` is its report. `users` (those that have a list), `rows` and `columns` (name to Arrow type) come from
    it, or from the file if no report that can be believed has them. `output` is its path, and `file` the same if it
    still stands there.
    `warnings` say what is missing that should not be, and `notes` what a person may know but need not act on.
    """

    report: Report | None = None
    users: int | None = None
    rows: int | None = None
    columns: Mapping[str, str] | None = None
    output: Path | None = None
    file: Path | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def pairs(self) -> int | None:
        """Pairs that were ranked, by the report; None if there is none."""
        return None if self.report is None else self.report.pairs_ranked


def find_baseline(job: Job) -> Baseline:
    """The last output that `job` published; of a job with `{date}`, the last of an earlier date.

    What cannot be used is passed over with a warning: an earlier date is compared with instead, if there is one.
    """
    warnings: list[str] = []
    nights = [(job.path, job.reports())] if job.date is None else [
        (job.output.on(date), job.reports(date)) for date in job.earlier_dates()
    ]  # fmt: skip
    for output, reports in nights:
        found = find_report(reports, output)
        file = output if output.exists() else None
        if found.report is not None:
            notes = () if file else (_tell_of_missing(output, found.report),)
            return _of_report(found.report, output, file, warnings, notes)
        if file is not None:
            problem = found.problem or f"the published output {file} has no report"
            try:
                counted = count_ranked(file)
            except ValueError as error:
                problem = f"{problem}, and the users of the file cannot be counted: {error}"
                if found.of_another is not None:
                    warnings.append(f"{problem}: this run compares itself with that report")
                    return _of_report(found.of_another, output, None, warnings)
                warnings.append(problem)
                continue
            warnings.append(f"{problem}: this run compares itself with the users and rows of the file alone")
            warnings += _tell_of_empty(output, counted.rows)
            return Baseline(None, counted.users, counted.rows, read_columns(file), output, file, tuple(warnings))
        if found.problem is not None:
            warnings.append(f"{found.problem}, and its output is gone")
    return _nothing(job, warnings)


def _of_report(
    report: Report, output: Path, file: Path | None, warnings: list[str], notes: tuple[str, ...] = ()
) -> Baseline:
    told = (*warnings, *_tell_of_empty(output, report.rows_written))
    columns = read_columns(file) if report.columns is None and file is not None else report.columns
    return Baseline(report, report.served, report.rows_written, columns, output, file, told, notes)


def _tell_of_empty(output: Path, rows: int) -> list[str]:
    return [] if rows else [f"{output} was published with no rows: {_NOTHING}"]


def _tell_of_missing(output: Path, report: Report) -> str:
    """That the file is gone; or, if the report is one of an output elsewhere, that the job writes here now."""
    told = report.output
    if told is not None and os.path.realpath(told.path) != os.path.realpath(output):
        return f"this job published {told.path} last: this run compares itself with its report"
    return f"{output} is no longer there: this run compares itself with its report"


def _nothing(job: Job, warnings: list[str]) -> Baseline:
    if warnings:
        return Baseline(warnings=(*warnings[:-1], f"{warnings[-1]}; {_NOTHING}"))
    if job.date is None and PreviousOutputs(job.state, job.record).ages():
        lost = f"{job.path} and its report are gone, although this job published before ({job.state})"
        return Baseline(warnings=(f"{lost}: {_NOTHING}",))
    earlier = "" if job.date is None else " of an earlier date"
    nothing = f"this job has no published output{earlier} yet: {_NOTHING}"
    if (night_before := find_undeclared_night_before(job)) is None:
        return Baseline(notes=(nothing,))
    advice = "write {date} in place of the date in --output, and each night is compared with the one before"
    return Baseline(warnings=(f"{nothing}; {night_before} looks like the night before: {advice}",))
