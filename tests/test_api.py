"""The Python API: the names of the flags, the report back, typed failures, and nothing else touched."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from inspect import Parameter, signature
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchscore
from batchscore.errors import (
    BatchscoreError,
    InputError,
    ModelError,
    OutOfMemoryError,
    RefusedError,
    TryLaterError,
    UsageError,
)
from batchscore.publishing.claim import claim
from batchscore.publishing.job import Job
from batchscore.publishing.publish import Claim
from batchscore.run_report import Report
from batchscore.scoring import run as run_module
from batchscore.scoring.bind.rejects import Rejects
from batchscore.scoring.score import model as model_module
from batchscore.scoring.source import reader
from batchscore.settings.adopt import AdoptSettings
from batchscore.settings.golden import GoldenSettings
from batchscore.settings.inspect import InspectSettings
from batchscore.settings.lists import DiffSettings, EvaluateSettings
from batchscore.settings.paths import DatedPath
from batchscore.settings.rollback import RollbackSettings
from batchscore.settings.run import RunSettings
from batchscore.settings.train import TrainSettings


@pytest.fixture
def job(tmp_path, echo):
    """Settings of a run that works, over pairs that a test may replace."""
    write(tmp_path / "pairs.parquet", [("u1", "a", 1.0), ("u1", "b", 2.0), ("u2", "c", 0.5)])
    return {"input": tmp_path / "pairs.parquet", "output": tmp_path / "out" / "ranked.parquet", "model": echo}


@pytest.fixture(autouse=True)
def output_folder(tmp_path):
    (tmp_path / "out").mkdir()


def write(path, rows):
    columns = [list(column) for column in zip(*rows, strict=True)]
    types = [pa.string(), pa.string(), pa.float32()]
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    pq.write_table(pa.table(arrays, ["user_id", "item_id", "value"]), path)


def ranked(job):
    return [tuple(row.values()) for row in pq.read_table(job["output"]).to_pylist()]


def state(job):
    return job["output"].parent / "_batchscore"


pytestmark = pytest.mark.tensorflow


def test_run_returns_the_report_and_writes_the_same_one(job):
    report = batchscore.run(**job, top_n=1)
    assert isinstance(report, Report)
    assert (report.status, report.exit_code) == ("published", 0)
    assert ranked(job) == [("u1", "b", 2.0, 1), ("u2", "c", 0.5, 1)]
    assert Report.model_validate_json((state(job) / "ranked.parquet.report.json").read_bytes()) == report
    assert (report.rows_read, report.pairs_scored, report.rows_written, report.users) == (3, 3, 2, 2)
    assert (report.model.version, report.model.chosen) == (1, "highest complete version")
    assert [(item.input, item.column, item.filled) for item in report.bindings] == [
        ("item_id", "item_id", 0), ("user_id", "user_id", 0), ("value", "value", 0),
    ]  # fmt: skip
    assert set(report.seconds) == {
        "prepare",
        "load",
        "read",
        "check",
        "figures",
        "guard",
        "score",
        "rank",
        "publish",
        "total",
    }
    assert sum(report.seconds.values()) - report.seconds["total"] <= report.seconds["total"] + 1e-3


def test_settings_are_plain_values_with_the_names_of_the_flags(job, tmp_path):
    batchscore.run(
        input=str(job["input"]), output=str(tmp_path / "out" / "ranked-{date}.parquet"), model=str(job["model"]),
        top_n="1", keep=["value"], max_bad_rows=0, max_unknown_users="off", date="2024-02-29",
    )  # fmt: skip
    assert pq.read_table(tmp_path / "out" / "ranked-2024-02-29.parquet").schema.names[-1] == "value"


def test_a_configuration_file_is_read_as_the_command_reads_it(job, tmp_path):
    (tmp_path / "job.toml").write_text(
        f'[run]\ninput = "pairs.parquet"\noutput = "out/ranked.parquet"\nmodel = "{job["model"]}"\n'
    )
    for config in (tmp_path / "job.toml", str(tmp_path / "job.toml")):
        assert batchscore.run(config=config, top_n=2).rows_written == 3
    assert ranked(job)[0] == ("u1", "b", 2.0, 1)


def test_a_column_wins_over_the_cards_constant_and_the_report_says_so(job, echo, tmp_path):
    model = shutil.copytree(echo / "1", tmp_path / "constant")
    card = model / "assets.extra" / "batchscore.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"set": {"value": "5"}}))
    report = batchscore.run(**job | {"model": model}, top_n=1)
    assert ranked(job)[0] == ("u1", "b", 2.0, 1)
    (value,) = [item for item in report.bindings if item.input == "value"]
    assert (value.column, value.hidden) == ("value", ["the card's constant 5"])
    assert "input value <- column value; the card's constant 5 is not used" in report.warnings
    report = batchscore.run(
        **job | {"model": model}, set={"value": "{date}"}, date="1970-01-02", allow_equal_scores=True
    )
    (value,) = [item for item in report.bindings if item.input == "value"]
    assert (value.constant, value.hidden) == ("86400.0", ["the pairs' column value", "the card's constant 5"])
    assert {row[2] for row in ranked(job)} == {86400.0}


# failures


def failure(kind, job, **changes):
    with pytest.raises(kind) as caught:
        batchscore.run(**(job | changes))
    return caught.value


@pytest.mark.parametrize(
    ("kind", "exit_code", "error_id", "changes"),
    [
        (UsageError, 2, "E-BINDING", {"user_column": "none"}),
        (UsageError, 2, "E-KEEP", {"keep": ["none"]}),
        (ModelError, 4, "E-MODEL-MISSING", {"model": "/none"}),
        (TryLaterError, 75, "E-INPUT-MISSING", {"input": "/none/pairs.parquet"}),
    ],
)
def test_failures_are_typed_and_carry_the_report(job, kind, exit_code, error_id, changes):
    error = failure(kind, job, **changes)
    assert isinstance(error, BatchscoreError)
    assert (error.exit_code, error.error_id) == (exit_code, error_id)
    assert (error.report.status, error.report.exit_code, error.report.error_id) == ("failed", exit_code, error_id)
    assert error.report.error == str(error)
    assert Report.model_validate_json((state(job) / "ranked.parquet.failed.json").read_bytes()) == error.report
    assert not job["output"].exists()


def test_failures_before_the_run_began_have_no_report(job):
    assert failure(UsageError, job, top_n=0).report is None
    with claim(Job(DatedPath(job["output"])), job["input"]):
        error = failure(TryLaterError, job)
    assert (error.error_id, error.report) == ("E-LOCKED", None)


@pytest.mark.parametrize("name", ["tpo_n", "inputs"])
def test_a_setting_that_does_not_exist_is_no_argument(job, name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        batchscore.run(**job, **{name: 3})


def test_a_frame_is_told_in_words(job):
    frames = [pl.DataFrame({"user_id": ["u1"]}), pa.table({"user_id": ["u1"]})]
    for frame, kind in zip(frames, ("polars DataFrame", "pyarrow Table"), strict=True):
        message = str(failure(UsageError, job, input=frame))
        assert f"input: a {kind} is not a path; write it to a Parquet file and give its path" in message
    message = str(failure(UsageError, job, input=["a.parquet", "b.parquet"]))
    assert "input: a list is not a path; give the path of a file or a folder" in message


# the arguments are the settings

KINDS = {
    "run": RunSettings, "train": TrainSettings, "adopt": AdoptSettings, "evaluate": EvaluateSettings,
    "diff": DiffSettings, "inspect": InspectSettings, "golden": GoldenSettings, "rollback": RollbackSettings,
}  # fmt: skip

WITHOUT_FILE = {"diff": ["old", "new"], "inspect": ["model"], "golden": ["directory"], "rollback": ["output"]}
"""Functions that no TOML file may configure, and the arguments that they need."""


@pytest.mark.parametrize("name", KINDS)
def test_a_function_has_an_argument_for_each_setting(name):
    arguments = signature(getattr(batchscore, name)).parameters
    shared = [] if name in WITHOUT_FILE else ["config", "date"]
    settings = {*KINDS[name].model_fields, *shared}
    assert {*arguments} == settings
    needed = WITHOUT_FILE.get(name, [])
    assert [argument.name for argument in arguments.values() if argument.default is Parameter.empty] == needed
    defaults = {argument.default for argument in arguments.values()} - {Parameter.empty}
    assert defaults == {None}, "None: as the file or the default says"
    by_place = [argument for argument in arguments.values() if argument.kind is not Parameter.KEYWORD_ONLY]
    assert {argument.name for argument in by_place} <= {"directory", "model", "output"} & {*settings}
    assert not by_place or name in ("inspect", "golden", "rollback")


@pytest.mark.parametrize("name", KINDS)
def test_an_argument_has_the_type_of_its_setting(name):
    hints = get_type_hints(getattr(batchscore, name), vars(batchscore) | vars(report_types()))
    for setting, field in KINDS[name].model_fields.items():
        accepted, given = set(get_args(hints[setting])) - {type(None)}, str(field.annotation)
        if "Literal" in given:
            (choice,) = (kind for kind in accepted if get_origin(kind) is Literal)
            assert all(repr(value) in given for value in get_args(choice))
        elif "Path" in given:
            assert str in accepted
        elif "Limit" in given:
            assert accepted == {str, int}
        elif field.annotation in (bool, int, float):
            assert accepted == {field.annotation}


def report_types():
    """The names of the reports, which `import batchscore` does not load."""
    names = "AdoptionReport Difference Evaluation GoldenReport Report Inspection TrainingReport"
    return SimpleNamespace(**dict.fromkeys(names.split(), Any))


@pytest.mark.process
def test_modules_are_there_at_once_and_loaded_when_they_are_asked_for():
    code = (
        "import sys, batchscore; assert 'batchscore.errors' not in sys.modules; batchscore.errors.UsageError;"
        "batchscore.networks; assert 'numpy' not in sys.modules; assert not hasattr(batchscore, 'none')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_factorys_module_is_there_at_once(tf):
    del tf
    assert batchscore.networks.factory.ModelContext


def test_a_refusal_keeps_the_old_output_and_tells_rejects_and_counts(job):
    batchscore.run(**job)
    before = job["output"].read_bytes()
    write(job["input"], [("u1", "a", 1.0), (None, "b", 2.0), ("nobody", "a", 0.5)])
    error = failure(InputError, job)
    assert error.error_id == "E-BAD-ROWS"
    assert job["output"].read_bytes() == before
    assert error.report.bad_rows == {"null id": 1}
    assert error.report.rows_read == 3
    rejects = state(job) / "ranked.parquet.failed.rejects.jsonl"
    assert error.report.rejects == str(rejects)
    assert json.loads(rejects.read_text())["row"] == 1
    assert failure(RefusedError, job, max_bad_rows=1, max_unknown_users=0).error_id == "E-UNKNOWN-USERS"
    report = batchscore.run(**job, max_bad_rows=1, max_pair_drop="off")
    assert (report.known_users.known, report.known_users.unknown) == (1, 1)
    assert report.previous["users"] == 2
    assert not rejects.exists()
    assert (state(job) / "ranked.parquet.rejects.jsonl").exists()
    assert not (state(job) / "ranked.parquet.failed.json").exists()


def test_users_without_a_ranked_pair_are_counted(job):
    write(job["input"], [("u1", "a", float("nan")), ("u2", "a", 1.0), ("u3", None, 1.0), ("u2", "b", float("inf"))])
    report = batchscore.run(**job, max_bad_rows="off")
    assert ranked(job) == [("u2", "a", 1.0, 1)]
    assert (report.users, report.users_none, report.users_short) == (3, 2, 1)
    assert report.bad_rows == {"null id": 1, "NaN or infinite": 2}


def test_a_bug_is_no_batchscore_error_but_is_recorded(job, monkeypatch):
    monkeypatch.setattr(run_module, "open_pairs", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        batchscore.run(**job)
    assert (caught.value.report.error_id, caught.value.report.exit_code) == ("E-BUG", 1)


def test_memory_running_out_has_its_own_error(job, monkeypatch):
    def no_memory(*_args, **_kwargs):
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr(run_module, "open_pairs", no_memory)
    error = failure(OutOfMemoryError, job)
    assert (error.exit_code, error.error_id, error.report.exit_code) == (7, "E-MEMORY", 7)


def test_what_is_told_of_a_failure_cannot_hide_it(job, monkeypatch):
    """The report asks the model for known ids; a model that is broken by then must not replace the first error."""
    real = model_module.open_session

    def breaking(path, *, threads):
        session = real(path, threads=threads)
        run = session.run

        def broken_after_the_probes(signature, feeds, outputs):
            if signature.name == "known":
                raise ModelError("E-MODEL-RUN", "the look-up is broken", next_step="n")
            return run(signature, feeds, outputs)

        session.run = broken_after_the_probes
        return session

    monkeypatch.setattr(model_module, "open_session", breaking)
    monkeypatch.setattr(reader, "BATCH_ROWS", 1)
    write(job["input"], [("u1", "a", 1.0), (None, "b", 2.0)])
    error = failure(InputError, job)
    assert error.error_id == "E-BAD-ROWS"
    assert "the look-up is broken" in error.report.known_users.reason
    unknown = {guard.name: guard.figure for guard in error.report.guards if guard.name.startswith("max_unknown")}
    assert unknown == {"max_unknown_users": None, "max_unknown_candidates": None}
    assert (state(job) / "ranked.parquet.failed.rejects.jsonl").exists()


def test_nothing_after_the_commit_can_turn_a_publication_into_a_failure(job, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    write(job["input"], [("u1", "a", 1.0), (None, "b", 2.0)])
    monkeypatch.setattr(Rejects, "write", fail)
    report = batchscore.run(**job, max_bad_rows=1)
    assert report.status == "published"
    assert any("rejects" in warning and "could not be written" in warning for warning in report.warnings)


def test_a_model_whose_scores_have_changed_is_refused_and_an_older_one_named(job, echo, tmp_path):
    base = tmp_path / "models"
    for version in (41, 42):
        shutil.copytree(echo / "1", base / str(version))
    card = base / "42" / "assets.extra" / "batchscore.json"
    document = json.loads(card.read_text())
    document["probes"]["scores"][0] = 0.375
    card.write_text(json.dumps(document))
    error = failure(ModelError, job, model=base)
    assert (error.error_id, error.exit_code) == ("E-MODEL-PROBES", 4)
    assert "probe row 0 differs by 0.25" in str(error)
    assert "--model-version 41, whose probes pass" in str(error)
    assert batchscore.run(**(job | {"model": base}), model_version=41).model.version == 41


def test_no_model_given_is_the_one_beside_the_input_with_a_warning(job, echo, tmp_path, monkeypatch):
    monkeypatch.delenv("BATCHSCORE_MODEL", raising=False)
    (tmp_path / "model").symlink_to(echo)
    del job["model"]
    report = batchscore.run(**job)
    assert report.model.path == str((echo / "1").resolve())
    assert any("no --model given" in warning for warning in report.warnings)


# the host program


HOST = """
import json, os, signal, sys
import polars  # which sets up its allocator through the environment
numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
before = [signal.getsignal(number) for number in numbers], dict(os.environ)
import batchscore
assert batchscore.run(input=sys.argv[1], output=sys.argv[2], model=sys.argv[3]).status == "published"
try:
    batchscore.run(input=sys.argv[1], output=sys.argv[2], model=sys.argv[3], keep=["none"])
