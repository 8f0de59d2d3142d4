"""The page is drawn in a process of its own, so that nothing that happens there ends a training."""

from __future__ import annotations

import dataclasses
import logging
import math
import sys

import pytest

from batchscore.evaluation.bootstrap import Measure
from batchscore.evaluation.comparison_table import ComparisonTable
from batchscore.evaluation.prediction_metrics import CalibrationBin
from batchscore.reports import page_process
from batchscore.reports.page_process import render_apart
from batchscore.reports.training_page import TrainingPage, render_page, write_page

SMALL = TrainingPage("Small")


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    """What the process's interpreter is taken to be: a script of the test."""

    def be(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return be


def make_page():
    table = ComparisonTable()
    table.add("model é", {"RMSE": Measure(0.8123, 0.8, 0.83), "NDCG@10": Measure(None)})
    return TrainingPage(
        title="Model 42 & <others> \u2028",
        facts=[("training rows", "80,669"), ("layers", (256, 64)), ("none", None)],
        comparison=table,
        notes=["intervals are over users"],
        epochs=[{"epoch": 1, "training loss": math.nan}, {"epoch": 2, "training loss": 0.1 + 0.2}],
        calibration=[CalibrationBin(10, 0.2, 0.25), CalibrationBin(10, 0.6, 0.5)],
        settings=[("refit", True)],
    )


def test_a_page_comes_back_from_its_json_as_it_was():
    page = make_page()
    again = TrainingPage.from_json(page.to_json())
    assert render_page(again) == render_page(page)
    assert again.comparison == page.comparison
    assert {field.name for field in dataclasses.fields(TrainingPage) if not getattr(again, field.name)} == {
        "summary"
    }


@pytest.mark.process
def test_drawn_apart_it_has_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "altair.py").write_text("raise SystemExit('what lies in the working directory is not imported')")
    page = make_page()
    assert write_page(page, tmp_path / "report.html", render_apart) is None
    assert (tmp_path / "report.html").read_bytes() == render_page(page).encode()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo first >&2; echo 'ValueError: last words' >&2; exit 3", "exit code 3: ValueError: last words"),
        ("kill -KILL $$", "ended by SIGKILL (memory may have run out): no message"),
        (
            r"printf '\n#\n# Out of memory.\n#\n/lib/c.so(+0x1)\n' >&2; kill -TRAP $$",
            "ended by SIGTRAP: Out of memory.",
        ),
    ],
)
def test_whatever_happens_to_the_process_is_a_warning(tmp_path, interpreter, caplog, script, told):
    interpreter(script)
    with caplog.at_level(logging.WARNING, "batchscore"):
        warning = write_page(SMALL, tmp_path / "report.html", render_apart)
    assert warning == f"no HTML report: ChildProcessError: the process that draws it: {told}"
    assert caplog.messages == [warning]
    assert not (tmp_path / "report.html").exists()


def test_a_process_that_takes_too_long_is_a_warning(tmp_path, interpreter, monkeypatch):
    monkeypatch.setattr(page_process, "_SECONDS", 0.1)
    interpreter("exec sleep 60")
    warning = write_page(SMALL, tmp_path / "report.html", render_apart)
    assert warning == "no HTML report: ChildProcessError: the process that draws it: it took more than 0.1 s"


def test_a_process_that_cannot_be_started_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    warning = write_page(SMALL, tmp_path / "report.html", render_apart)
    assert warning.startswith("no HTML report: FileNotFoundError: ")
