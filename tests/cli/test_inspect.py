from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from batchscore.cli.inspect import command
from batchscore.errors import ModelError
from batchscore.runtime.model_base import LOCK


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
    assert "  unknown ids  told by signature known\n" in text
    assert text.endswith("safety: it only computes\n")


def test_as_json(base):
    found = json.loads(inspect(base, "--json"))
    assert found["version"] == 1
    assert [(item["version"], item["complete"]) for item in found["versions"]] == [(3, False), (1, True)]
    assert found["choice"] == {
        "signature": "serving_default", "signature_why": "model card", "score_output": "score",
        "score_output_why": "model card", "refusal": None,
        "roles": {"user_input": "user_id", "user_why": "model card", "candidate_input": "item_id",
                  "candidate_why": "model card"},
    }  # fmt: skip
    known = {item["name"]: item["vocabulary"]["entries"] for item in found["signatures"]["known"]["inputs"]}
    assert known == {"user_id": 18, "item_id": 26}
    assert found["card"]["score_output"] == "score"
    assert found["hazards"] == []


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
    assert "E-MODEL-SIGNATURE: signature 'serving_default' does not score pairs: it takes lists" in text
    assert "found:    movie_ids string [n, 10]" in text
    text = inspect(exports("risky") / "nested")
    assert "run would refuse this model\n  E-MODEL-UNTRUSTED" in text
    assert (
        "safety: it does more than compute, and is loaded only with --trust-model\n  ReadFile reads files" in text
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