except batchscore.errors.UsageError as error:
    assert error.error_id == "E-KEEP"
assert ([signal.getsignal(number) for number in numbers], dict(os.environ)) == before
"""


@pytest.mark.process
def test_a_host_program_sees_nothing_but_what_logging_shows_by_itself(job):
    done = subprocess.run(
        [sys.executable, "-c", HOST, *map(str, job.values())], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_signal_handler_no_logging_handler_and_no_environment(job):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    environ, levels = dict(os.environ), logging.getLogger("batchscore").handlers[:]
    batchscore.run(**job)
    failure(UsageError, job, keep=["none"])
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert dict(os.environ) == environ
    assert logging.getLogger("batchscore").handlers == levels


def test_what_happened_is_logged_for_the_host_program(job, caplog):
    with caplog.at_level(logging.INFO, "batchscore"):
        batchscore.run(**job)
    assert "published 2 users, 3 rows, model 1" in caplog.text
    assert "fingerprint" in caplog.text


def test_it_runs_in_a_thread_of_the_host_program(job):
    reports = []
    thread = threading.Thread(target=lambda: reports.append(batchscore.run(**job)))
    thread.start()
    thread.join()
    assert reports[0].status == "published"


def test_ctrl_c_of_the_host_program_leaves_the_old_output_and_says_stopped(job, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Claim, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        batchscore.run(**job)
    assert caught.value.report.error_id == "E-STOPPED"
    assert not job["output"].exists()
    assert not list(job["output"].parent.glob(".*.tmp"))


@pytest.mark.parametrize("date", ["29.2.2024", "2023-02-29", "today"])
def test_a_date_that_is_none_is_refused(job, date):
    error = failure(UsageError, job, date=date)
    assert error.error_id == "E-CONFIG"
    assert f"{date!r} is not a date" in str(error)


def test_inspect_looks_without_loading(echo):
    found = batchscore.inspect(echo)
    assert (found.saved.version, found.choice.score_output) == (1, "score")


def test_adopt_takes_the_names_of_the_flags(echo, tmp_path):
    report = batchscore.adopt(saved_model=echo, output=tmp_path / "model", map={"item_id": "sku"})
    assert (report.model_version, report.map, report.probe_rows) == (1, {"item_id": "sku"}, 32)
    with pytest.raises(UsageError, match="E-CONFIG"):
        batchscore.adopt(saved_model=echo)
