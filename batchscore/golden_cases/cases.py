"""Golden cases: folders that say, in text that needs no Python to read, what a run must publish or how it refuses.

    <case>/case.toml      about, model, [run] (settings as in a job's TOML), [pairs] (Arrow type of each column)
    <case>/pairs.csv      the pairs
    <case>/expected.toml  exit code, Arrow types of the output, facts of the report; or error id and message
    <case>/expected.csv   the published rows in order, where the run publishes

`model` is a path from the case's folder; it may be left out where one model is given for all. In both CSV files an
empty cell is null and `""` an empty string. `row_group_rows` in case.toml (before its tables) lays the pairs out in
row groups; `scores = "close"` compares as `comparison.compare_ranked` does, for models whose last bits depend on
the machine; `[dictionary]` gives a dictionary column its values, also unused ones.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import ConfigDict, Field, PositiveInt, ValidationError, field_validator

from batchscore.errors import OutputError, UsageError, reason_of
from batchscore.golden_cases.outcome import Outcome
from batchscore.golden_cases.text import csv_lines, parse_type, read_csv, toml_text
from batchscore.settings.toml_tables import read_toml
from batchscore.system.durable import write_whole
from batchscore.system.json_document import JsonDocument

CASE = "case.toml"
PAIRS = "pairs.csv"
EXPECTED = "expected.toml"
EXPECTED_ROWS = "expected.csv"

_PLACES = ("input", "output", "model", "state_dir", "plan_cache")


class CaseFile(JsonDocument):
    """`case.toml` of one case. `pairs` maps each column to the name of its Arrow type."""

    model_config = ConfigDict(frozen=True)

    about: str
    model: str | None = None
    scores: Literal["exact", "close"] = "exact"
    row_group_rows: PositiveInt | None = None
    run: dict[str, Any] = Field(default_factory=dict)
    pairs: dict[str, str]
    dictionary: dict[str, list[str]] = Field(default_factory=dict)

    @field_validator("run")
    @classmethod
    def _no_places(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for name in settings:
            if name.replace("-", "_") in _PLACES:
                raise ValueError(f"{name} is no setting of a case: it runs in a folder of its own")
        return settings


@dataclass(frozen=True)
class Case:
    """A case that was read: its folder, `case.toml`, its pairs and the path of its model."""

    folder: Path
    file: CaseFile
    pairs: pa.Table
    model: Path


def find_cases(directory: Path) -> list[Path]:
    """The folders at and below `directory` that hold a case, by name. UsageError (E-GOLDEN) if there is none."""
    folders = sorted(path.parent for path in directory.rglob(CASE))
    if not folders:
        raise UsageError(
            "E-GOLDEN",
            "there is no golden case",
            where=directory,
            found="a folder without any" if directory.is_dir() else "no folder",
            expected=f"folders with a {CASE}",
            next_step="check the path; `batchscore help compare` shows what a case looks like",
        )
    return folders


def read_case(folder: Path, model: Path | None = None) -> Case:
    """The case in `folder`, to be run with `model` (default: its own).

    Raises UsageError (E-GOLDEN) if it is not valid, or if the model is not there.
    """
    file = _read_file(folder)
    if model is None and file.model is None:
        raise invalid_case(folder / CASE, "model: the case names none, and none is given (--model)")
    chosen = (model or folder / str(file.model)).resolve()
    if not chosen.is_dir():
        raise invalid_case(folder / CASE, f"model: there is no folder {chosen}")
    return Case(folder, file, _read_pairs(file, folder), chosen)


def read_expected(folder: Path) -> Outcome:
    """What the case in `folder` expects. UsageError (E-GOLDEN) if that is not there yet, or not valid."""
    try:
        facts = read_toml(folder / EXPECTED)
    except FileNotFoundError as error:
        raise invalid_case(folder / EXPECTED, "it is not there yet") from error
    except (OSError, ValueError) as error:
        raise invalid_case(folder / EXPECTED, str(error)) from error
    columns = facts.get("columns")
    if columns is None:
        return Outcome(facts)
    if not isinstance(columns, dict) or not all(isinstance(type_, str) for type_ in columns.values()):
        raise invalid_case(folder / EXPECTED, "columns: not a table of Arrow types by column")
    table = _read_table(folder / EXPECTED_ROWS)
    try:
        arrays = [table.column(name).combine_chunks().cast(parse_type(type_)) for name, type_ in columns.items()]
    except (KeyError, pa.ArrowException, ValueError) as error:
        raise invalid_case(folder / EXPECTED_ROWS, str(error)) from error
    return Outcome(facts, pa.table(arrays, names=list(columns)))


def write_expected(folder: Path, outcome: Outcome) -> None:
    """Write the outcome as what the case expects.

    Raises UsageError (E-GOLDEN) if a link stands in the place of a file, OutputError (E-OUTPUT) if the disk
    says no.
    """
    files, rows = (folder / EXPECTED, folder / EXPECTED_ROWS), outcome.rows
    for path in files:
        if path.is_symlink():
            raise invalid_case(path, "it is a symbolic link, and an update does not write through links")
    try:
        write_whole(files[0], toml_text(outcome.facts))
        if rows is None:
            files[1].unlink(missing_ok=True)
        else:
            write_whole(files[1], "".join(csv_lines(rows)))
    except OSError as error:
        raise OutputError(
            "E-OUTPUT",
            f"the expected files of a golden case cannot be written: {reason_of(error)}",
            where=error.filename or folder,
            next_step="check the permissions of the folder and the free space, then update again",
        ) from error


def _read_file(folder: Path) -> CaseFile:
    try:
        return CaseFile.model_validate(read_toml(folder / CASE))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise invalid_case(folder / CASE, *problems) from error
    except (OSError, ValueError) as error:
        raise invalid_case(folder / CASE, str(error)) from error


def _read_pairs(file: CaseFile, folder: Path) -> pa.Table:
    """The pairs of the case, in the Arrow types that it names."""
    table = _read_table(folder / PAIRS)
    if table.column_names != list(file.pairs):
        raise invalid_case(folder / PAIRS, f"columns {table.column_names}, [pairs] has {list(file.pairs)}")
    try:
        columns = [
            _typed(table.column(name).combine_chunks(), type_, file.dictionary.get(name))
            for name, type_ in file.pairs.items()
        ]
    except (pa.ArrowException, ValueError) as error:
        raise invalid_case(folder / PAIRS, str(error)) from error
    return pa.table(columns, names=list(file.pairs))


def _read_table(path: Path) -> pa.Table:
    try:
        return read_csv(path)
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        raise invalid_case(path, str(error)) from error


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


def invalid_case(path: Path, *problems: str) -> UsageError:
    """The error (E-GOLDEN) for a file of a case that is not what it must be."""
    return UsageError(
        "E-GOLDEN",
        "not a valid golden case",
        where=path,
        details=problems,
        next_step="correct the file; `batchscore golden --update` writes what is expected",
    )
