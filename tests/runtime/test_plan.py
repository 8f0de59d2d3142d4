import subprocess
import sys
from dataclasses import replace

import pytest

from batchscore.errors import ModelError
from batchscore.runtime.plan import (
    PLAN_FILE,
    Head,
    NotPlanned,
    Part,
    Plan,
    PlanInput,
    PlanTable,
    read_plan,
    write_plan,
)

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
    write_plan(tmp_path, replace(PLAN, planner_version=PLAN.planner_version + 1))
    assert read_plan(tmp_path) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"graph": "', '"graph": "*'),
        lambda text: text.replace('"call_rows"', '"rows"'),
        lambda _: "[]",
        lambda text: text.replace('"kind": "Plan"', '"kind": "Scheme"'),
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


@pytest.mark.process
def test_reading_a_plan_and_importing_the_planner_load_no_tensorflow(tmp_path):
    write_plan(tmp_path, PLAN)
    code = f"""
import pathlib, sys
from batchscore.runtime.plan import read_plan
import batchscore.planning.plan_model
assert read_plan(pathlib.Path({str(tmp_path)!r})) is not None
assert "tensorflow" not in sys.modules and "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
