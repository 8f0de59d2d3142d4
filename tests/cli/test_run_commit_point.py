"""A signal around the commit point: before it the run stops and nothing changes, from it on the run finishes."""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import io
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from batchscore.publishing.previous import PreviousOutputs
from batchscore.publishing.publish import Claim
from batchscore.run_report import Report

STOPPED_NEXT = "  next:     run it again; if a time limit of the scheduler stopped it, raise that\n"

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
def test_right_before_the_commit_point_the_run_stops(workplace, monkeypatch, number, lists_of_a_loop):
    workplace.output.write_bytes(lists_of_a_loop)

    def prepare(self: PreviousOutputs, *arguments) -> None:
        prepared(self, *arguments)
        signal_self(number)

    prepared = PreviousOutputs.prepare
    monkeypatch.setattr(PreviousOutputs, "prepare", prepare)
    told = workplace.run()
    assert told.exit_code == 128 + number
    assert told.err.endswith(
        f"ERROR E-STOPPED: stopped by signal {int(number)}; nothing was published\n{STOPPED_NEXT}"
    )
    assert workplace.output.read_bytes() == lists_of_a_loop
    assert json.loads((workplace.state / "ranked.parquet.failed.json").read_text())["error_id"] == "E-STOPPED"
    assert not list(workplace.folder.rglob("*.tmp"))


def test_a_second_signal_does_not_disturb_the_cleaning_up(workplace, monkeypatch, lists_of_a_loop):
    workplace.output.write_bytes(lists_of_a_loop)

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


@pytest.mark.parametrize("place", ["batchscore.cli.signals.Stop.end", "batchscore.cli.jobs.print_out"])
def test_what_fails_in_the_command_after_the_commit_point_is_a_warning(workplace, monkeypatch, place):
    def fail(*_):
        raise RuntimeError("too late to matter")

    monkeypatch.setattr(place, fail)
    told = workplace.run("--json")
    words = "published, but a step after that failed: RuntimeError: too late to matter"
    assert (told.exit_code, words in told.troubles) == (0, True), told.err
    assert workplace.output.is_file()
    report = json.loads((workplace.state / "ranked.parquet.report.json").read_text())
    assert (report["status"], report["exit_code"]) == ("published", 0)
    assert not (workplace.state / "ranked.parquet.failed.json").exists()


def test_all_that_was_opened_is_closed_before_anything_is_published(workplace, monkeypatch):
    def fail(*_):
        raise RuntimeError("early enough to matter")

    monkeypatch.setattr("batchscore.scoring.score.scorer.Scorer.close", fail)
    assert workplace.run().exit_code == 1
    assert not workplace.output.exists()
    assert (workplace.state / "ranked.parquet.failed.json").exists()


AFTER = {
    "open": (os, "open"),
    "file": (io, "open"),
    "fsync": (os, "fsync"),
    "unlink": (os, "unlink"),
    "rename": (os, "replace"),
    "close": (os, "close"),
    "rmdir": (os, "rmdir"),
    "list": (os, "listdir"),
    "link": (os, "link"),
    "report": (Report, "to_json"),
    "end of the report": (Report, "end"),
    "kept outputs": (PreviousOutputs, "finish"),
    "metadata": (importlib.metadata, "version"),
}
"""What a command may call after its commit point."""


def break_after_commit(monkeypatch, output: Path, place: str) -> None:
    """From the rename onto `output` on, every such call fails as a dying disk or a bug would make it."""
    replaced = Path.replace

    def failing(*arguments, **_named):
        if place == "close":
            close(*arguments)  # as the system does: the descriptor is gone, whatever it answers
        raise OSError(errno.EIO, "Input/output error")

    close = os.close

    def replace(self: Path, target: Path) -> Path:
        result = replaced(self, target)
        if target == output:
            monkeypatch.setattr(*AFTER[place], failing)
        return result

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("place", AFTER)
def test_whatever_fails_after_the_commit_point_the_run_has_succeeded(workplace, monkeypatch, place):
    assert workplace.run("--top-n", "1").exit_code == 0
    before = workplace.output.read_bytes()
    workplace.write_pairs(user_id=["u1", None, "u2"])
    with monkeypatch.context() as broken:
        break_after_commit(broken, workplace.output, place)
        told = workplace.run("--max-bad-rows", "1", "--max-user-drop", "off", "--max-pair-drop", "off", "--json")
    assert told.exit_code == 0, told.err
    assert "ERROR" not in told.err
    assert "Traceback" not in told.err
    assert workplace.output.read_bytes() != before
    workplace.write_pairs()
    assert workplace.run("--max-user-drop", "off", "--max-pair-drop", "off", "--keep-previous", "2").exit_code == 0
    assert before in [path.read_bytes() for path in workplace.state.glob("*.previous-[12]")]
    assert not list(workplace.folder.rglob("*.tmp"))
    assert not list(workplace.state.glob("*previous-0*"))


@pytest.mark.parametrize("place", AFTER)
def test_whatever_fails_after_the_commit_point_a_rollback_has_succeeded(workplace, monkeypatch, place):
    assert workplace.run("--top-n", "1").exit_code == 0
    before = workplace.output.read_bytes()
    assert workplace.run().exit_code == 0
    with monkeypatch.context() as broken:
        break_after_commit(broken, workplace.output, place)
        told = workplace.command("rollback", workplace.output, "--json")
    assert told.exit_code == 0, told.err
    assert "ERROR" not in told.err
    assert workplace.output.read_bytes() == before
    assert workplace.run().exit_code == 0
    assert not list(workplace.folder.rglob("*.tmp"))


def test_a_rename_whose_answer_was_lost_has_happened(workplace, monkeypatch):
    def replace(self: Path, target: Path) -> Path:
        replaced(self, target)
        if target == workplace.output:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return target

    replaced = Path.replace
    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", replace)
        assert workplace.run().exit_code == 0
    report = json.loads((workplace.state / "ranked.parquet.report.json").read_text())
    assert report["output"]["sha256"] == hashlib.sha256(workplace.output.read_bytes()).hexdigest()


def test_a_standard_output_that_is_closed_is_no_failure(workplace, monkeypatch):
    def closed(_text: str) -> int:
        raise ValueError("I/O operation on closed file")

    with monkeypatch.context() as broken:
        broken.setattr(sys.stdout, "write", closed)
        told = workplace.run("--json")
    assert told.exit_code == 0
    assert "WARNING the result could not be written to standard output: I/O operation on closed file" in told.err


def test_the_same_run_twice_gives_the_same_bytes(workplace):
    assert workplace.run().exit_code == 0
    first = workplace.output.read_bytes()
    assert workplace.run("--threads", "1").exit_code == 0
    assert workplace.output.read_bytes() == first
    assert not (workplace.state / "ranked.parquet.previous-1").exists(), "nothing else was published before"
