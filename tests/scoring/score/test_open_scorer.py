"""Where the plan of a run comes from, and that no trouble with it is a trouble of the run."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import ModelError, OutOfMemoryError
from batchscore.planning import plan_cache, planner
from batchscore.planning.plan import PLANNER_VERSION, NotPlanned
from batchscore.planning.plan_file import PLAN_FILE, read_plan, write_plan
from batchscore.scoring.run import run
from batchscore.scoring.score import open_scorer, planned
from batchscore.scoring.source import reader
from batchscore.settings.run import RunSettings
from batchscore.system.address_space import PLANNED_RUN_BYTES

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).parents[3]


@pytest.fixture
def night(tmp_path, planned_models, vocabulary, monkeypatch):
    """Runs of a model of its own, in a cache of its own; tells how often a planner was asked for."""
    users, items = vocabulary
    pairs = [(user, item) for user in users for item in items[:20]]
    pq.write_table(pa.table([pa.array(column) for column in zip(*pairs, strict=True)], ["user_id", "item_id"]),
                   tmp_path / "pairs.parquet")  # fmt: skip
    shutil.copytree(planned_models / "ranking", tmp_path / "model")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(open_scorer, "MIN_PAIRS", 800)

    class Night:
        folder = tmp_path
        model = tmp_path / "model"
        plan_file = tmp_path / "model" / "assets.extra" / PLAN_FILE
        plan = read_plan(planned_models / "ranking" / "assets.extra")
        asked: list[Path] = []  # noqa: RUF012 - a night has one

        def run(self, **settings):
            return run(RunSettings(input=tmp_path / "pairs.parquet", output=tmp_path / "ranked.parquet",
                                   model=self.model, **settings))  # fmt: skip

        def answer(self, found):
            def make_plan(_model, _signature, _score_output, directory, **_):
                self.asked.append(directory)
                if isinstance(found, Exception):
                    raise found
                write_plan(directory, found)
                return read_plan(directory)

            monkeypatch.setattr(open_scorer, "make_plan", make_plan)

    night = Night()
    night.asked = []
    night.answer(night.plan)
    return night


def test_the_plan_that_lies_with_the_model_is_used(night):
    report = night.run()
    assert (report.plan.used, report.plan.reason, report.warnings, night.asked) == (True, None, [], [])
    assert report.plan.checked_pairs == 800 + 4 + 1, "of the first batch, the probes, and of all"
    assert report.plan.worst_difference <= report.plan.tolerance
    assert ", plan on, " in report.summary()


@pytest.mark.parametrize(
    "changes", [{"signature": "other"}, {"score_output": "other"}, {"tensorflow_version": "2.0.0"}],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_a_plan_for_something_else_is_not(night, changes):
    write_plan(night.plan_file.parent, replace(night.plan, **changes))
    report = night.run()
    assert (report.plan.used, len(night.asked)) == (True, 1), "another one is made"


def test_a_plan_of_another_planner_is_not(night):
    content = json.loads(night.plan_file.read_text())
    night.plan_file.write_text(json.dumps(content | {"planner_version": PLANNER_VERSION + 1}))
    report = night.run()
    assert (report.plan.used, len(night.asked)) == (True, 1), "another one is made"


def test_a_changed_plan_is_a_changed_model(night):
    assert night.run().plan.sha256 == night.plan.sha256
    changed = replace(night.plan, flops_before=1)
    write_plan(night.plan_file.parent, changed)
    before, report = night.plan.sha256, night.run()
    assert report.plan.sha256 == changed.sha256
    assert warned(report, "a changed plan counts as a changed model", before, changed.sha256)
    assert not [warning for warning in night.run().warnings if "plan" in warning], "told once"


def test_a_run_without_a_plan_names_none(night):
    assert night.run(plan="off").plan.sha256 is None
    assert not [warning for warning in night.run().warnings if "plan" in warning]


def test_without_a_plan_one_is_made_once_and_kept(night):
    night.plan_file.unlink()
    assert night.run().plan.used
    (folder,) = night.asked
    assert folder.parent == night.folder / "cache" / "batchscore" / "plans"
    assert night.run(max_user_drop="off").plan.used
    assert len(night.asked) == 1
    shutil.copytree(night.model, night.folder / "copy")
    night.model = night.folder / "copy"
    assert night.run().plan.used
    assert len(night.asked) == 1, "the same model somewhere else is the same model"


def test_each_model_score_and_side_has_its_own(night):
    night.plan_file.unlink()
    night.run()
    (night.model / "assets.extra" / "note.txt").write_text("another model")
    night.run()
    assert len(set(night.asked)) == 2


def test_a_reason_is_kept_too(night):
    night.plan_file.unlink()
    night.answer(
        NotPlanned("serving_default", "score", "node/Softmax (Softmax): it mixes rows", version("tensorflow"))
    )
    for _ in range(2):
        report = night.run()
        assert (report.plan.used, report.plan.reason) == (False, "node/Softmax (Softmax): it mixes rows")
        assert not [warning for warning in report.warnings if "plan" in warning], "nobody can mend that"
    assert len(night.asked) == 1


def test_plan_cache_names_the_folder(night):
    night.plan_file.unlink()
    night.run(plan_cache=night.folder / "plans")
    assert night.asked[0].parent == night.folder / "plans"
    assert not (night.folder / "cache").exists()


def test_a_plan_for_few_pairs_does_not_pay(night, monkeypatch):
    monkeypatch.setattr(open_scorer, "MIN_PAIRS", 801)
    night.plan_file.unlink()
    report = night.run()
    assert (report.plan.used, night.asked) == (False, [])
    assert report.plan.reason == "800 pairs are scored faster without a plan (it pays off from 801 on)"
    assert night.run(plan="require").plan.used


def test_an_address_space_too_small_for_a_plan_is_a_reason_to_score_without(night, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (PLANNED_RUN_BYTES - 1, PLANNED_RUN_BYTES - 1))
    report = night.run()
    assert not report.plan.used
    assert "the address space of the process is too small for a run by a plan" in report.plan.reason
    assert warned(report, "scored without a plan", "MiB (ulimit -v)")
    with pytest.raises(OutOfMemoryError):
        night.run(plan="require")


def test_plan_off(night):
    report = night.run(plan="off")
    assert (report.plan.used, report.plan.reason, night.asked) == (False, "--plan off", [])
    assert report.plan.checked_pairs == 0


def test_plan_require(night):
    assert night.run(plan="require").plan.used
    night.plan_file.unlink()
    night.answer(NotPlanned("serving_default", "score", "it mixes rows", version("tensorflow")))
    before = (night.folder / "ranked.parquet").read_bytes()
    with pytest.raises(ModelError) as caught:
        night.run(plan="require")
    assert (caught.value.error_id, caught.value.exit_code) == ("E-PLAN-REQUIRED", 4)
    assert "it mixes rows" in str(caught.value)
    assert caught.value.report.plan.reason is None or "rows" in caught.value.report.plan.reason
    assert (night.folder / "ranked.parquet").read_bytes() == before


def test_kept_outputs_and_sums_of_outputs_need_the_signature(night):
    report = night.run(keep_output={"again": "score"})
    assert (report.plan.used, "--keep-output" in report.plan.reason, night.asked) == (False, True, [])
    report = night.run(score_output="2*score")
    assert (report.plan.used, "computed from outputs" in report.plan.reason, night.asked) == (False, True, [])


# trouble


def warned(report, *words):
    (warning,) = [warning for warning in report.warnings if "plan" in warning]
    assert all(word in warning for word in words), warning
    return True


def test_a_damaged_plan_of_the_model_is_told_and_another_one_made(night):
    night.plan_file.write_text(night.plan_file.read_text()[:500])
    report = night.run()
    assert report.plan.used
    assert len(night.asked) == 1
    assert warned(report, "cannot be read", str(night.plan_file), "not used")


def test_a_plan_whose_graph_is_none_is_told_too(night):
    write_plan(night.plan_file.parent, replace(night.plan, graph=b"\xff"))
    assert night.run().plan.used
    assert warned(night.run(), "cannot be read", str(night.plan_file), "not used")
    assert len(night.asked) == 1


def test_a_damaged_plan_of_the_cache_is_made_again(night):
    night.plan_file.unlink()
    night.run()
    (night.asked[0] / PLAN_FILE).write_bytes(b"\0" * 100)
    report = night.run()
    assert (report.plan.used, len(night.asked)) == (True, 2)
    assert warned(report, str(night.asked[0] / PLAN_FILE))
    assert not [warning for warning in night.run().warnings if "plan" in warning], "it was replaced"


def add_node(plan, tf, op, **inputs):
    graph = tf.compat.v1.GraphDef.FromString(plan.graph)
    with tf.Graph().as_default() as other:
        getattr(tf.raw_ops, op)(**inputs)
    for node in other.as_graph_def().node:
        graph.node.add().CopyFrom(node)
        graph.node[-1].name = f"batchscore/{node.name}"
        del graph.node[-1].input[:]
        graph.node[-1].input.extend(f"batchscore/{name}" for name in node.input)
    return replace(plan, graph=graph.SerializeToString())


def test_a_plan_that_would_do_more_than_compute_is_not_loaded(night, tf):
    write_plan(
        night.plan_file.parent, add_node(night.plan, tf, "WriteFile", filename="never written", contents="x")
    )
    report = night.run()
    assert len(night.asked) == 1
    assert warned(report, "would do more than compute", "WriteFile writes files", str(night.plan_file))


def with_wrong_types(plan, tf):
    """TensorFlow finds only when it adds the graph that a product of integers is fed floats."""
    graph = tf.compat.v1.GraphDef.FromString(plan.graph)
    product = next(node for node in graph.node if node.op == "MatMul")
    product.attr["T"].type = tf.int32.as_datatype_enum
    return replace(plan, graph=graph.SerializeToString())


def test_a_plan_that_tensorflow_cannot_add_is_left_aside(night, tf):
    write_plan(night.plan_file.parent, with_wrong_types(night.plan, tf))
    report = night.run()
    assert not report.plan.used
    assert warned(report, "scored without the plan")
    assert report.plan.reason


def test_a_plan_that_cannot_be_loaded_where_it_is_made_is_not_kept(night, tf):
    night.plan_file.unlink()
    night.answer(with_wrong_types(night.plan, tf))
    assert warned(night.run(), "scored without the plan", "cannot add the plan")
    report = night.run()
    assert (report.plan.used, len(night.asked)) == (False, 1)
    assert "cannot add the plan" in report.plan.reason
    assert not [warning for warning in report.warnings if "plan" in warning], "told once"


def test_a_cache_that_others_can_write_to_is_not_used(night):
    night.plan_file.unlink()
    assert night.run().plan.used
    night.asked[0].chmod(0o770)
    report = night.run()
    assert (report.plan.used, len(night.asked)) == (False, 1)
    assert warned(report, "scored without a plan", "others may write to it: chmod go-w", str(night.asked[0]))


def test_a_damaged_plan_changes_no_result(night):
    """Not even one whose reader would wait for ever, or end the run."""
    before = night.run(plan="off", max_user_drop="off")
    for old, new in (
        ('"call_rows": 2048', '"call_rows": 0'),
        ('"block_rows": 64', '"block_rows": 0'),
        ('"rank": 1', '"rank": 3'),
        ('"name": "item_id"', '"name": "nothing"'),
        ('"parts": [', '"parts": [5, '),
        ('"graph": "', '"graph": "AAAA'),
    ):
        write_plan(night.plan_file.parent, night.plan)
        text = night.plan_file.read_text()
        assert old in text
        night.plan_file.write_text(text.replace(old, new, 1))
        night.answer(NotPlanned("serving_default", "score", "none is made now", version("tensorflow")))
        report = night.run(plan_cache=night.folder / "plans")
        assert warned(report, "cannot be read", str(night.plan_file), "not used")
        assert report.output.sha256 == before.output.sha256


def test_a_planner_that_fails_is_told_and_asked_again(night):
    night.plan_file.unlink()
    night.answer(ModelError("E-MODEL-PLAN", "the planner failed", found="exit code 1: no module", next_step="n"))
    for _ in range(2):
        report = night.run()
        assert not report.plan.used
        assert report.plan.reason == "the planner failed: exit code 1: no module"
        assert warned(report, "scored without a plan: the planner failed")
    assert len(night.asked) == 2


@pytest.mark.parametrize("place", ["a file in the way", "HOME unset", "HOME nowhere"])
def test_a_cache_that_cannot_be_written_is_told(night, monkeypatch, place):
    """As under cron, or in a container whose user has no entry."""
    night.plan_file.unlink()
    if place == "a file in the way":
        (night.folder / "cache").write_text("")
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
    if place == "HOME unset":
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    if place == "HOME nowhere":
        monkeypatch.setenv("HOME", "/dev/null/home")
    report = night.run()
    assert not report.plan.used
    assert night.asked == []
    assert warned(report, "it cannot be kept", "--plan-cache names another folder")
    assert night.run(plan_cache=night.folder / "plans").plan.used


def test_a_plan_in_a_cache_that_cannot_be_written_is_used(night, monkeypatch):
    night.plan_file.unlink()
    night.run()
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: pytest.fail("nothing is made where nothing is missing"))
    assert plan_cache.read_cached_plan(night.asked[0]) == night.plan


@pytest.mark.parametrize(("base", "home"), [("", "/home/x/.cache"), ("relative", "/home/x/.cache"), ("/c", "/c")])
def test_the_cache_folder(monkeypatch, base, home):
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", "/home/x")
    assert plan_cache.default_cache() == Path(home) / "batchscore" / "plans"


def test_plans_are_written_whole_although_many_write(tmp_path, night):
    found, stop = [], threading.Event()

    def write():
        for number in range(30):
            write_plan(tmp_path, replace(night.plan, flops_before=number))

    def read():
        while not stop.is_set():
            found.append(read_plan(tmp_path))

    write_plan(tmp_path, night.plan)
    threads = [threading.Thread(target=write) for _ in range(3)]
    reader = threading.Thread(target=read)
    for thread in (reader, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reader.join()
    assert all(plan.graph == night.plan.graph for plan in found)
    assert [path.name for path in tmp_path.glob(f"*{PLAN_FILE}*")] == [PLAN_FILE]


def test_a_plan_that_cannot_be_written_leaves_nothing(tmp_path, night, monkeypatch):
    def fail(self, _target):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        write_plan(tmp_path / "model", night.plan)
    assert [path.name for path in (tmp_path / "model").glob(f"{PLAN_FILE}*")] == []


def test_a_plan_that_gives_other_scores_late_costs_time_and_nothing_else(night, monkeypatch):
    """What it scored is thrown away, and the run begins again without it."""
    monkeypatch.setattr(reader, "BATCH_ROWS", 100)
    expected = night.run(plan="off")
    real, calls = planned.PlannedScorer._run_head, itertools.count()
    monkeypatch.setattr(
        planned.PlannedScorer, "_run_head", lambda *given: real(*given) + (0 if next(calls) < 5 else 1)
    )
    report = night.run()
    assert report.output.sha256 == expected.output.sha256
    assert not report.plan.used
    assert report.plan.reason.startswith("the plan gives other scores: user u")
    assert report.plan.plan_score - report.plan.model_score == pytest.approx(1, rel=1e-3)
    assert warned(report, "scored again without the plan: the plan gives other scores")
    for name in (
        "rows_read",
        "pairs_scored",
        "users",
        "rows_written",
        "known_users",
        "bindings",
        "scores",
        "bad_rows",
    ):
        assert getattr(report, name) == getattr(expected, name), name
    assert [guard.name for guard in report.guards] == [guard.name for guard in expected.guards]
    before = (night.folder / "ranked.parquet").read_bytes()
    with pytest.raises(ModelError, match="E-PLAN-REQUIRED"):
        night.run(plan="require")
    assert (night.folder / "ranked.parquet").read_bytes() == before


# the process


def make(directory, model="nowhere", **options):
    return planner.make_plan(Path(model), "serving_default", "score", directory, user_input="user_id",
                             candidate_input="item_id", **options)  # fmt: skip


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    """What the planner's interpreter is taken to be: a script of the test."""

    def be(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return be


def test_a_planner_that_crashes(tmp_path, interpreter):
    interpreter("echo first >&2; echo 'ValueError: last words' >&2; exit 3")
    with pytest.raises(ModelError) as caught:
        make(tmp_path)
    assert caught.value.in_one_line() == "the planner failed: exit code 3: ValueError: last words"


def test_a_planner_that_is_killed(tmp_path, interpreter):
    interpreter("kill -9 $$")
    with pytest.raises(ModelError, match=r"ended by SIGKILL \(memory may have run out\): no message"):
        make(tmp_path)


def test_a_planner_that_takes_too_long(tmp_path, interpreter, monkeypatch):
    monkeypatch.setattr(planner, "_PLANNER_SECONDS", 0.1)
    interpreter("exec sleep 60")
    with pytest.raises(ModelError, match=r"it took more than 0.1 s"):
        make(tmp_path)


def test_a_planner_that_leaves_nothing(tmp_path, interpreter):
    interpreter("exit 0")
    with pytest.raises(ModelError, match="it wrote no plan into"):
        make(tmp_path)


def test_a_planner_that_cannot_be_started(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(OSError, match="nothing"):
        make(tmp_path)


@pytest.mark.planner
@pytest.mark.process
def test_the_real_planner_sees_nothing_of_the_working_directory(night, tmp_path, monkeypatch):
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("batchscore", "tensorflow", "argparse"):
        (hostile / f"{name}.py").write_text("raise SystemExit('taken from the working directory')")
    monkeypatch.chdir(hostile)
    plan = make(tmp_path, model=night.model)
    assert [part.name for part in plan.parts] == ["user", "candidate"]
    assert (plan.flops_before, plan.flops_after) == (night.plan.flops_before, night.plan.flops_after)


@pytest.mark.planner
@pytest.mark.process
def test_a_first_run_makes_the_plan_and_a_second_finds_it(night):
    night.plan_file.unlink()
    command = [sys.executable, "-c", "from batchscore.cli import main; main()", "run", "--json",
               "--plan", "require", "--model", night.model, "--input", night.folder / "pairs.parquet",
               "--output", night.folder / "ranked.parquet"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    found = []
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append(("making the plan" in done.stderr, json.loads(done.stdout)["plan"]["used"]))
    assert found == [(True, True), (False, True)]
