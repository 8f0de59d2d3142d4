"""`batchscore run`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchscore.cli.jobs import run_job
from batchscore.cli.options import shared_options
from batchscore.system.environment import MODEL_ENVIRONMENT

if TYPE_CHECKING:
    from batchscore.observer import Observer
    from batchscore.run_report import Report


@click.command("run")
@click.option(
    "--input",
    metavar="PAIRS.parquet",
    help="The pairs of user and candidate to score: a file, or a folder of files.",
)
@click.option(
    "--require-success",
    metavar="auto|yes|no",
    help="Wait for _SUCCESS in the folder; auto: if Spark or Hadoop wrote it.  [default: auto]",
)
@click.option("--output", metavar="RANKED.parquet", help="Where each user's top N is published.")
@click.option("--job", metavar="NAME", help="Keep the job's history under this name. Default: the output's.")
@click.option(
    "--model",
    metavar="DIR",
    help="A SavedModel, or a directory of integer versions of it. "
    f"Default: {MODEL_ENVIRONMENT}, else model/ beside the input.",
)
@click.option("--model-version", metavar="N", help="Use this version. Default: the highest complete one.")
@click.option("--signature", metavar="NAME", help="Default: the model card's, else serving_default.")
@click.option(
    "--score-output",
    metavar="NAME",
    help="The output that is the score. Default: the model card's, else the only one of one number a pair.",
)
@click.option("--top-n", metavar="N", help="Candidates a user.  [default: 10]")
@click.option("--user-column", metavar="COLUMN", help="Default: the model card's, else user_id.")
@click.option("--candidate-column", metavar="COLUMN", help="Default: the model card's, else the only other input.")
@click.option("--keep", multiple=True, metavar="[NEW=]COLUMN", help="Carry a pair column into the output.")
@click.option("--keep-output", multiple=True, metavar="[NEW=]NAME", help="Carry another output of the model along.")
@click.option("--map", multiple=True, metavar="INPUT=COLUMN", help="Feed a model input from another column.")
@click.option("--set", multiple=True, metavar="INPUT=VALUE", help="Feed a model input with a constant.")
@click.option("--fill", multiple=True, metavar="INPUT=VALUE", help="What stands in for nulls of a feature.")
@click.option(
    "--allow-nonfinite",
    multiple=True,
    metavar="INPUT",
    help="Feed NaN and infinite numbers; else such rows are bad.",
)
@click.option("--max-bad-rows", metavar="LIMIT", help="Bad rows to leave out: 100, 0.1% or off.  [default: 0]")
@click.option("--max-unknown-users", metavar="LIMIT", help="Distinct users unknown to the model.  [default: 50%]")
@click.option("--max-unknown-candidates", metavar="LIMIT", help="The same for candidates.  [default: 50%]")
@click.option("--max-user-drop", metavar="LIMIT", help="Users fewer than last published.  [default: 20%]")
@click.option("--max-pair-drop", metavar="LIMIT", help="Pairs fewer than last published.  [default: 20%]")
@click.option(
    "--max-candidate-drop", metavar="LIMIT", help="Distinct candidates fewer than last published.  [default: 50%]"
)
@click.option(
    "--max-user-turnover", metavar="SHARE", help="Users who are other ones than last published.  [default: 50%]"
)
@click.option(
    "--max-short-list-rise",
    metavar="SHARE",
    help="Rise of the share of users with a short list since last published.  [default: 50%]",
)
@click.option(
    "--max-duplicate-rise",
    metavar="SHARE",
    help="Rise of the share of pairs that repeat another one since last published.  [default: 25%]",
)
@click.option(
    "--max-score-shift",
    metavar="TIMES",
    help="How far the mean score may move, in standard deviations of the scores last published.  [default: 3]",
)
@click.option(
    "--max-spread-change",
    metavar="TIMES",
    help="How many times the standard deviation of the scores may grow or shrink.  [default: 4]",
)
@click.option("--min-users", metavar="N", help="Refuse fewer users.  [default: 0]")
@click.option("--min-pairs", metavar="N", help="Refuse fewer pairs.  [default: 0]")
@click.option("--max-input-age", metavar="AGE", help="Refuse an older input: 90m, 26h, 30d or off.  [default: off]")
@click.option("--max-model-age", metavar="AGE", help="Refuse a model exported earlier.  [default: off]")
@click.option(
    "--max-identical-lists",
    metavar="SHARE",
    help="Candidates that have one score for all their users.  [default: 99%]",
)
@click.option("--allow-equal-scores", is_flag=True, default=None, help="Publish although all scores are equal.")
@click.option(
    "--plan",
    metavar="auto|require|off",
    help="Compute each part of the model once a distinct input, "
    "where that is proven to give the same scores.  [default: auto]",
)
@click.option(
    "--plan-cache",
    metavar="DIR",
    help="Where plans are kept that do not lie with their model. "
    "Default: batchscore/plans in the user's cache folder.",
)
@click.option(
    "--memory",
    metavar="SIZE",
    help="Memory that the run may plan with (4GB). Default: the machine's or the control group's.",
)
@click.option("--threads", metavar="N", help="Cores to score on. Default: those the process may use.")
@click.option("--keep-previous", metavar="N", help="Earlier outputs to keep.  [default: 1]")
@click.option(
    "--state-dir",
    metavar="DIR",
    help="Reports, rejects and previous outputs. Default: _batchscore/ beside the output.",
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
    """Score every pair of --input and publish each user's top N to --output.

    The output appears whole or not at all. What was done stands in _batchscore/ beside it. Every setting may stand
    in the table [run] of --config instead.
    """
    from batchscore.cli.settings import print_config as show_config
    from batchscore.cli.settings import resolve_settings
    from batchscore.settings.run import RunSettings

    resolved = resolve_settings(RunSettings, "run", flags, config, date)
    if print_config:
        show_config(resolved)
        return
    from batchscore.engine.early import library_beside

    def job(observer: Observer) -> Report:
        from batchscore.scoring.run import run

        return run(resolved.settings, observer)

    run_job(job, quiet=quiet, verbose=verbose, as_json=as_json, beside=library_beside)
