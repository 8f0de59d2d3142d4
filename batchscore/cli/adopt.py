"""`batchscore adopt`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchscore.cli.jobs import run_job
from batchscore.cli.options import job_parameters
from batchscore.cli.settings import print_config as show_config
from batchscore.cli.settings import resolve_settings
from batchscore.settings.adopt import AdoptSettings

if TYPE_CHECKING:
    from batchscore.adoption.adoption_report import AdoptionReport
    from batchscore.observer import Observer


@click.command("adopt", params=job_parameters(AdoptSettings))
def command(
    config: Path | None, date: dt.datetime | None, print_config: bool, as_json: bool, quiet: bool, verbose: bool,
    **flags: Any,
) -> None:  # fmt: skip
    """Make SAVEDMODEL the next version below --output, with a model card.

    SAVEDMODEL may come from anywhere: a SavedModel directory, or a directory of versions of it. Its files are
    copied as they are; the card holds what the flags say and what the model gives for a few rows, so that `run`
    needs no flags and notices when the model gives other scores. Every setting may stand in the table [adopt] of
    --config instead.
    """
    resolved = resolve_settings(AdoptSettings, "adopt", flags, config, date)
    if print_config:
        show_config(resolved, as_json=as_json)
        return

    def job(observer: Observer) -> AdoptionReport:
        from batchscore.adoption.adopt import adopt

        return adopt(resolved.settings, observer)

    run_job(job, quiet=quiet, verbose=verbose, as_json=as_json)
