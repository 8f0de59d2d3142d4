from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import ModelError, OutputError
from batchscore.planning.plan import Plan
from batchscore.planning.plan_file import read_plan
from batchscore.savedmodel.saved_model import read_saved_model
from batchscore.savedmodel.versions import missing_files
from batchscore.settings.train import TrainSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]


@pytest.fixture
def interactions(write, read):
    return read(write({"user_id": [5, 6, 7], "movie_id": ["x", "y", "unknown-0"], "user_rating": [1, 2, 3]}))


def export(interactions, path, settings):
    from batchscore.interactions.training_statistics import learn_statistics
    from batchscore.networks.ranking_model import build_ranking_model
    from batchscore.training.export import draw_probes, export_model

    rows = interactions.rows
    model = build_ranking_model(learn_statistics(rows, settings), settings)
    path.mkdir()
    probes = draw_probes(rows, settings)
    export_model(model, probes, path, settings, made_with={"library": "1.0"}, training={"epochs": [1, 2]})
    return model


def test_the_signatures_are_named_like_the_columns(trained):
    saved = read_saved_model(Path(trained.model_path))
    assert set(saved.signatures) == {"serving_default", "known"}
    for signature in saved.signatures.values():
        assert [str(spec) for spec in signature.inputs.values()] == ["movie_id string [n]", "user_id string [n]"]
    assert [str(spec) for spec in saved.signatures["serving_default"].outputs.values()] == ["score float32 [n]"]
    outputs = [str(spec) for spec in saved.signatures["known"].outputs.values()]
    assert outputs == ["candidate_known bool [n]", "user_known bool [n]"]


def test_the_card_tells_the_run_what_it_needs(trained, sample_input):
    card = read_saved_model(Path(trained.model_path)).card
    assert (card.signature, card.score_output) == ("serving_default", "score")
    assert (card.user_input, card.candidate_input) == ("user_id", "movie_id")
    assert card.known.model_dump() == {
        "signature": "known", "user_output": "user_known", "candidate_output": "candidate_known",
    }  # fmt: skip
    assert set(card.made_with) == {"batchscore", "tensorflow", "tf-keras", "tensorflow-recommenders", "numpy"}
    assert card.training["judged"] == trained.judged
    assert card.training["refitted"] is True
    assert card.training["epochs"][-1]["held_out"] == trained.epochs[-1].held_out
    assert len(card.probes.scores) == 64
    table = pq.read_table(sample_input)
    users, candidates = set(table["user_id"].to_pylist()), set(table["movie_id"].to_pylist())
    assert [user in users for user in card.probes.inputs["user_id"]] == [True] * 62 + [False, True]
    assert [candidate in candidates for candidate in card.probes.inputs["movie_id"]] == [True] * 63 + [False]


def test_a_plan_for_its_score_lies_with_it(trained):
    plan = read_plan(Path(trained.model_path) / "assets.extra")
    assert isinstance(plan, Plan)
    assert (plan.signature, plan.score_output) == ("serving_default", "score")
    assert [(part.name, [item.name for item in part.inputs]) for part in plan.parts] == [
        ("user", ["user_id"]), ("candidate", ["movie_id"]),
    ]  # fmt: skip
    assert plan.flops_after < plan.flops_before


def test_a_planner_that_breaks_does_not_cost_the_training(interactions, tmp_path, write, monkeypatch, caplog):
    from batchscore.training import export as module

    def plan_model(*_, **__):
        raise IndexError("list index out of range")

    export(interactions, tmp_path / "export", write({}))
    monkeypatch.setattr(module, "plan_model", plan_model)
    assert module.leave_plan(module.check_export(tmp_path / "export").saved, write({})) == "the planner failed"
    assert read_plan(tmp_path / "export" / "assets.extra") is None
    assert "the model is published without a plan:  the planner failed" in caplog.text
    assert "IndexError" in caplog.text


def test_a_plan_that_does_not_load_is_not_left_with_the_model(interactions, tmp_path, write, monkeypatch, caplog):
    from batchscore.training import export as module

    def refuse(*_):
        raise ModelError("E-MODEL-LOAD", "TensorFlow cannot add the plan", found="a name is taken", next_step="n")

    export(interactions, tmp_path / "export", write({}))
    monkeypatch.setattr("batchscore.planning.plan_loading.load_plan", refuse)
    reason = module.leave_plan(module.check_export(tmp_path / "export").saved, write({}))
    assert reason == "TensorFlow cannot add the plan: a name is taken"
    assert read_plan(tmp_path / "export" / "assets.extra").reason == reason
    assert f"the model is published without a plan:  {reason}" in caplog.text


def test_nothing_in_it_depends_on_where_or_when_it_was_made(trained, sample_input):
    text = (Path(trained.model_path) / "assets.extra" / "batchscore.json").read_text()
    assert str(sample_input.parent) not in text
    assert str(Path(trained.model_path).parent) not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


def test_a_missing_or_short_file_is_noticed_by_the_card(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained.model_path, copy)
    assert missing_files(copy) == []
    listed = {
        entry["path"] for entry in json.loads((copy / "assets.extra" / "batchscore.json").read_text())["files"]
    }
    files = {file.relative_to(copy).as_posix() for file in copy.rglob("*") if file.is_file()}
    assert listed == files - {"assets.extra/batchscore.json", "assets.extra/batchscore.plan.json"}
    (copy / "saved_model.pb").write_bytes((copy / "saved_model.pb").read_bytes()[:-1])
    assert [name.split()[0] for name in missing_files(copy)] == ["saved_model.pb"]


