"""`batchscore rollback`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from batchscore.cli.jobs import run_job
from batchscore.cli.options import DATE, JSON, QUIET, VERBOSE, parameters
from batchscore.cli.settings import resolve_settings
from batchscore.settings.rollback import RollbackSettings

if TYPE_CHECKING:
    from batchscore.observer import Observer
    from batchscore.run_report import Report


@click.command("rollback", params=parameters(RollbackSettings, DATE, JSON, QUIET, VERBOSE))
def command(date: dt.datetime | None, as_json: bool, quiet: bool, verbose: bool, **flags: Any) -> None:
    """Publish the output before the published one again, with its report.

    OUTPUT is the file, or its path as the configuration has it. Of a job with {date} in its path, the earlier file
    of that date comes back.

    The file appears whole, at once, and not while a run is writing. The output that it replaces is kept in its
    place: a second rollback takes the first one back.
    """
    settings = resolve_settings(RollbackSettings, "rollback", flags, date=date).settings

    def job(observer: Observer) -> Report | None:
        from batchscore.publishing.rollback import rollback

        return rollback(settings.output.written, settings.state_dir, observer, date=settings.date, job=settings.job)

    run_job(job, quiet=quiet, verbose=verbose, as_json=as_json)
