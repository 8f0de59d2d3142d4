"""What a run does with the pairs of a case: the facts of its report, or its refusal, and what it published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.errors import EXIT_OK, BatchscoreError, OutOfMemoryError, OutputError, TryLaterError
from batchscore.run_report import Report
from batchscore.scoring.run import run
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings
from batchscore.system.regular_files import read_regular

_FACTS = ("rows_read", "pairs_scored", "rows_written", "users", "users_short", "users_none", "ties_at_cut")


@dataclass(frozen=True)
class Outcome:
    """What a run did: `facts` as in expected.toml, and the published rows (None if nothing was published).

    `computed` names the columns of `rows`, beside the score, that the model gave.
    """

    facts: Mapping[str, Any]
    rows: pa.Table | None = None
    computed: tuple[str, ...] = ()


def run_pairs(
    pairs: pa.Table, settings: Mapping[str, Any], model: Path, workspace: Path, row_group_rows: int | None = None
) -> Outcome:
    """Run `pairs` with `model` and the settings of a `[run]` table; all files lie in the empty `workspace`.

    The paths of model and workspace are `<model>` and `<folder>` in the facts. A refusal is an outcome; what the
    machine does to a run is none: OutputError, OutOfMemoryError and TryLaterError are raised.
    """
    source, output = workspace / "pairs.parquet", workspace / "ranked.parquet"
    pq.write_table(pairs, source, row_group_size=row_group_rows, write_page_checksum=True)
    places = {str(model): "<model>", str(workspace): "<folder>"}
    try:
        flags = {"input": source, "output": output, "model": model, **settings}
        resolved = resolve(RunSettings, "run", flags, environ={}, given_as="case.toml").settings
        report = run(resolved)
    except (OutputError, OutOfMemoryError, TryLaterError):
        raise
    except BatchscoreError as error:
        message = _replace(str(error), places)
        facts = {"exit_code": error.exit_code, "error_id": error.error_id, "message": message}
        facts |= _rejects(error.report, places)
        if output.exists():
            facts["published"] = True
        return Outcome(facts)
    rows = pq.read_table(output)
    facts = {"exit_code": EXIT_OK, **_facts(report, places), **_rejects(report, places)}
    facts["columns"] = {name: str(type_) for name, type_ in zip(rows.schema.names, rows.schema.types, strict=True)}
    return Outcome(facts, rows, tuple(resolved.keep_output))


def _facts(report: Report, places: Mapping[str, str]) -> dict[str, Any]:
    """What is worth freezing of a report: nothing in it depends on time, machine or libraries."""
    facts: dict[str, Any] = {name: getattr(report, name) for name in _FACTS}
    facts["warnings"] = [_replace(warning, places) for warning in report.warnings]
    facts["bad_rows"] = report.bad_rows
    if report.left_out != report.bad_rows:
        facts["left_out"] = report.left_out
    facts["known_users"] = report.known_users.model_dump(exclude_none=True)
    facts["known_candidates"] = report.known_candidates.model_dump(exclude_none=True)
    facts["inputs"] = {
        binding.input: f"constant {binding.constant}"
        if binding.column is None
        else f"{binding.column}: {binding.cast}"
        for binding in report.bindings
    }
    facts["filled"] = {binding.input: binding.filled for binding in report.bindings if binding.filled}
    return facts


def _rejects(report: Report | None, places: Mapping[str, str]) -> dict[str, list[str]]:
    if report is None or report.rejects is None:
        return {}
    return {"rejects": _replace(read_regular(Path(report.rejects)).decode(), places).splitlines()}


def _replace(text: str, places: Mapping[str, str]) -> str:
    for place, name in places.items():
        text = text.replace(place, name)
    return text
