"""A job that publishes, from its observer to its report; what fails once it has published only warns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from batchscore.cli.console import job_console
from batchscore.cli.log import log_warning
from batchscore.cli.output import print_out
from batchscore.observer import Observer


class JobReport(Protocol):
    """What a job did."""

    def to_json(self) -> str:
        """The report as a JSON document."""
        ...


ReportT = TypeVar("ReportT", bound=JobReport | None)


def run_job(
    job: Callable[[Observer], ReportT],
    *,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    beside: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Run `job` within its console and within `beside`; its report goes to stdout if `as_json`.

    A job that returns has published. Whatever fails after that, such as a terminal that is gone, is a warning: the
    command has done what it is for.
    """
    reports: list[ReportT] = []
    try:
        with job_console(quiet=quiet, verbose=verbose) as observer, beside():
            reports.append(job(observer))
        if as_json:
            report = reports[0]
            print_out("null" if report is None else report.to_json())
    except Exception as error:
        if not reports:
            raise
        log_warning(f"published, but a step after that failed: {type(error).__name__}: {error}")
