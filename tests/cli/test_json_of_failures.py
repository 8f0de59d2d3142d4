"""`--json` prints the report of a failure too: JSON on stdout, the message on stderr, the same exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import pyarrow as pa
import pytest


def failed(told, exit_code, error_id):
    assert told.exit_code == exit_code
    assert told.err.startswith(f"ERROR {error_id}")
    report = json.loads(told.out)
    assert (report["exit_code"], report["error_id"], report["status"]) == (exit_code, error_id, "failed")
    return report


@pytest.mark.tensorflow
def test_a_run_that_began_prints_its_whole_report(workplace):
    workplace.write_pairs(value=pa.array([1, None, 3], pa.float32()))
    report = failed(workplace.run("--json", "--quiet"), 3, "E-BAD-ROWS")
    assert report == json.loads((workplace.state / "ranked.parquet.failed.json").read_text().replace(
        str(workplace.folder), "<folder>").replace(str(workplace.echo), "<echo>"))  # fmt: skip
    assert report["bad_rows"] == {"null feature": 1}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--top-n", "0", "--json"], (2, "E-CONFIG")),
        (["run", "--topn", "3", "--json"], (2, "E-CONFIG")),
        (["train", "--json"], (2, "E-CONFIG")),
        (["adopt", "nothing", "--output", "model", "--json"], (4, "E-MODEL-MISSING")),
        (["inspect", "nothing", "--json"], (4, "E-MODEL-MISSING")),
        (["evaluate", "no.parquet", "no.csv", "--json"], (3, "E-RANKED-FILE")),
        (["diff", "no.parquet", "no.parquet", "--json"], (3, "E-RANKED-FILE")),
        (["golden", "none", "--json"], (2, "E-GOLDEN")),
        (["rollback", "ranked.parquet", "--json"], (2, "E-NO-PREVIOUS")),
    ],
)
def test_a_command_that_did_not_begin_prints_the_failure(batchscore, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    told = batchscore(*arguments)
    report = failed(told, *expected)
    assert report["command"] == arguments[0]
    assert report["error"] in told.err


def test_without_json_stdout_stays_empty(batchscore):
    assert batchscore("run", "--top-n", "0").out == ""


@pytest.mark.process
def test_python_runs_the_package_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "batchscore", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("batchscore, version")
