"""A signal around the commit point: before it the run stops and nothing changes, from it on the run finishes."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from batchscore.publishing.previous import PreviousOutputs
from batchscore.publishing.publish import Claim

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def heeded_signals():
    """Whoever runs the tests may ignore these, as nohup does."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def signal_self(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_right_before_the_commit_point_the_run_stops(workplace, monkeypatch, number):
    workplace.output.write_bytes(b"last night's")

    def prepare(self: PreviousOutputs, *arguments) -> None:
        prepared(self, *arguments)
        signal_self(number)

    prepared = PreviousOutputs.prepare
    monkeypatch.setattr(PreviousOutputs, "prepare", prepare)
    told = workplace.run()
    assert told.exit_code == 128 + number
    assert told.err.endswith(f"ERROR E-STOPPED: stopped by signal {int(number)}; nothing was published\n")
    assert workplace.output.read_bytes() == b"last night's"
    assert json.loads((workplace.state / "ranked.parquet.failed.json").read_text())["error_id"] == "E-STOPPED"
    assert not list(workplace.folder.rglob("*.tmp"))


def test_a_second_signal_does_not_disturb_the_cleaning_up(workplace, monkeypatch):
    workplace.output.write_bytes(b"last night's")

    def prepare(self: PreviousOutputs, *arguments) -> None:
        prepared(self, *arguments)
        signal_self(signal.SIGTERM)

    def record(self: Claim, report) -> None:
        signal_self(signal.SIGINT)
        recorded(self, report)

    prepared, recorded = PreviousOutputs.prepare, Claim.record
    monkeypatch.setattr(PreviousOutputs, "prepare", prepare)
    monkeypatch.setattr(Claim, "record", record)
    told = workplace.run()
    assert told.exit_code == 128 + signal.SIGTERM
    assert (workplace.state / "ranked.parquet.failed.json").is_file()
    assert not list(workplace.folder.rglob("*.tmp"))


@pytest.mark.parametrize("place", ["at the rename", "after the rename"])
def test_from_the_commit_point_on_the_run_finishes(workplace, monkeypatch, place):
    def replace(self: Path, target: Path) -> Path:
        if target == workplace.output and place == "at the rename":
            signal_self(signal.SIGTERM)
        result = replaced(self, target)
        if target == workplace.output and place == "after the rename":
            signal_self(signal.SIGTERM)
        return result

    replaced = Path.replace
    monkeypatch.setattr(Path, "replace", replace)
    told = workplace.run()
    assert (told.exit_code, told.troubles) == (0, "")
    assert workplace.output.is_file()
    assert json.loads((workplace.state / "ranked.parquet.report.json").read_text())["status"] == "published"


@pytest.mark.parametrize(
    ("place", "told_by"),
    [
        ("batchscore.scoring.scorer.Scorer.close", "report"),
        ("batchscore.cli.signals.Stop.end", "command"),
        ("batchscore.cli.jobs.print_out", "command"),
    ],
)
def test_what_fails_after_the_commit_point_is_a_warning(workplace, monkeypatch, place, told_by):
    def fail(*_):
        raise RuntimeError("too late to matter")

    monkeypatch.setattr(place, fail)
    told = workplace.run("--json")
    words = "published; what came after that failed: RuntimeError: too late to matter"
    assert (told.exit_code, words in told.troubles) == (0, True), told.err
    assert workplace.output.is_file()
    report = json.loads((workplace.state / "ranked.parquet.report.json").read_text())
    assert (report["status"], report["exit_code"]) == ("published", 0)
    assert (words in report["warnings"]) == (told_by == "report")
    assert not (workplace.state / "ranked.parquet.failed.json").exists()


def test_the_same_run_twice_gives_the_same_bytes(workplace):
    assert workplace.run().exit_code == 0
    first = workplace.output.read_bytes()
    assert workplace.run("--threads", "1").exit_code == 0
    assert workplace.output.read_bytes() == first
    assert not (workplace.state / "ranked.parquet.previous-1").exists(), "nothing else was published before"
