"""`batchscore evaluate`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

from batchscore.cli.console import job_console
from batchscore.cli.options import job_parameters
from batchscore.cli.output import print_out
from batchscore.cli.settings import print_config as show_config
from batchscore.cli.settings import resolve_settings
from batchscore.settings.lists import EvaluateSettings


@click.command("evaluate", params=job_parameters(EvaluateSettings))
def command(
    config: Path | None, date: dt.datetime | None, print_config: bool, as_json: bool, quiet: bool, verbose: bool,
    **flags: Any,
) -> None:  # fmt: skip
    """Measure the lists of RANKED against TRUTH: what users really did.

    RANKED is an output of `run`, or any table of user, candidate and rank (a file or a folder, rows in any order);
    TRUTH, Parquet or CSV, has its user and candidate columns and may have a label.
    Metrics of lists (NDCG, MAP, MRR, recall, coverage) use the ranks in the file and are means over the users of
    TRUTH that have a relevant pair; a user without a list counts as 0. Scores are measured against labels too: RMSE
    and MAE, or AUC and log loss where the labels are 1 and 0. Every setting may stand in the table [evaluate] of
    --config instead.
    """
    resolved = resolve_settings(EvaluateSettings, "evaluate", flags, config, date)
    if print_config:
        show_config(resolved, as_json=as_json)
        return
    with job_console(quiet=quiet, verbose=verbose) as observer:
        from batchscore.evaluation.evaluate import evaluate
        from batchscore.evaluation.evaluation_text import describe_evaluation

        evaluation = evaluate(resolved.settings, observer)
    print_out(evaluation.to_json() if as_json else describe_evaluation(evaluation))
