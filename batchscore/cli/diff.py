"""`batchscore diff`."""

from __future__ import annotations

from typing import Any

import click

from batchscore.cli.options import list_options, print_out
from batchscore.settings.lists import DiffSettings
from batchscore.settings.resolve import resolve


@click.command("diff")
@click.argument("old", metavar="OLD.parquet")
@click.argument("new", metavar="NEW.parquet")
@click.option("--max-users-lost", metavar="LIMIT", help="Users only in OLD: 100, 0.1% or off.  [default: 0]")
@click.option("--max-users-gained", metavar="LIMIT", help="Users only in NEW, as a share of OLD's.  [default: 0]")
@click.option("--max-changed-users", metavar="LIMIT", help="Users whose list really differs.  [default: 0]")
@click.option("--max-changed-first", metavar="LIMIT", help="Users whose first place really differs.  [default: 0]")
@click.option(
    "--min-overlap", metavar="SHARE", help="Mean share of candidates that two lists share: 95%.  [default: 0%]"
)
@click.option(
    "--max-score-shift",
    metavar="SCORE",
    help="Largest change of a pair's score: a number, tolerance or off.  [default: tolerance]",
)
@list_options
@click.option("--json", "as_json", is_flag=True, help="Print the difference to stdout as JSON.")
def command(as_json: bool, **flags: Any) -> None:
    """Compare two outputs: users, ranks and scores. Exit 6 where a limit is exceeded.

    Either may also be any table of user, candidate and rank, such as the lists that users really saw: a file, or a
    folder of them, its rows in any order. A flag for a column is meant for each file that has it. Without scores in
    both, users, ranks and overlap are compared.

    Near ties never count: two candidates may change places, and one may give way to another at the cut of a full
    list, where their scores lie within the tolerance (1e-4 of the spread of the scores, at least 8 float32 steps of
    the largest). By default every other difference exceeds a limit. Kept columns are not compared.
    """
    settings = resolve(DiffSettings, "diff", flags, given_as="flag").settings

    from batchscore.outputs.describe import describe
    from batchscore.outputs.diff import diff

    difference = diff(settings)
    if not as_json:
        print_out(describe(difference))
    difference.require_within_limits()
    if as_json:
        print_out(difference.to_json())
