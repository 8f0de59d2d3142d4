"""The manual's page of reports and their JSON Schema, made of the classes that the reports are written from.

`python -m batchscore.cli.report_page` prints the page, and the schema if `--schema` follows. The docstring below a
field is its description.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from batchscore.adoption.adoption_report import AdoptionReport
from batchscore.evaluation.evaluate import EvaluatedFile, Evaluation, TruthFile
from batchscore.evaluation.prediction_metrics import CalibrationBin
from batchscore.golden_cases.golden_report import CaseResult, GoldenReport
from batchscore.outputs.difference import CheckedLimit, ComparedFile, Difference, Examples
from batchscore.report_parts import (
    GuardResult,
    InputBinding,
    InputFile,
    KnownIds,
    ModelUsed,
    Output,
    PlanUsed,
    Scores,
)
from batchscore.run_report import Report
from batchscore.training.metrics import Epoch
from batchscore.training.training_report import TrainingReport

REPORTS: dict[type, tuple[str, tuple[type, ...]]] = {
    Report: ("run", (InputFile, ModelUsed, InputBinding, KnownIds, Scores, PlanUsed, Output, GuardResult)),
    TrainingReport: ("train", (Epoch,)),
    AdoptionReport: ("adopt", ()),
    Difference: ("diff", (ComparedFile, CheckedLimit, Examples)),
    Evaluation: ("evaluate", (EvaluatedFile, TruthFile, CalibrationBin)),
    GoldenReport: ("golden", (CaseResult,)),
}
"""Each report with the command that writes it, and its parts in the order in which the page shows them."""

DRAFT = "https://json-schema.org/draft/2020-12/schema"
"""The draft of JSON Schema that pydantic writes."""

_HEAD = """\
# Reports

What each command reports as JSON, field by field: type, meaning, and when a field is null.

This page and [the JSON Schema](report.schema.json) are made of the classes in the code:
`python -m batchscore.cli.report_page`. Every command but `inspect` and `data` prints its report with `--json`. The
report of a run also lies beside its output: `_batchscore/ranked.parquet.report.json` for the published file,
`_batchscore/ranked.parquet.failed.json` for a failure since. That of a training lies in the `_batchscore/` of the
model's folder.

A report has all its fields. A field is null only if its type says so. Shares are from 0 to 1. An older report may
lack some fields: they read as null. The schema describes the report of a run; those of the other commands stand in
its `$defs`. In Python it is `importlib.resources.files("batchscore") / "docs" / "report.schema.json"`.
"""

_NAMES = {
    "array": "list", "boolean": "true or false", "integer": "integer", "null": "null", "number": "number",
    "object": "object", "string": "text",
}  # fmt: skip


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the run's report, as it is written; the other reports are in its `$defs`."""
    schemas = {kind: TypeAdapter(kind).json_schema(mode="serialization") for kind in REPORTS}
    parts = {name: part for schema in schemas.values() for name, part in schema.pop("$defs", {}).items()}
    known = [*REPORTS, *(kind for _, kinds in REPORTS.values() for kind in kinds)]
    for kind in known:
        _describe(kind, schemas[kind] if kind in schemas else parts[kind.__name__])
    definitions = parts | {kind.__name__: schema for kind, schema in schemas.items() if kind is not Report}
    return {"$schema": DRAFT, **schemas[Report], "$defs": dict(sorted(definitions.items()))}


def page() -> str:
    """The page as Markdown: a section for each report, with a table for it and for each of its parts."""
    schema = json_schema()
    definitions = {**schema["$defs"], Report.__name__: schema}
    lines = [_HEAD]
    for kind, (command, parts) in REPORTS.items():
        lines += [f"## {command}\n", *_table(definitions[kind.__name__])]
        for part in parts:
            lines += [f"### {part.__name__}\n", *_table(definitions[part.__name__])]
    return "\n".join(lines).rstrip("\n") + "\n"


def field_docs(kind: type) -> dict[str, str]:
    """The docstring below each field of a class that has one, in one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    if not isinstance(body, ast.ClassDef):
        raise TypeError(kind)
    found = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    return found


def _describe(kind: type, schema: dict[str, Any]) -> None:
    """Put docstrings into the schema of a class; titles and defaults, which say nothing of what is written, go."""
    docs = field_docs(kind)
    schema["description"] = " ".join((kind.__doc__ or "").split())
    for name, field in schema["properties"].items():
        field["description"] = docs[name]
        field.pop("title", None)
        field.pop("default", None)
    schema["required"] = list(schema["properties"])


def _table(schema: dict[str, Any]) -> Iterator[str]:
    yield schema["description"] + "\n"
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_type_of(field)} | {field['description'].replace('|', chr(92) + '|')} |"
    yield ""


def _type_of(field: dict[str, Any]) -> str:
    """The type of a field in words, as its schema has it."""
    match field:
        case {"$ref": path}:
            name = path.rpartition("/")[2]
            told = f"[{name}](#{name.lower()})"
        case {"anyOf": options}:
            told = " or ".join(dict.fromkeys(map(_type_of, options)))
        case {"const": value}:
            told = f"`{json.dumps(value)}`"
        case {"enum": values}:
            told = " or ".join(f"`{json.dumps(value)}`" for value in values)
        case {"format": "date-time"}:
            told = "time"
        case {"type": "array", "items": item}:
            told = f"list of {_type_of(item)}"
        case {"type": "object", "additionalProperties": dict(values)} if values:
            inner = _type_of(values)
            told = f"name to ({inner})" if " or " in inner else f"name to {inner}"
        case {"type": kind}:
            told = _NAMES[kind]
        case _:
            told = "any"
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=1) + "\n" if "--schema" in sys.argv else page())
