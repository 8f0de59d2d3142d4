"""`batchscore golden`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from batchscore.cli.console import job_console
from batchscore.cli.options import FilePath, print_out


@click.command("golden")
@click.argument("directory", type=FilePath(), metavar="DIR")
@click.option(
    "--model",
    type=FilePath(),
    metavar="DIR",
    help="Run all cases with this model. Default: the one that each names.",
)
@click.option("--update", is_flag=True, help="Make cases that differ expect what their runs do.")
@click.option("--json", "as_json", is_flag=True, help="Print the results to stdout as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what differs.")
@click.option("-v", "--verbose", is_flag=True, help="Say what each run says, too.")
def command(directory: Path, model: Path | None, update: bool, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Run the golden cases at and below DIR and compare with what they expect. Exit 6 where one differs.

    A case is a folder with case.toml (a model, settings of a run, column types), pairs.csv, and what is expected:
    expected.toml, and expected.csv where the run publishes. Nothing is written outside a temporary folder, but
    what --update rewrites.
    """
    with job_console(quiet=quiet, verbose=verbose):
        from batchscore.golden_cases.runner import check_cases

        with _lines_of_cases_only(silent=not verbose):
            report = check_cases(directory, model, update=update)
        logging.getLogger("batchscore").info("%s", report.summary())
    report.require_as_expected()
    if as_json:
        print_out(report.to_json())


@contextmanager
def _lines_of_cases_only(*, silent: bool) -> Iterator[None]:
    """Silence the runs within, whose lines and warnings are part of what is compared."""
    all_lines, of_cases = logging.getLogger("batchscore"), logging.getLogger("batchscore.golden_cases")
    level = all_lines.level
    if silent:
        of_cases.setLevel(level)
        all_lines.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        all_lines.setLevel(level)
        of_cases.setLevel(logging.NOTSET)
