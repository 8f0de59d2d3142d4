"""Golden cases from top to bottom: find them, run each, compare, tell. Read this first."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from batchscore.errors import UsageError
from batchscore.golden_cases.cases import EXPECTED_ROWS, Case, find_cases, read_case, read_expected, write_expected
from batchscore.golden_cases.compare_outcomes import compare_outcomes
from batchscore.golden_cases.golden_report import CaseResult, GoldenReport
from batchscore.golden_cases.outcome import run_pairs
from batchscore.settings.paths import require_paths

_log = logging.getLogger(__name__)


def check_cases(directory: Path, model: Path | None = None, *, update: bool = False) -> GoldenReport:
    """Run every case at and below `directory` with `model` (default: each its own) and compare.

    `update` makes a case that differs expect what the run did. All cases are read before the first one runs.
    Raises UsageError (E-GOLDEN) if there is no case or one is not valid; OutputError, OutOfMemoryError and
    TryLaterError if the machine does not let a case run. Cases that differ are in the report, and raise nothing.
    """
    require_paths(directory, model)
    folders = find_cases(directory)
    cases = [read_case(folder, model) for folder in folders]
    if not update:
        for folder in folders:
            read_expected(folder)
    results = []
    for case in cases:
        inside = case.folder.relative_to(directory)
        name = inside.as_posix() if inside.name else directory.resolve().name
        results.append(check_case(case, name, update=update))
        _log.info("%s: %s", name, results[-1].outcome)
    return GoldenReport(directory=str(directory), model=None if model is None else str(model), results=results)


def check_case(case: Case, name: str, *, update: bool = False) -> CaseResult:
    """Run one case and compare; see `check_cases`. `name` is what the result calls it."""
    with tempfile.TemporaryDirectory(prefix="batchscore-golden-") as workspace:
        file = case.file
        found = run_pairs(case.pairs, file.run, case.model, Path(workspace).resolve(), file.row_group_rows)
    try:
        expected = read_expected(case.folder)
        differences = compare_outcomes(expected, found, file.scores, case.folder / EXPECTED_ROWS)
    except UsageError as error:
        if not update:
            raise
        differences = str(error).splitlines()
    if not differences:
        return CaseResult(case=name, outcome="as expected", differences=[])
    if update:
        write_expected(case.folder, found)
    return CaseResult(case=name, outcome="rewritten" if update else "differs", differences=differences)
