"""`batchscore inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from batchscore.cli.options import FilePath, print_out


@click.command("inspect")
@click.argument("model", type=FilePath())
@click.option("--model-version", type=click.IntRange(min=1), metavar="N", help="Default: the highest complete one.")
@click.option("--signature", metavar="NAME", help="Look at the choice that `run --signature NAME` would make.")
@click.option("--score-output", metavar="NAME", help="The same for `run --score-output NAME`.")
@click.option("--plan-cache", type=FilePath(), metavar="DIR", help="Look for a plan there, as `run` does.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(
    *,
    model: Path,
    model_version: int | None,
    signature: str | None,
    score_output: str | None,
    plan_cache: Path | None,
    as_json: bool,
) -> None:
    """Show what MODEL is: a SavedModel, or a directory of versions of it.

    Signatures, what `run` would score with and why, the plan by which it would compute the score, vocabularies,
    variables, versions, size, fingerprint, card, and what the model would do beyond computing. It is read, not
    loaded: nothing in it is executed.
    """
    from batchscore.inspection.inspection import inspect_model
    from batchscore.inspection.inspection_text import describe

    inspection = inspect_model(model, model_version, signature, score_output, plan_cache=plan_cache)
    print_out(inspection.to_json() if as_json else describe(inspection))
