"""`batchscore train`."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchscore.cli.jobs import run_job
from batchscore.cli.options import shared_options
from batchscore.cli.settings import print_config as show_config
from batchscore.cli.settings import resolve_settings
from batchscore.networks.keras2 import LEGACY_KERAS
from batchscore.settings.train import TrainSettings

if TYPE_CHECKING:
    from batchscore.observer import Observer
    from batchscore.training.report import TrainingReport


@click.command("train")
@click.option("--input", metavar="FILE", help="The interactions to learn from: .parquet or .csv.")
@click.option("--output", metavar="DIR", help="The model's directory; each training adds a version to it.")
@click.option("--users", metavar="FILE", help="A row of features for each user, joined by the user column.")
@click.option("--candidates", metavar="FILE", help="The same for candidates, joined by the candidate column.")
@click.option("--user-column", metavar="COLUMN", help="Who rated.  [default: user_id]")
@click.option("--candidate-column", metavar="COLUMN", help="What was rated.  [default: movie_id]")
@click.option("--rating-column", metavar="COLUMN", help="The rating, a number.  [default: user_rating]")
@click.option("--timestamp-column", metavar="COLUMN", help="When it was rated; needed for a split by time.")
@click.option("--embedding-dimension", metavar="N", help="Numbers that stand for one value.  [default: 32]")
@click.option("--layers", metavar="N,N,...", help="Widths of the hidden layers.  [default: 256,64]")
@click.option("--learning-rate", metavar="X", help="The optimizer's step.  [default: 0.1]")
@click.option(
    "--batch-rows",
    metavar="N",
    help="Interactions a training step. Less for small data: 256 for some ten thousand.  [default: 8192]",
)
@click.option("--shuffle-rows", metavar="N", help="Interactions that are shuffled at once.  [default: 100000]")
@click.option("--epochs", metavar="N", help="Passes over the training rows.  [default: 3]")
@click.option("--held-out", metavar="SHARE", help="Share of the rows to test the model on.  [default: 0.2]")
@click.option(
    "--split",
    metavar="HOW",
    help="What is held out: the latest rows (time), rows at random (random), or each user's last ones (last).  "
    "[default: time with --timestamp-column, else random]",
)
@click.option("--last", metavar="N", help="Rows of each user that --split last holds out.  [default: 1]")
@click.option(
    "--validation", metavar="SHARE", help="Share of the other rows that --patience watches.  [default: 0.1]"
)
@click.option(
    "--patience", metavar="N", help="Stop after so many epochs without a better one; 0: never.  [default: 0]"
)
@click.option(
    "--refit/--no-refit",
    default=None,
    help="Publish a model that has learned the held-out rows too.  [default: refit]",
)
@click.option(
    "--max-regression",
    metavar="SHARE",
    help="How much worse than the live version it may be, or off.  [default: 2%]",
)
@click.option(
    "--keep-versions", metavar="N", help="Versions that stay below --output; older ones are removed.  [default: 5]"
)
@click.option(
    "--set", multiple=True, metavar="FEATURE=VALUE",
    help="What a feature is fed each night if the pairs lack it: {date} or a value.",
)  # fmt: skip
@click.option("--tensorboard", metavar="DIR", help="Write logs for TensorBoard here (extra tensorboard).")
@click.option("--seed", metavar="N", help="Decides the split and every random number.  [default: 42]")
@shared_options
def command(
    config: Path | None, date: dt.datetime | None, print_config: bool, as_json: bool, quiet: bool, verbose: bool,
    **flags: Any,
) -> None:  # fmt: skip
    """Train a ranking model on --input and publish it as the next version below --output.

    Each epoch shows how good the model is on the training rows and on rows that it has not seen: RMSE of a rating,
    log loss of a click, NDCG@10 of an order. At the end it is compared with baselines and the live version on the
    held-out rows; one that is no better than the mean, or worse than the live one, is not published.

    Every setting may stand in the table [train] of --config instead. What the model is given, how it is made and
    what it predicts are tables of --config alone: [features.NAME], [model] and [tasks.NAME]; left out, it is the
    TFRS tutorial's model of the two ids, which predicts --rating-column.
    """
    resolved = resolve_settings(TrainSettings, "train", flags, config, date)
    if print_config:
        show_config(resolved)
        return
    os.environ[LEGACY_KERAS] = "1"  # before there are threads

    def job(observer: Observer) -> TrainingReport:
        from batchscore.training.train import train

        return train(resolved.settings, observer)

    run_job(job, quiet=quiet, verbose=verbose, as_json=as_json)
