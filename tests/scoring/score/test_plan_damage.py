"""A plan of which a field was changed: refused before it is loaded, unless the field only describes."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError

from batchscore.errors import ModelError
from batchscore.planning.plan import Plan
from batchscore.planning.plan_cache import read_model_plan
from batchscore.planning.plan_file import PLAN_FILE, read_plan, write_plan

pytestmark = pytest.mark.tensorflow

DESCRIBES = ("name", "steps", "flops_before", "flops_after", "signature", "score_output", "tensorflow_version")
"""Fields whose value nothing is computed by; who they are for is looked at elsewhere."""

CHECKED_BY_SCORES = ("block_rows", "output")
"""Fields of which another value may be a plan too; its scores are compared with the model's."""

VALUES = [
    None,
    "",
    "x",
    "batchscore/user/inputs/0:0",
    0,
    1,
    -1,
    63,
    2**40,
    2**70,
    1.5,
    True,
    [],
    {},
    [0],
    "float64",
]


@pytest.fixture(scope="module")
def plan(planned_models):
    return read_plan(planned_models / "varied" / "assets.extra")


def places(content, at=()):
    """The way to every value in a JSON document, lists and objects included."""
    items = (
        content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    )
    for key, value in items:
        yield (*at, key)
        yield from places(value, (*at, key))


def changed(content, place, value):
    copied = copy.deepcopy(content)
    holder = copied
    for key in place[:-1]:
        holder = holder[key]
    if value is not VALUES:
        holder[place[-1]] = value
    else:
        del holder[place[-1]]
    return copied


def damages(plan):
    """Every value of the plan deleted, and replaced by each of VALUES."""
    content = json.loads(TypeAdapter(Plan).dump_json(plan))
    for place in places(content):
        if "steps" in place[:-1]:
            continue
        for value in (VALUES, *VALUES):
            yield place, changed(content, place, value)


def test_a_file_with_a_changed_field_is_damaged(plan, tmp_path):
    write_plan(tmp_path, plan)
    path = tmp_path / PLAN_FILE
    file = json.loads(path.read_text())
    count = 0
    for _, content in damages(plan):
        if content == file["plan"]:
            continue
        path.write_text(json.dumps(file | {"plan": content}))
        with pytest.raises(ModelError, match="E-MODEL-PLAN"):
            read_plan(tmp_path)
        count += 1
    assert count > 1_000


def test_a_flipped_bit_is_damage(plan, tmp_path):
    write_plan(tmp_path, plan)
    path = tmp_path / PLAN_FILE
    content = path.read_bytes()
    for position in range(0, len(content), 211):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 7
        path.write_bytes(flipped)
        try:
            found = read_plan(tmp_path)
        except ModelError:
            continue
        assert found in (None, plan), "white space, or the version of another planner"


def test_with_its_checksum_made_anew_it_does_not_fit_its_graph(plan, tmp_path):
    """As somebody would write it who wants it to be used."""
    used = 0
    for place, content in damages(plan):
        try:
            found = TypeAdapter(Plan).validate_json(json.dumps(content))
        except ValidationError:
            continue
        if found == plan:
            continue
        write_plan(tmp_path, found)
        try:
            read_model_plan(tmp_path)
        except ModelError:
            continue
        names = [key for key in place if isinstance(key, str)]
        assert names[-1] in (*DESCRIBES, *CHECKED_BY_SCORES), (place, content)
        used += 1
    assert used


@pytest.mark.parametrize("damage", ["names", "functions", "bytes"])
def test_a_graph_that_is_not_a_plans(plan, tmp_path, tf, damage):
    graph = tf.compat.v1.GraphDef.FromString(plan.graph)
    if damage == "names":
        graph.node.add(name="PartitionedCall", op="NoOp")
    elif damage == "functions":
        graph.library.function[0].signature.name = "__inference_serve_1"
    content = b"\xff" if damage == "bytes" else graph.SerializeToString()
    write_plan(tmp_path, replace(plan, graph=content))
    with pytest.raises(ModelError, match="cannot be read"):
        read_model_plan(tmp_path)
