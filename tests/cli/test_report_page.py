"""docs/report.md and report.schema.json are made of the classes that the reports are written from, and fit them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from batchscore.cli.report_page import DRAFT, REPORTS, field_docs, json_schema, page
from batchscore.golden_cases.cases import read_case
from batchscore.golden_cases.outcome import run_pairs
from batchscore.run_report import Report

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "batchscore" / "docs"
SCHEMA = json_schema()
KINDS = [kind for report, (_, parts) in REPORTS.items() for kind in (report, *parts)]
MADE_ANEW = "python -m batchscore.cli.report_page"


def properties_of(kind):
    return (SCHEMA if kind is Report else SCHEMA["$defs"][kind.__name__])["properties"]


def test_the_page_is_what_the_classes_say():
    assert (DOCS / "report.md").read_text("utf-8") == page(), f"{MADE_ANEW} > batchscore/docs/report.md"


def test_the_schema_is_what_the_classes_say():
    found = json.loads((DOCS / "report.schema.json").read_text("utf-8"))
    assert found == SCHEMA, f"{MADE_ANEW} --schema > batchscore/docs/report.schema.json"


def test_it_is_a_valid_schema():
    assert SCHEMA["$schema"] == DRAFT
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_class_of_the_schema_stands_in_the_page():
    assert {kind.__name__ for kind in KINDS} == {"Report", *SCHEMA["$defs"]}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_has_a_description_that_says_when_it_is_null(kind):
    assert field_docs(kind).keys() >= properties_of(kind).keys()
    for name, field in properties_of(kind).items():
        if {"type": "null"} in field.get("anyOf", []):
            assert "null" in f"{field['description']} {kind.__doc__}".lower(), name
        assert "None" not in field["description"], name


GOLDEN = ROOT / "tests" / "golden"
CASES = ("trained_model", "duplicates_kept", "bad_rows_percent", "bad_rows_percent_refused", "column_missing",
         "unknown_users_refused", "equal_scores_of_a_constant", "nonfinite_all", "zero_rows")  # fmt: skip


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", CASES)
def test_the_report_of_a_golden_case_fits_the_schema_and_reads_back(name, tmp_path):
    case = read_case(GOLDEN / name)
    run_pairs(case.pairs, case.file.run, case.model, tmp_path, case.file.row_group_rows)
    (path,) = (tmp_path / "_batchscore").glob("*.json")
    jsonschema.validate(json.loads(path.read_text("utf-8")), SCHEMA)
    assert Report.model_validate_json(path.read_text("utf-8"), strict=True).to_json() == path.read_text("utf-8")
