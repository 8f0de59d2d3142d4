"""`batchscore inspect`."""

from __future__ import annotations

from typing import Any

import click

from batchscore.cli.options import JSON, parameters
from batchscore.cli.output import print_out
from batchscore.cli.settings import resolve_settings
from batchscore.settings.inspect import InspectSettings


@click.command("inspect", params=parameters(InspectSettings, JSON))
def command(*, as_json: bool, **flags: Any) -> None:
    """Show what MODEL is: a SavedModel, or a directory of versions of it.

    Signatures, what `run` would score with and why, the plan by which it would compute the score, vocabularies,
    variables, versions, size, fingerprint, card, and what the model would do beyond computing. It is read, not
    loaded: nothing in it is executed.
    """
    settings = resolve_settings(InspectSettings, "inspect", flags).settings

    from batchscore.inspection.inspection import inspect_model
    from batchscore.inspection.inspection_text import describe_inspection

    inspection = inspect_model(
        settings.model,
        settings.model_version,
        settings.signature,
        settings.score_output,
        plan_cache=settings.plan_cache,
    )
    print_out(inspection.to_json() if as_json else describe_inspection(inspection))
