"""Golden cases: folders that say, in text that needs no Python to read, what a run must publish or how it refuses.

    <case>/case.toml      about, model, [run] (settings as in a job's TOML), [pairs] (Arrow type of each column)
    <case>/pairs.csv      the pairs
    <case>/expected.toml  exit code, Arrow types of the output, facts of the report; or error id and message
    <case>/expected.csv   the published rows in order, where the run publishes

In both CSV files an empty cell is null and `""` an empty string. `row_group_rows` in case.toml (before its tables)
lays the pairs out in row groups; `scores = "close"` compares as `comparison.compare_ranked` does, for models whose
last bits depend on the machine; `[dictionary]` gives a dictionary column its values, also unused ones.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from batchscore.comparison import compare_ranked
from batchscore.config import RunSettings, resolve
from batchscore.errors import EXIT_OK, BatchscoreError, UsageError
from batchscore.golden_text import csv_lines, parse_type, read_csv, toml_text
from batchscore.report import Report
from batchscore.scoring.run import run

CASE = "case.toml"
PAIRS = "pairs.csv"
EXPECTED = "expected.toml"
EXPECTED_ROWS = "expected.csv"

_FACTS = ("rows_read", "pairs_scored", "rows_written", "users", "users_short", "users_none", "ties_at_cut")


class GoldenCase(BaseModel):
    """`case.toml` of one case. `pairs` maps each column to the name of its Arrow type."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    model: str
    scores: Literal["exact", "close"] = "exact"
    row_group_rows: PositiveInt | None = None
    run: dict[str, Any] = Field(default_factory=dict)
    pairs: dict[str, str]
    dictionary: dict[str, list[str]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a run did: `facts` as in expected.toml, and the published rows (None where nothing was published)."""

    facts: Mapping[str, Any]
    rows: pa.Table | None = field(default=None)


def find_cases(root: Path) -> list[Path]:
    """The folders under `root` that hold a case, by name."""
    return sorted(path.parent for path in root.rglob(CASE))


def check_case(folder: Path, workspace: Path, find_model: Callable[[str], Path], *, update: bool) -> list[str]:
    """Run the case in `folder` within the empty directory `workspace`; differences, a line each.

    `find_model` turns the case's model name into a path. `update` writes what the run did as what is expected;
    there are no differences then. Raises UsageError (E-GOLDEN) where the folder is no valid case.
    """
    case = read_case(folder)
    outcome = run_case(case, folder, workspace, find_model(case.model))
    if update:
        write_expected(folder, outcome)
        return []
    return compare_outcomes(read_expected(folder), outcome, case.scores)


def read_case(folder: Path) -> GoldenCase:
    """The case in `folder`. UsageError (E-GOLDEN) where its TOML is not valid."""
    try:
        return GoldenCase.model_validate(tomllib.loads((folder / CASE).read_text("utf-8")))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise _invalid(folder / CASE, *problems) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _invalid(folder / CASE, str(error)) from error


def run_case(case: GoldenCase, folder: Path, workspace: Path, model: Path) -> Outcome:
    """Run the case: pairs from its CSV as Parquet, output and state under `workspace`."""
    pairs, output = workspace / "pairs.parquet", workspace / "ranked.parquet"
    table = read_pairs(case, folder)
    pq.write_table(table, pairs, row_group_size=case.row_group_rows, write_page_checksum=True)
    places = {str(model.resolve()): "<model>", str(workspace): "<folder>"}
    try:
        flags = {"input": pairs, "output": output, "model": model, **case.run}
        report = run(resolve(RunSettings, "run", flags, environ={}).settings)
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
    return Outcome(facts, rows)


def read_pairs(case: GoldenCase, folder: Path) -> pa.Table:
    """The pairs of the case, in the Arrow types that it names. UsageError (E-GOLDEN) where they do not fit."""
    table = _read_table(folder / PAIRS)
    if table.column_names != list(case.pairs):
        raise _invalid(folder / PAIRS, f"columns {table.column_names}, [pairs] has {list(case.pairs)}")
    try:
        columns = [
            _typed(table.column(name).combine_chunks(), type_, case.dictionary.get(name))
            for name, type_ in case.pairs.items()
        ]
    except (pa.ArrowException, ValueError) as error:
        raise _invalid(folder / PAIRS, str(error)) from error
    return pa.table(columns, names=list(case.pairs))


def read_expected(folder: Path) -> Outcome:
    """What the case expects. UsageError (E-GOLDEN) where that is not there yet."""
    try:
        facts = tomllib.loads((folder / EXPECTED).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _invalid(folder / EXPECTED, str(error)) from error
    columns = facts.get("columns")
    if columns is None:
        return Outcome(facts)
    table = _read_table(folder / EXPECTED_ROWS)
    try:
        arrays = [table.column(name).combine_chunks().cast(parse_type(type_)) for name, type_ in columns.items()]
    except (KeyError, pa.ArrowException, ValueError) as error:
        raise _invalid(folder / EXPECTED_ROWS, str(error)) from error
    return Outcome(facts, pa.table(arrays, names=list(columns)))


def write_expected(folder: Path, outcome: Outcome) -> None:
    """Write the outcome as what the case expects."""
    (folder / EXPECTED).write_text(toml_text(outcome.facts), "utf-8")
    if outcome.rows is None:
        (folder / EXPECTED_ROWS).unlink(missing_ok=True)
    else:
        (folder / EXPECTED_ROWS).write_text("".join(csv_lines(outcome.rows)), "utf-8")


def compare_outcomes(expected: Outcome, found: Outcome, scores: Literal["exact", "close"] = "exact") -> list[str]:
    """Differences as the lines of a diff, or as `compare_ranked` says them where scores need only be close."""
    differences = _diff(
        EXPECTED, toml_text(expected.facts).splitlines(True), toml_text(found.facts).splitlines(True)
    )
    if expected.rows is None or found.rows is None or expected.rows.schema.names != found.rows.schema.names:
        return differences
    if scores == "close":
        return differences + compare_ranked(expected.rows, found.rows)
    return differences + _diff(EXPECTED_ROWS, csv_lines(expected.rows), csv_lines(found.rows))


def _facts(report: Report, places: Mapping[str, str]) -> dict[str, Any]:
    """What is worth freezing of a report: nothing in it depends on time, machine or libraries."""
    facts: dict[str, Any] = {
        name: getattr(report, name)
        for name in (
            "rows_read",
            "pairs_scored",
            "rows_written",
            "users",
            "users_short",
            "users_none",
            "ties_at_cut",
        )
    }
    facts["warnings"] = [_replace(warning, places) for warning in report.warnings]
    facts["bad_rows"] = report.bad_rows
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
    return {"rejects": _replace(Path(report.rejects).read_text("utf-8"), places).splitlines()}


def _replace(text: str, places: Mapping[str, str]) -> str:
    for place, name in places.items():
        text = text.replace(place, name)
    return text


def _read_table(path: Path) -> pa.Table:
    try:
        return read_csv(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _invalid(path, str(error)) from error


def _typed(array: pa.Array, name: str, dictionary: Sequence[str] | None) -> pa.Array:
    type_ = parse_type(name)
    if not pa.types.is_dictionary(type_):
        return array.cast(type_)
    if dictionary is None:
        return array.cast(type_.value_type).dictionary_encode()
    values = pa.array(dictionary)
    indices = pa.compute.index_in(array, values)
    if indices.null_count != array.null_count:
        raise ValueError("[dictionary] lacks a value")
    return pa.DictionaryArray.from_arrays(indices, values.cast(type_.value_type))


def _diff(name: str, expected: Sequence[str], found: Sequence[str]) -> list[str]:
    lines = difflib.unified_diff(expected, found, f"{name} (expected)", f"{name} (found)", n=2)
    return [line.rstrip("\n") for line in lines]


def _invalid(path: Path, *problems: str) -> UsageError:
    return UsageError(
        "E-GOLDEN",
        "not a valid golden case",
        where=path,
        details=problems,
        next_step="correct the file; expected files are written by an update",
    )
