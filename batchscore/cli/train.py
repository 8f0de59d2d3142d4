"""`batchscore train`."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchscore.cli.jobs import run_job
from batchscore.cli.options import job_parameters
from batchscore.cli.settings import print_config as show_config
from batchscore.cli.settings import resolve_settings
from batchscore.settings.train import TrainSettings
from batchscore.system.environment import LEGACY_KERAS

if TYPE_CHECKING:
    from batchscore.observer import Observer
    from batchscore.training.training_report import TrainingReport


@click.command("train", params=job_parameters(TrainSettings))
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
        show_config(resolved, as_json=as_json)
        return
    os.environ[LEGACY_KERAS] = "1"  # before there are threads

    def job(observer: Observer) -> TrainingReport:
        from batchscore.training.train import train

        return train(resolved.settings, observer)

    run_job(job, quiet=quiet, verbose=verbose, as_json=as_json)
