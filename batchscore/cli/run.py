"""`batchscore run`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchscore.cli.jobs import run_job
from batchscore.cli.options import job_parameters
from batchscore.cli.settings import print_config as show_config
from batchscore.cli.settings import resolve_settings
from batchscore.settings.run import RunSettings

if TYPE_CHECKING:
    from batchscore.observer import Observer
    from batchscore.run_report import Report


@click.command("run", params=job_parameters(RunSettings))
def command(
    config: Path | None, date: dt.datetime | None, print_config: bool, as_json: bool, quiet: bool, verbose: bool,
    **flags: Any,
) -> None:  # fmt: skip
    """Score every pair of --input and publish each user's top N to --output.

    The output appears whole or not at all. What was done stands in _batchscore/ beside it. Every setting may stand
    in the table [run] of --config instead.
    """
    resolved = resolve_settings(RunSettings, "run", flags, config, date)
    if print_config:
        show_config(resolved, as_json=as_json)
        return
    from batchscore.engine.early import library_beside

    def job(observer: Observer) -> Report:
        from batchscore.scoring.run import run

        return run(resolved.settings, observer)

    run_job(job, quiet=quiet, verbose=verbose, as_json=as_json, beside=library_beside)