def test_integer_and_text_ids_and_the_unknown_ones(interactions, tmp_path, write):
    from batchscore.training.export import check_export

    export(interactions, tmp_path / "export", write({}))
    exported = check_export(tmp_path / "export")
    assert str(exported.saved.signatures["serving_default"].inputs["user_id"]) == "user_id int64 [n]"
    probes = exported.saved.card.probes.inputs
    assert (probes["user_id"][-2], probes["movie_id"][-1]) == (0, "unknown-1")
    assert exported.probes.rows == 5


def test_it_names_nothing_of_keras(trained):
    assert b"keras" not in (Path(trained.model_path) / "saved_model.pb").read_bytes().lower()


@pytest.mark.process
def test_it_is_served_without_keras(trained):
    program = f"""
import sys
import tensorflow as tf
before = {{name for name in sys.modules if "keras" in name}}
model = tf.saved_model.load({trained.model_path!r})
score = model.signatures["serving_default"](user_id=tf.constant(["u1", "?"]), movie_id=tf.constant(["m1", "m2"]))
known = model.signatures["known"](user_id=tf.constant(["u1", "?"]), movie_id=tf.constant(["?", "m2"]))
assert {{name for name in sys.modules if "keras" in name}} == before
assert [type(item).__name__ for item in model.resources if "keras" in type(item).__module__] == []
print(score["score"].shape, known["user_known"].numpy().tolist(), known["candidate_known"].numpy().tolist())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split("\n")[0] == "(2,) [True, False] [False, True]", done.stderr


def test_no_optimizer_state_is_exported(trained, tf):
    reader = tf.train.load_checkpoint(f"{trained.model_path}/variables/variables")
    shapes = [shape for name, shape in reader.get_variable_to_shape_map().items() if not name.startswith("_")]
    assert sorted(map(len, shapes)) == [1, 1, 1, 2, 2, 2, 2, 2]


def test_an_export_that_scores_otherwise_is_not_let_through(interactions, tmp_path, write):
    from batchscore.savedmodel.card import read_card, write_card
    from batchscore.training.export import check_export

    path = tmp_path / "export"
    export(interactions, path, write({}))
    card = read_card(path)
    scores = list(card.probes.scores)
    scores[3] += 2 * check_export(path).probes.tolerance
    write_card(path, card.model_copy(update={"probes": card.probes.model_copy(update={"scores": scores})}))
    with pytest.raises(ModelError) as caught:
        check_export(path)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-PROBES", 4)
    assert "probe row 3 of 5" in str(caught.value)


def test_an_export_without_its_card_is_not_let_through(interactions, tmp_path, write):
    from batchscore.training.export import check_export

    export(interactions, tmp_path / "export", write({}))
    (tmp_path / "export" / "assets.extra" / "batchscore.json").unlink()
    with pytest.raises(ModelError) as caught:
        check_export(tmp_path / "export")
    assert caught.value.error_id == "E-MODEL-CARD"


def test_a_place_that_cannot_be_written(interactions, tmp_path, write, monkeypatch):
    path = tmp_path / "export"
    mkdir = Path.mkdir

    def fill(self):
        mkdir(self)
        (self / "variables").touch()

    monkeypatch.setattr(Path, "mkdir", fill)
    with pytest.raises(OutputError) as caught:
        export(interactions, path, write({}))
    assert caught.value.error_id == "E-OUTPUT"


def test_probes_are_seeded_rows_of_the_file_in_its_order(write, read):
    from batchscore.training.export import draw_probes

    numbers = list(range(200))
    settings = write({"user_id": numbers, "movie_id": numbers, "user_rating": numbers})
    rows = read(settings).rows
    first, again, other = (draw_probes(rows, settings.model_copy(update={"seed": seed})) for seed in (1, 1, 2))
    assert first.column_names == ["user_id", "movie_id"]
    drawn = first["user_id"].to_pylist()[:62]
    assert drawn == sorted(set(drawn))
    assert first["movie_id"].to_pylist()[:62] == drawn
    assert first.equals(again)
    assert not first.equals(other)
    assert first["user_id"][62].as_py() == first["movie_id"][63].as_py() == 200


@pytest.mark.parametrize(
    ("ids", "absent"),
    [([0, 1, 3, -1], 2), ([-2, 7], 0), (["unknown-0", "x", "unknown-2"], "unknown-1"), (["x"], "unknown-0")],
)
def test_an_absent_id_is_the_first_that_no_row_has(ids, absent):
    from batchscore.training.export import draw_probes

    column = pa.array(ids * 2, pa.int64() if isinstance(ids[0], int) else pa.large_string())
    rows = pa.table({"user_id": column, "movie_id": column})
    probes = draw_probes(rows, TrainSettings(input="in.csv", output="model"))
    assert probes["user_id"][-2].as_py() == probes["movie_id"][-1].as_py() == absent


@pytest.mark.parametrize("spell", [int, "user {}".format], ids=["numbers", "texts"])
def test_millions_of_ids_become_no_python_objects_for_an_absent_one(spell):
    from batchscore.training.export import draw_probes

    ids = pa.array([spell(number) for number in range(100_000)])
    ids = ids if pa.types.is_integer(ids.type) else ids.cast(pa.large_string())
    rows = pa.table({"user_id": ids, "movie_id": ids})
    tracemalloc.start()
    draw_probes(rows, TrainSettings(input="in.csv", output="model"))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 30 * len(ids)
