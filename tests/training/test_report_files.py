from __future__ import annotations

from pathlib import Path

import pytest

from batchscore.errors import RefusedError
from batchscore.observer import Observer
from batchscore.runtime.model_base import hold_model_base
from batchscore.train_settings import TrainSettings
from batchscore.training import report_files
from batchscore.training.report import Journal
from batchscore.training.report_files import keep_reports

SETTINGS = TrainSettings(input=Path("/data/in.csv"), output=Path("/models/m"))
JUDGED = {"metric": "RMSE", "value": 1.0, "baseline": "mean", "baseline_value": 2.0}


@pytest.fixture
def journal():
    journal = Journal(SETTINGS, Observer())
    rows = dict.fromkeys(("rows", "training_rows", "validation_rows", "held_out_rows", "users", "candidates"), 9)
    journal.note(**rows, judged=JUDGED, model_version=1)
    return journal


def test_a_place_for_reports_that_is_none_costs_no_published_model(tmp_path, journal, caplog):
    (tmp_path / "_batchscore").write_text("in the way")
    journal.note(removed_versions=[3])
    with hold_model_base(tmp_path) as base, keep_reports(base, journal):
        pass
    assert "the report of the training cannot be written" in caplog.text
    assert "reports of earlier trainings cannot be removed" in caplog.text


def test_a_page_that_breaks_costs_no_published_model(tmp_path, journal, caplog, monkeypatch):
    def render_page(_):
        raise ValueError("Vega-Lite to SVG conversion failed")

    monkeypatch.setattr("batchscore.evaluation.page.render_page", render_page)
    monkeypatch.setattr(report_files, "find_spec", lambda _: True)
    with hold_model_base(tmp_path) as base, keep_reports(base, journal):
        pass
    assert (tmp_path / "_batchscore" / "1.report.json").exists()
    assert "Vega-Lite to SVG conversion failed" in caplog.text


def test_a_page_that_breaks_does_not_hide_why_the_training_failed(tmp_path, journal, monkeypatch):
    def render_page(_):
        raise ValueError("Vega-Lite to SVG conversion failed")

    monkeypatch.setattr("batchscore.evaluation.page.render_page", render_page)
    monkeypatch.setattr(report_files, "find_spec", lambda _: True)
    with pytest.raises(RefusedError), hold_model_base(tmp_path) as base, keep_reports(base, journal):
        raise RefusedError("E-MODEL-QUALITY", "no", next_step="none")
