from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchscore.cli.inspect import command
from batchscore.errors import ModelError
from batchscore.planning.plan_cache import PlanKey
from batchscore.planning.plan_file import PLAN_FILE, read_plan, write_plan
from batchscore.publishing.model_base import LOCK


def inspect(*arguments):
    done = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def base(tmp_path, echo):
    """Version 1 of a small model, and version 3, of which a shard is cut short."""
    path = tmp_path / "model"
    shutil.copytree(echo / "1", path / "1")
    shutil.copytree(echo / "1", path / "3")
    (path / LOCK).touch()
    shard = path / "3" / "variables" / "variables.index"
    shard.write_bytes(shard.read_bytes()[:10]) if shard.stat().st_size else (path / "3" / "saved_model.pb").unlink()
    return path


def test_the_view_for_people(base):
    text = inspect(base)
    assert text.startswith(
        f"model 1 at {base / '1'}\n  chosen       highest complete version (version(s) 3 incomplete)\n"
    )
    assert "  version 3    incomplete: " in text
    assert "  version 1    complete\n" in text
    assert (
        "run would score with\n"
        "  signature    serving_default (model card)\n"
        "  score        score (model card)\n"
        "  user         user_id (model card)\n"
        "  candidate    item_id (model card)\n"
        "  warning      version 3 of the model is incomplete: scoring with version 1\n"
        "\n"
        "no plan: no part of the score can be computed less often than once per pair\n"
        "\n"
        "signature serving_default\n"
        "  in   item_id string [n]  it is not looked up in a table\n"
        "  in   user_id string [n]  it is not looked up in a table\n"
        "  in   value float32 [n]   it is not looked up in a table\n"
        "  out  score float32 [n]\n"
        "\n"
        "signature known\n"
        "  in   item_id string [n]  26 known ids\n"
        "  in   user_id string [n]  18 known ids\n"
    ) in text
    assert "  string to int32, 26 entries from the graph (HashTableV2 " in text
    assert "  unknown ids  counted by signature known\n" in text
    assert text.endswith("safety: it only computes\n")


def test_as_json(base):
    found = json.loads(inspect(base, "--json"))
    assert found["version"] == 1
    assert [(item["version"], item["complete"]) for item in found["versions"]] == [(3, False), (1, True)]
    assert found["choice"] == {
        "signature": "serving_default", "signature_reason": "model card", "score_output": "score",
        "score_output_reason": "model card", "refusal": None,
        "roles": {"user_input": "user_id", "user_reason": "model card", "candidate_input": "item_id",
                  "candidate_reason": "model card"},
        "labels": [], "warnings": ["version 3 of the model is incomplete: scoring with version 1"],
        "unrepeatable": [],
    }  # fmt: skip
    known = {item["name"]: item["vocabulary"]["entries"] for item in found["signatures"]["known"]["inputs"]}
    assert known == {"user_id": 18, "item_id": 26}
    assert found["card"]["score_output"] == "score"
    assert found["hazards"] == []


SAMPLE = Path(__file__).parents[2] / "sample_data" / "model"


def plan_of(text):
    """The section of the text that tells the plan."""
    (section,) = [section for section in text.split("\n\n") if section.startswith(("plan: ", "no plan"))]
    return section.splitlines()


def test_the_plan_as_a_person_wants_to_see_it():
    lines = plan_of(inspect(SAMPLE))
    assert lines[0] == "plan: 33,537 FLOPs per pair instead of 66,305 (51%)"
    heads = [line for line in lines if line.startswith("  once")]
    assert heads == [
        "  once per user, by distinct user_id; kept: float32 [256]",
        "  once per candidate, by distinct movie_id; kept: float32 [256]",
        "  once per pair",
    ]
    steps = [line.split()[0] for line in lines[lines.index(heads[1]) + 1 : lines.index(heads[2])]]
    assert steps == ["LookupTableFindV2", "ResourceGather", "MatMul"]
    steps = [line.split()[0] for line in lines[lines.index(heads[2]) + 1 : -2]]
    assert steps == ["AddV2", "Relu", "MatMul", "BiasAdd", "Relu", "MatMul", "BiasAdd"]
    assert lines[-2] == f"  sha256       {read_plan(SAMPLE / '1' / 'assets.extra').sha256}"
    assert lines[-1] == f"  kept in      {SAMPLE / '1' / 'assets.extra' / PLAN_FILE}"


def test_the_plan_as_json():
    plan = json.loads(inspect(SAMPLE, "--json"))["plan"]
    assert plan["path"] == str(SAMPLE / "1" / "assets.extra" / PLAN_FILE)
    assert (plan["flops_before"], plan["flops_after"], plan["note"]) == (66_305, 33_537, None)
    assert [(part["name"], part["inputs"], part["kept"]) for part in plan["parts"]] == [
        ("user", ["user_id"], [{"dtype": "float32", "width": 256}]),
        ("candidate", ["movie_id"], [{"dtype": "float32", "width": 256}]),
    ]
    assert plan["head"]["inputs"] == []
    assert len(plan["head"]["steps"]) == 7


