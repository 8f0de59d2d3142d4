from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchscore.errors import RefusedError, StoppedError
from batchscore.observer import Observer
from batchscore.settings.train import TrainSettings
from batchscore.training.metrics import Epoch
from batchscore.training.training_report import Journal

SETTINGS = TrainSettings(input=Path("/data/in.csv"), output=Path("/models/m"), layers=(8,))


def test_an_error_takes_the_report_along_as_far_as_it_got():
    def fail():
        with Journal(SETTINGS, Observer()) as journal:
            with journal.stage("read"):
                journal.note(training_rows=3)
            with journal.stage("train"):
                raise RefusedError("E-MODEL-QUALITY", "no", next_step="none")

    with pytest.raises(RefusedError) as caught:
        fail()
    report = json.loads(caught.value.report.to_json())
    assert (report["status"], report["exit_code"], report["error_id"]) == ("failed", 6, "E-MODEL-QUALITY")
    assert (report["training_rows"], report["held_out_rows"]) == (3, None)
    assert list(report["seconds"]) == ["read", "train"]


def test_a_stop_is_reported_too():
    with pytest.raises(StoppedError) as caught, Journal(SETTINGS, Observer()):
        raise StoppedError(15)
    assert (caught.value.report.exit_code, caught.value.report.error_id) == (143, "E-STOPPED")


def test_the_card_gets_facts_but_neither_paths_nor_times():
    journal = Journal(SETTINGS, Observer())
    figures = {"rating": {"RMSE": 3.0}}
    journal.note(users=2, epochs=[Epoch(1, 0.5, figures)], live={"version": 3}, resumed_epochs=1)
    facts = json.loads(json.dumps(journal.for_card()))
    assert facts["settings"]["layers"] == [8]
    assert {"input", "output", "max_regression", "keep_versions"}.isdisjoint(facts["settings"])
    assert facts["epochs"] == [{"epoch": 1, "loss": 0.5, "training": figures, "validation": None, "held_out": None}]
    assert set(facts) == {"settings", "users", "epochs"}


def test_only_a_published_model_has_a_summary():
    with pytest.raises(ValueError, match="no model was published"):
        Journal(SETTINGS, Observer()).report().summary()
