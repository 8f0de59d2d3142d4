"""`batchscore train`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

from batchscore.cli.console import job_console
from batchscore.cli.options import print_config as show_config
from batchscore.cli.options import print_out, resolve_settings, shared_options
from batchscore.config import TrainSettings


@click.command("train")
@click.option("--input", metavar="FILE", help="The interactions to learn from: .parquet or .csv.")
@click.option("--output", metavar="DIR", help="The model's directory; each training adds a version to it.")
@click.option("--user-column", metavar="COLUMN", help="Who rated.  [default: user_id]")
@click.option("--candidate-column", metavar="COLUMN", help="What was rated.  [default: movie_id]")
@click.option("--rating-column", metavar="COLUMN", help="The rating, a number.  [default: user_rating]")
@click.option("--embedding-dimension", metavar="N", help="Numbers that stand for one id.  [default: 32]")
@click.option("--layers", metavar="N,N,...", help="Widths of the hidden layers.  [default: 256,64]")
@click.option("--learning-rate", metavar="X", help="Adagrad's step.  [default: 0.1]")
@click.option(
    "--batch-rows",
    metavar="N",
    help="Interactions a training step. Less for small data: 256 for some ten thousand.  [default: 8192]",
)
@click.option("--shuffle-rows", metavar="N", help="Interactions that are shuffled at once.  [default: 100000]")
@click.option("--epochs", metavar="N", help="Passes over the training rows.  [default: 3]")
@click.option("--held-out", metavar="SHARE", help="Share of the rows to test the model on.  [default: 0.2]")
@click.option("--seed", metavar="N", help="Decides the split and every random number.  [default: 42]")
@shared_options
def command(
    config: Path | None, date: dt.datetime | None, print_config: bool, as_json: bool, quiet: bool, verbose: bool,
    **flags: Any,
) -> None:  # fmt: skip
    """Train a ranking model on --input and publish it as the next version below --output.

    Each epoch shows the error (RMSE) on the training rows, on the held-out rows, and that of predicting the mean
    rating. A model that is no better than the mean is not published. Every setting may stand in the table [train]
    of --config instead.
    """
    resolved = resolve_settings(TrainSettings, "train", flags, config, date)
    if print_config:
        show_config(resolved)
        return
    with job_console(quiet=quiet, verbose=verbose) as observer:
        from batchscore.training.train import train

        report = train(resolved.settings, observer)
    if as_json:
        print_out(report.to_json())
