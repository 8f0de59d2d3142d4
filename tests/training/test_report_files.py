from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from batchscore.errors import RefusedError
from batchscore.observer import Observer
from batchscore.publishing.model_base import hold_model_base
from batchscore.settings.train import TrainSettings
from batchscore.training import report_files
from batchscore.training.report_files import keep_reports
from batchscore.training.training_report import Journal

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


@pytest.mark.parametrize(
    ("live", "told"),
    [
        ({"version": None, "value": None, "reason": "no version is live"}, "none"),
        ({"version": 3, "value": None, "reason": "it has no card"}, "3, not compared: it has no card"),
        ({"version": 3, "value": 0.5, "reason": None}, "3: 0.5000 on the same rows"),
    ],
)
def test_the_page_says_what_stands_in_the_report_in_words(journal, live, told):
    journal.note(live=live, split={"how": "random", "held_out": 0.2, "seed": 42})
    page = report_files.make_page(journal.report(), "published")
    facts, settings = dict(page.facts), dict(page.settings)
    assert facts["live version"] == told
    assert facts["split"] == "how random, held_out 0.2, seed 42"
    assert (settings["layers"], settings["timestamp_column"], settings["refit"]) == ("256, 64", "-", "true")
    assert settings["model"].startswith("interaction concat, cross_layers 1, biases false")


def test_a_page_that_breaks_costs_no_published_model(tmp_path, journal, caplog, monkeypatch):
    def render_apart(_):
        raise ValueError("Vega-Lite to SVG conversion failed")

    monkeypatch.setattr(report_files, "render_apart", render_apart)
    monkeypatch.setattr(report_files, "find_spec", lambda _: True)
    with hold_model_base(tmp_path) as base, keep_reports(base, journal):
        pass
    assert (tmp_path / "_batchscore" / "1.report.json").exists()
    assert "Vega-Lite to SVG conversion failed" in caplog.text


def test_a_page_that_breaks_does_not_hide_why_the_training_failed(tmp_path, journal, monkeypatch):
    def render_apart(_):
        raise ValueError("Vega-Lite to SVG conversion failed")

    monkeypatch.setattr(report_files, "render_apart", render_apart)
    monkeypatch.setattr(report_files, "find_spec", lambda _: True)
    with pytest.raises(RefusedError), hold_model_base(tmp_path) as base, keep_reports(base, journal):
        raise RefusedError("E-MODEL-QUALITY", "no", next_step="none")


def test_each_call_after_the_publication_may_fail(tmp_path, journal, failpoints, monkeypatch):
    monkeypatch.setattr(report_files, "find_spec", lambda _: None)
    journal.note(removed_versions=[3])
    path = tmp_path / "model"

    def publish():
        shutil.rmtree(path, ignore_errors=True)
        with hold_model_base(path) as base, keep_reports(base, journal):
            base.publish()

    def verify():
        assert (path / "1").is_dir()
        left = (
            {entry.name for entry in (path / "_batchscore").glob("*")} if (path / "_batchscore").exists() else set()
        )
        assert left <= {"1.report.json"}

    failed = failpoints.fail_each_call_after(lambda target: target == path / "1", publish, verify)
    assert {call.partition("(")[0] for call in failed} >= {"mkdir", "open", "fsync", "replace", "unlink"}
