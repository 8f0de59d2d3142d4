"""`batchscore golden`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from batchscore.cli.console import job_console
from batchscore.cli.options import JSON, QUIET, VERBOSE, parameters
from batchscore.cli.output import print_out
from batchscore.cli.settings import resolve_settings
from batchscore.settings.golden import GoldenSettings


@click.command("golden", params=parameters(GoldenSettings, JSON, QUIET, VERBOSE))
def command(*, as_json: bool, quiet: bool, verbose: bool, **flags: Any) -> None:
    """Run the golden cases at and below DIR and compare with what they expect. Exit 6 where one differs.

    A case is a folder with case.toml (a model, settings of a run, column types), pairs.csv, and what is expected:
    expected.toml, and expected.csv where the run publishes. Nothing is written outside a temporary folder, but
    what --update rewrites.
    """
    settings = resolve_settings(GoldenSettings, "golden", flags).settings
    with job_console(quiet=quiet, verbose=verbose):
        from batchscore.golden_cases.runner import check_cases

        with _lines_of_cases_only(silent=not verbose):
            report = check_cases(settings.directory, settings.model, update=settings.update)
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
