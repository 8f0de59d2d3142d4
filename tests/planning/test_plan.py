import json
import os
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from batchscore.errors import ModelError
from batchscore.planning.plan import PLANNER_VERSION, Head, NotPlanned, Part, Plan, PlanInput, PlanTable
from batchscore.planning.plan_file import PLAN_FILE, read_plan, write_plan

USER = PlanInput("user_id", "batchscore/user/inputs/0:0", "string", 1)
AGE = PlanInput("age", "batchscore/head/pairs/0:0", "float32", 2)
TABLE = PlanTable("batchscore/user/tables/0:0", "batchscore/head/user/table_0:0", "float32", 256)
GRAPH = b"\x0a\x0a\x0a\x01x\x12\x05Const"
"""A GraphDef with one node, a constant named x."""

PLAN = Plan(
    signature="serving_default",
    score_output="score",
    parts=(
        Part(
            "user", (USER,), (TABLE, replace(TABLE, width=3)), "batchscore/head/user/rows:0", ("MatMul [n, 256]",)
        ),
    ),
    head=Head(
        "batchscore/head/scores:0", "float32", 65_536, 512, "batchscore/head/blocks:0", (AGE,), ("Relu [n, 256]",)
    ),
    flops_before=66_305,
    flops_after=33_537,
    tensorflow_version="2.21.0",
    graph=GRAPH,
)
NOT_PLANNED = NotPlanned("serving_default", "score", "layer/Softmax (Softmax): it normalises", "2.21.0")


@pytest.mark.parametrize("plan", [PLAN, NOT_PLANNED], ids=["planned", "not planned"])
def test_what_is_written_is_read(tmp_path, plan):
    write_plan(tmp_path, NOT_PLANNED)
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan
    assert [path.name for path in tmp_path.iterdir()] == [PLAN_FILE]


def test_no_plan(tmp_path):
    assert read_plan(tmp_path) is None
    assert read_plan(tmp_path / "missing") is None


def test_a_plan_of_another_planner_is_not_used(tmp_path):
    write_plan(tmp_path, PLAN)
    path = tmp_path / PLAN_FILE
    path.write_text(path.read_text().replace(f'"planner_version": {PLANNER_VERSION}', '"planner_version": 1'))
    assert read_plan(tmp_path) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"graph": "', '"graph": "*'),
        lambda text: text.replace('"call_rows"', '"rows"'),
        lambda _: "[]",
        lambda text: text.replace('"plan": {', '"scheme": {'),
        lambda text: text.replace('"width": 256', '"width": 255'),
        lambda text: text.replace('"flops_after": 33537', '"flops_after": 33538'),
        lambda text: text.replace('"graph": "Cg', '"graph": "Ch'),
        lambda text: text.replace('"sha256": "', '"sha256": "0'),
        lambda _: "[" * 100_000,
        lambda _: "",
    ],
)
def test_a_damaged_plan_is_refused(tmp_path, damage):
    write_plan(tmp_path, PLAN)
    path = tmp_path / PLAN_FILE
    text = path.read_text(encoding="utf-8")
    path.write_text(damage(text), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    with pytest.raises(ModelError, match="E-MODEL-PLAN: the plan of the model cannot be read"):
        read_plan(tmp_path)


def test_its_sha256_is_that_of_all_that_it_says(tmp_path):
    assert len(PLAN.sha256) == 64
    assert PLAN.sha256 == replace(PLAN).sha256
    others = [replace(PLAN, **{name: "other"}) for name in ("signature", "score_output", "tensorflow_version")]
    others += [replace(PLAN, graph=GRAPH[:-1]), replace(PLAN, flops_after=0), replace(PLAN, parts=()), NOT_PLANNED]
    assert len({plan.sha256 for plan in (PLAN, *others)}) == len(others) + 1
    write_plan(tmp_path, PLAN)
    assert json.loads((tmp_path / PLAN_FILE).read_text())["sha256"] == PLAN.sha256


def test_nobody_else_may_write_to_it(tmp_path):
    before = os.umask(0)
    try:
        write_plan(tmp_path, PLAN)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / PLAN_FILE).stat().st_mode) == 0o644


@pytest.mark.process
def test_reading_a_plan_and_importing_the_planner_load_no_tensorflow(tmp_path):
    write_plan(tmp_path, PLAN)
    code = f"""
import pathlib, sys
from batchscore.planning.plan_file import read_plan
import batchscore.planning.graph.plan_model
assert read_plan(pathlib.Path({str(tmp_path)!r})) is not None
assert "tensorflow" not in sys.modules and "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
