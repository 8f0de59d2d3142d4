"""The report: what it says of a success and of a failure, as JSON and in one line."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import suppress

import pytest

from batchscore import run_report as report_module
from batchscore.errors import RefusedError, StoppedError
from batchscore.report_parts import KnownIds, ModelUsed
from batchscore.run_report import Clock, Report
from batchscore.settings.run import RunSettings


@pytest.fixture
def report():
    return Report.begin(RunSettings(input="pairs.parquet", output="ranked.parquet"))


def model_used(**changes):
    fields = {"path": "/models/ranking/42", "version": 42, "fingerprint": "0" * 64, "chosen": "c", "signature": "s",
              "signature_chosen": "c", "score_output": "o", "score_output_chosen": "c"}  # fmt: skip
    return ModelUsed(**(fields | changes))


def test_a_run_that_has_not_ended_counts_as_failed(report):
    assert (report.status, report.exit_code, report.finished_at) == ("running", 1, None)
    assert report.started_at.tzinfo is dt.UTC
    assert report.run_id.startswith(f"{report.started_at:%Y%m%dT%H%M%SZ}-")


def test_success(report):
    report.pairs_scored = 10
    report.end()
    assert (report.status, report.exit_code, report.error_id, report.error) == ("published", 0, None, None)
    assert report.finished_at >= report.started_at
    assert report.seconds["total"] > 0
    assert report.pairs_per_second > 0
    assert report.peak_bytes > 10_000_000


@pytest.mark.parametrize(
    ("error", "exit_code", "error_id", "text"),
    [
        (RefusedError("E-UNKNOWN-USERS", "too many", next_step="n"), 6, "E-UNKNOWN-USERS", "too many"),
        (StoppedError(15), 143, "E-STOPPED", "signal 15"),
        (ZeroDivisionError("division by zero"), 1, "E-BUG", "division by zero"),
        (ZeroDivisionError(), 1, "E-BUG", "ZeroDivisionError"),
        (KeyboardInterrupt(), 130, "E-STOPPED", "KeyboardInterrupt"),
    ],
)
def test_failure(report, error, exit_code, error_id, text):
    report.end(error)
    assert (report.status, report.exit_code, report.error_id) == ("failed", exit_code, error_id)
    assert text in report.error
    assert report.summary().startswith(f"failed ({error_id}, exit {exit_code}) after ")


def test_json_comes_back_as_the_same_report_and_refuses_what_it_does_not_know(report):
    report.model = model_used()
    report.known_users = KnownIds(known=1, unknown=2)
    report.scores.mean = float("nan")
    report.end()
    text = report.to_json()
    assert text.endswith("}\n")
    assert "NaN" not in text
    report.scores.mean = None
    assert Report.model_validate_json(text) == report
    with pytest.raises(ValueError, match="extra"):
        Report.model_validate(json.loads(text) | {"new": 1})
    with pytest.raises(ValueError, match="schema_version"):
        Report.model_validate(json.loads(text) | {"schema_version": 2})


def test_settings_in_the_report_are_plain_json(report):
    settings = json.loads(report.to_json())["settings"]
    assert settings["input"] == "pairs.parquet"
    assert settings["max_unknown_users"] == "50%"


def test_summary_of_a_success(report):
    report.model = model_used()
    report.users, report.users_none, report.rows_written = 8_003_115, 1, 79_900_000
    report.known_users, report.known_candidates = KnownIds(known=979, unknown=21), KnownIds(reason="no look-up")
    report.previous = {"users": 1, "users_change": 0.001}
    report.bad_rows = {"null id": 1200, "overflows float32": 34}
    report.warnings = ["w"]
    report.end()
    report.seconds["total"] = 660.4
    assert report.summary() == (
        "published 8,003,114 of 8,003,115 users, 79.9 M rows (users +0.1 %), model 42, 1,234 bad rows left out, "
        "unknown users 2.1 % candidates not counted, plan off, 11 min, 1 warning"
    )


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "model 42"),
        ({"version": None, "path": "/m/ranking"}, "model ranking"),
        ({"version": 0, "path": "/m/0"}, "model 0"),
    ],
)
def test_summary_calls_the_model_as_messages_do(report, changes, label):
    report.model = model_used(**changes)
    report.end()
    assert f", {label}, " in report.summary()


def test_unknown_share_is_of_the_distinct_ids():
    assert KnownIds(known=3, unknown=1).unknown_share == 0.25
    assert KnownIds(known=0, unknown=0).unknown_share is None
    assert KnownIds(reason="no look-up").unknown_share is None


def test_a_clock_that_is_set_back_makes_no_run_take_no_time(report):
    report.started_at += dt.timedelta(hours=1)
    report.pairs_scored = 10
    report.end()
    assert 0 < report.seconds["total"] < 600
    assert report.pairs_per_second < 10 / 1e-6


class Ticks:
    """A clock that a test winds."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(report_module.time, "perf_counter", lambda: self.now)


def test_stages_are_charged_only_for_their_own_time(monkeypatch):
    ticks, seconds = Ticks(monkeypatch), {}
    clock = Clock(seconds)
    ticks.now = 1
    with clock.stage("outer"):
        ticks.now = 3
        with clock.stage("inner"):
            ticks.now = 7
        ticks.now = 8
    ticks.now = 20
    assert seconds == {"outer": 3, "inner": 4}


def test_a_stage_that_fails_is_charged_too(monkeypatch):
    ticks, seconds = Ticks(monkeypatch), {}
    clock = Clock(seconds)
    with suppress(ZeroDivisionError), clock.stage("outer"), clock.stage("inner"):
        ticks.now = 5
        raise ZeroDivisionError
    with clock.stage("next"):
        ticks.now = 6
    assert seconds == {"outer": 0, "inner": 5, "next": 1}


def test_chained_generators_are_charged_each_for_itself(monkeypatch):
    ticks, seconds = Ticks(monkeypatch), {}
    clock = Clock(seconds)

    def read():
        for number in range(3):
            ticks.now += 10
            yield number

    def score(items):
        for item in items:
            ticks.now += 100
            yield item * 2

    found = []
    for item in clock.each("score", score(clock.each("read", read()))):
        with clock.stage("rank"):
            ticks.now += 1
            found.append(item)
    assert found == [0, 2, 4]
    assert seconds == {"read": 30, "score": 300, "rank": 3}
