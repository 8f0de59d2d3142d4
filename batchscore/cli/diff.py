"""`batchscore diff`."""

from __future__ import annotations

from typing import Any

import click

from batchscore.cli.options import JSON, parameters
from batchscore.cli.output import print_out
from batchscore.cli.settings import resolve_settings
from batchscore.settings.lists import DiffSettings


@click.command("diff", params=parameters(DiffSettings, JSON))
def command(as_json: bool, **flags: Any) -> None:
    """Compare two outputs: users, ranks and scores. Exit 6 if a limit is exceeded.

    Either may also be any table of user, candidate and rank, such as the lists that users really saw: a file, or a
    folder of them, its rows in any order. A flag for a column is meant for each file that has it. Without scores in
    both, users, ranks and overlap are compared.

    Near ties never count: two candidates may change places, and one may give way to another at the cut of a full
    list, where their scores lie within the tolerance (1e-4 of the spread of the scores, at least 8 float32 steps of
    the largest). By default every other difference exceeds a limit. Kept columns are not compared.
    """
    settings = resolve_settings(DiffSettings, "diff", flags).settings

    from batchscore.outputs.diff import diff
    from batchscore.outputs.difference_text import describe_difference

    difference = diff(settings)
    if not as_json:
        print_out(describe_difference(difference))
    difference.require_within_limits()
    if as_json:
        print_out(difference.to_json())
