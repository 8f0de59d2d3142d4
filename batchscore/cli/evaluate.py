"""`batchscore evaluate`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

from batchscore.cli.console import job_console
from batchscore.cli.options import list_options, print_out, shared_options
from batchscore.cli.settings import print_config as show_config
from batchscore.cli.settings import resolve_settings
from batchscore.settings.lists import EvaluateSettings


@click.command("evaluate")
@click.argument("ranked", metavar="RANKED.parquet", required=False)
@click.argument("truth", metavar="TRUTH", required=False)
@click.option("--label-column", metavar="COLUMN", help="The label of TRUTH: a rating, or 1 and 0.  [default: none]")
@click.option(
    "--relevant",
    metavar="X",
    help="Pairs with labels of at least X are relevant.  [default: labels above 0; without a label, every pair]",
)
@click.option("--k", multiple=True, metavar="K,...", help="Measure the first K of each list.  [default: 10]")
@click.option(
    "--gain",
    metavar="HOW",
    help="What a pair is worth to NDCG: its label (linear), 2^label - 1 (exponential), or 1 where it is relevant "
    "(binary).  [default: linear]",
)
@click.option(
    "--training",
    metavar="FILE",
    help="The rows that the model has learned: adds baselines and popularity bias.",
)
@click.option(
    "--scores",
    metavar="WHAT",
    help="What scores are where labels are 0 and 1: probabilities or logits.  [default: probabilities where all "
    "are from 0 to 1, else logits]",
)
@click.option(
    "--bootstrap", metavar="N", help="Resamples of the users for the intervals; 0: none.  [default: 1000]"
)
@click.option("--seed", metavar="N", help="Decides the resamples.  [default: 42]")
@list_options
@click.option("--truth-user-column", metavar="COLUMN", help="The user column of TRUTH.  [default: as in RANKED]")
@click.option(
    "--truth-candidate-column", metavar="COLUMN", help="The candidate column of TRUTH.  [default: as in RANKED]"
)
@shared_options
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
    if config is None:
        for name, metavar in (("ranked", "RANKED.parquet"), ("truth", "TRUTH")):
            if flags[name] is None:
                raise click.UsageError(f"Missing argument '{metavar}'.")
    resolved = resolve_settings(EvaluateSettings, "evaluate", flags, config, date)
    if print_config:
        show_config(resolved)
        return
    with job_console(quiet=quiet, verbose=verbose) as observer:
        from batchscore.evaluation.describe import describe
        from batchscore.evaluation.evaluate import evaluate

        evaluation = evaluate(resolved.settings, observer)
    print_out(evaluation.to_json() if as_json else describe(evaluation))