def test_a_reason_instead_of_a_plan(echo):
    reason = "no part of the score can be computed less often than once per pair"
    assert plan_of(inspect(echo)) == [f"no plan: {reason}"]
    plan = json.loads(inspect(echo, "--json"))["plan"]
    assert (plan["reason"], plan["note"]) == (reason, None)
    assert plan["path"].endswith(PLAN_FILE)


def test_no_plan_yet_says_how_there_comes_one(base):
    (base / "1" / "assets.extra" / PLAN_FILE).unlink()
    text = "no plan yet: `batchscore adopt` adds one to the model, and a large `run` makes one"
    assert plan_of(inspect(base)) == [text]
    assert json.loads(inspect(base, "--json"))["plan"] == {"path": None, "note": None, "reason": None}
    sum_of_outputs = plan_of(inspect(base, "--score-output", "2*score"))
    assert sum_of_outputs == ["no plan: the score is computed from outputs, and a plan gives one output unchanged"]


def test_the_plan_of_the_cache_is_shown(base, tmp_path):
    beside = base / "1" / "assets.extra" / PLAN_FILE
    card = json.loads((base / "1" / "assets.extra" / "batchscore.json").read_text())
    key = PlanKey(
        json.loads(inspect(base, "--json"))["fingerprint"], "serving_default", "score", version("tensorflow"),
        card["user_input"], card["candidate_input"],
    )  # fmt: skip
    folder = key.folder(tmp_path / "plans")
    folder.mkdir(parents=True)
    beside.rename(folder / PLAN_FILE)
    found = json.loads(inspect(base, "--plan-cache", tmp_path / "plans", "--json"))["plan"]
    assert found["path"] == str(folder / PLAN_FILE)


@pytest.mark.parametrize("trouble", ["damaged", "other TensorFlow", "no home"])
def test_trouble_with_a_plan_is_a_note(base, trouble, monkeypatch):
    path = base / "1" / "assets.extra" / PLAN_FILE
    if trouble == "damaged":
        path.write_text("{")
        note = "the plan of the model cannot be read"
    elif trouble == "other TensorFlow":
        write_plan(path.parent, replace(read_plan(path.parent), tensorflow_version="2.0.0"))
        note = "the plan with the model is for score of serving_default, TensorFlow 2.0.0"
    else:
        path.unlink()
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("nobody")))
        note = "there is no home folder: nobody"
    lines = plan_of(inspect(base))
    assert lines[0].startswith("no plan yet")
    assert lines[1].startswith(f"  note         {note}")


def test_a_model_that_run_would_refuse_has_no_plan(echo):
    assert json.loads(inspect(echo, "--signature", "known", "--json"))["plan"] is None


def test_what_run_would_refuse_is_told_with_its_message(echo):
    text = inspect(echo, "--signature", "known")
    assert (
        "run would refuse this model\n  E-MODEL-OUTPUT: no outputs of signature 'known' could be the score\n"
        in text
    )
    assert json.loads(inspect(echo, "--signature", "other", "--json"))["choice"]["refusal"].startswith(
        "E-MODEL-SIGNATURE"
    )


@pytest.mark.tensorflow
def test_listwise_and_risky_models_are_looked_at_but_not_chosen(exports):
    text = inspect(exports("modules") / "listwise")
    assert (
        "E-MODEL-SIGNATURE: signature 'serving_default' does not score pairs: an input does not take one "
        "value per pair" in text
    )
    assert "found:    input movie_ids string [n, 10] takes a list of 10 values per row" in text
    text = inspect(exports("risky") / "nested")
    assert "run would refuse this model\n  E-MODEL-UNTRUSTED" in text
    assert (
        "safety: it does more than compute, and is loaded only by `run --trust-model`\n  ReadFile reads files"
        in text
    )


@pytest.mark.tensorflow
def test_variables_and_sizes(exports):
    text = inspect(exports("modules") / "heads")
    assert "variables: 3, 1.3 KiB\n  user_vectors  float32 [51, 4]\n  item_vectors  float32 [31, 4]\n" in text
    assert "no model card: `batchscore adopt` writes one" in text
    assert "4 outputs" not in text
    assert "2 outputs of signature 'serving_default' could be the score" in text


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="E-MODEL-MISSING"):
        inspect(tmp_path / "nothing")


@pytest.mark.process
def test_nothing_heavy_is_loaded(echo):
    code = (
        "import sys; from batchscore.cli.inspect import command\n"
        "command([sys.argv[1]], standalone_mode=False)\n"
        "print(sorted({'tensorflow', 'polars', 'keras'} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, echo], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_what_a_run_would_ask_for(exports):
    text = inspect(exports("modules") / "label")
    assert "  label?       user_rating: unless the pairs have it, give `run` or `adopt` --set user_rating=0" in text
    assert "  unknown ids  user: counted by a look-up table of 50 ids" in text
    text = inspect(exports("modules") / "hashed")
    assert (
        "  candidate    - (several inputs could be it: give `run` --candidate-column, or set it once with `adopt` "
        in text
    )
    assert "  unknown ids  user: not counted: its values are hashed" in text
    assert "  unknown ids  candidate: not counted: the model has no input for it" in text
