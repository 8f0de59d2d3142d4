"""`batchscore rollback`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchscore.cli.jobs import run_job
from batchscore.cli.options import Day, FilePath

if TYPE_CHECKING:
    from batchscore.observer import Observer
    from batchscore.run_report import Report


@click.command("rollback")
@click.argument("output", type=FilePath(), metavar="OUTPUT.parquet")
@click.option(
    "--state-dir",
    type=FilePath(),
    metavar="DIR",
    help="Where the run keeps its state. Default: _batchscore/ beside the output.",
)
@click.option("--job", "job_name", metavar="NAME", help="The --job of the run, if it has one.")
@click.option(
    "--date",
    type=Day(),
    metavar="YYYY-MM-DD",
    help="What {date} in OUTPUT stands for. Default: today (UTC).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report of the published output to stdout as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what went wrong.")
@click.option("-v", "--verbose", is_flag=True, help="Say more.")
def command(
    output: Path, state_dir: Path | None, job_name: str | None, date: dt.datetime | None, as_json: bool,
    quiet: bool, verbose: bool,
) -> None:  # fmt: skip
    """Publish the output before the published one again, with its report.

    OUTPUT is the file, or its path as the configuration has it. Of a job with {date} in its path, the earlier file
    of that date comes back.

    The file appears whole, at once, and not while a run is writing. The output that it replaces is kept in its
    place: a second rollback takes the first one back.
    """

    def job(observer: Observer) -> Report | None:
        from batchscore.publishing.rollback import rollback

        return rollback(output, state_dir, observer, date=date.date() if date else None, job=job_name)

    run_job(job, quiet=quiet, verbose=verbose, as_json=as_json)
