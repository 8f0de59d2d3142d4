"""`batchscore adopt`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchscore.cli.jobs import run_job
from batchscore.cli.options import shared_options
from batchscore.cli.settings import print_config as show_config
from batchscore.cli.settings import resolve_settings
from batchscore.settings.adopt import AdoptSettings

if TYPE_CHECKING:
    from batchscore.adoption.report import AdoptionReport
    from batchscore.observer import Observer


@click.command("adopt")
@click.argument("saved_model", metavar="SAVEDMODEL", required=False)
@click.option("--output", metavar="DIR", help="The model's directory; the adoption adds a version to it.")
@click.option("--model-version", metavar="N", help="Of SAVEDMODEL, where it has versions. Default: the highest.")
@click.option("--signature", metavar="NAME", help="The signature that scores.  [default: serving_default]")
@click.option(
    "--score-output",
    metavar="NAME",
    help="The output that is the score, or 0.7*rating + 0.3*click.  [default: the only one of one number a pair]",
)
@click.option("--user-input", metavar="INPUT", help="The input that takes the user's id.  [default: user_id]")
@click.option("--candidate-input", metavar="INPUT", help="The same for the candidate.  [default: the only other]")
@click.option("--map", multiple=True, metavar="INPUT=COLUMN", help="The pair column that feeds an input.")
@click.option("--set", multiple=True, metavar="INPUT=VALUE", help="The constant that an input is fed, each night.")
@click.option("--fill", multiple=True, metavar="INPUT=VALUE", help="What stands for a null, each night.")
@click.option("--probes", metavar="SAMPLE.parquet", help="Real pairs to remember the scores of. Default: invented.")
@click.option(
    "--max-identical-lists",
    metavar="LIMIT",
    help="Probe rows whose score ignores the user, as a run limits lists that do.  [default: 50%]",
)
@click.option(
    "--allow-equal-scores", is_flag=True, default=None, help="Adopt although all probe rows have the same score."
)
@click.option(
    "--trust-model",
    is_flag=True,
    default=None,
    help="Load the model although it reads or writes files, calls Python or opens connections.",
)
@shared_options
def command(
    config: Path | None, date: dt.datetime | None, print_config: bool, as_json: bool, quiet: bool, verbose: bool,
    **flags: Any,
) -> None:  # fmt: skip
    """Make SAVEDMODEL the next version below --output, with a model card.

    SAVEDMODEL is anybody's: a SavedModel directory, or a directory of versions of it. Its files are copied as they
    are; the card holds what the flags say and what the model gives for a few rows, so that `run` needs no flags and
    notices when the model gives other scores. Every setting may stand in the table [adopt] of --config instead.
    """
    if flags["saved_model"] is None and config is None:
        raise click.UsageError("Missing argument 'SAVEDMODEL'.")
    resolved = resolve_settings(AdoptSettings, "adopt", flags, config, date)
    if print_config:
        show_config(resolved)
        return

    def job(observer: Observer) -> AdoptionReport:
        from batchscore.adoption.adopt import adopt

        return adopt(resolved.settings, observer)

    run_job(job, quiet=quiet, verbose=verbose, as_json=as_json)
