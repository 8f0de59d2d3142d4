from __future__ import annotations

import json
import os
import shutil
import stat

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.adoption.adopt import adopt
from batchscore.arrays.tolerance import score_tolerance
from batchscore.errors import BatchscoreError, ModelError
from batchscore.planning.plan import Head, Part, Plan, PlanInput, PlanTable
from batchscore.planning.plan_file import read_plan, write_plan
from batchscore.savedmodel.card import CARD_PATH, read_card, write_card
from batchscore.savedmodel.fingerprint import fingerprint
from batchscore.scoring.run import run
from batchscore.settings.adopt import AdoptSettings
from batchscore.settings.run import RunSettings

pytestmark = pytest.mark.tensorflow

USERS = [f"u{number}" for number in range(0, 60, 7)]
ITEMS = [f"m{number}" for number in range(0, 40, 3)]


def write_pairs(path, users, candidates, **features):
    pairs = [(user, candidate) for user in users[1] for candidate in candidates[1]]
    columns = {users[0]: [user for user, _ in pairs], candidates[0]: [candidate for _, candidate in pairs]}
    for name, make in features.items():
        columns[name] = [make(row) for row in range(len(pairs))]
    pq.write_table(pa.table(columns), path)
    return path


def refusal(error_id, **settings):
    with pytest.raises(BatchscoreError) as caught:
        adopt(AdoptSettings(**settings))
    assert caught.value.error_id == error_id
    return str(caught.value)


def plain_scores(tf, path, signature, feeds):
    """What TensorFlow itself gives."""
    loaded = tf.saved_model.load(str(path))
    return {name: value.numpy() for name, value in loaded.signatures[signature](**feeds(tf)).items()}


TEXT_IDS = {"users": ("user_id", USERS), "candidates": ("movie_id", ITEMS)}


def text_feeds(table, shape=(-1,)):
    return lambda tf: {
        name: tf.reshape(tf.constant(table[name].to_list()), shape) for name in ("user_id", "movie_id")
    }


CASES = {
    "heads": ("modules/heads", {"score_output": "0.7*rating + 0.3*click"}, TEXT_IDS, {}, "serving_default",
              text_feeds, lambda out: 0.7 * out["rating"] + 0.3 * out["click"].reshape(-1), (8, 10)),
    "one head": ("modules/heads", {"score_output": "click"}, TEXT_IDS, {}, "serving_default",
                 text_feeds, lambda out: out["click"], (8, 10)),
    "label": ("modules/label", {"set": ["user_rating=0"]}, TEXT_IDS, {}, "serving_default",
              lambda table: lambda tf: text_feeds(table)(tf) | {"user_rating": tf.zeros(len(table))},
              lambda out: out["score"], (8, 10)),
    "mutable": ("modules/mutable", {}, TEXT_IDS, {}, "serving_default", text_feeds,
                lambda out: out["score"], (8, 10)),
    "text_table": ("modules/text_table", {},
                   {"users": ("user_id", USERS), "candidates": ("item", [100, 104, 129])}, {}, "serving_default",
                   lambda table: lambda tf: {"user_id": tf.constant(table["user_id"].to_list()),
                                             "item": tf.constant(table["item"].to_numpy()[:, None])},
                   lambda out: out["score"], (8, 3)),
    "renamed": ("modules/renamed",
                {"signature": "rank", "map": ["uid=user_id", "article=sku"], "candidate_input": "article"},
                {"users": ("user_id", [3, 49, 77]), "candidates": ("sku", ITEMS)}, {}, "rank",
                lambda table: lambda tf: {"uid": tf.constant(table["user_id"].to_numpy()),
                                          "article": tf.constant(table["sku"].to_list())},
                lambda out: out["logit"], (2, 10)),
    "hashed": ("modules/hashed", {"candidate_input": "item_id"},
               {"users": ("user_id", USERS), "candidates": ("item_id", ITEMS)},
               {"premium": lambda row: row % 3 == 0, "age": lambda row: row % 90}, "serving_default",
               lambda table: lambda tf: {"user_id": tf.constant(table["user_id"].to_list()),
                                         "item_id": tf.constant(table["item_id"].to_list()),
                                         "premium": tf.constant(table["premium"].to_list()),
                                         "age": tf.constant(table["age"].to_list(), tf.int32)},
               lambda out: out["points"], (None, None)),
    "Keras 3": ("keras3/exported", {}, TEXT_IDS, {}, "serve", lambda table: text_feeds(table, (-1, 1)),
                lambda out: out["output_0"], (8, 10)),
    "Keras 3, serve": ("keras3/exported", {"signature": "serve"}, TEXT_IDS, {}, "serve",
                       lambda table: text_feeds(table, (-1, 1)), lambda out: out["output_0"], (8, 10)),
    "tf-keras export": ("tf_keras/exported", {}, TEXT_IDS, {}, "serving_default",
                        lambda table: text_feeds(table, (-1, 1)), lambda out: out["output_0"], (8, 10)),
    "tf-keras saved": ("tf_keras/saved", {}, TEXT_IDS, {}, "serving_default",
                       lambda table: text_feeds(table, (-1, 1)), lambda out: out["rating"], (8, 10)),
    "tfrs.Model": ("tfrs/saved", {"set": ["user_rating=0"]}, TEXT_IDS, {}, "serving_default",
                   lambda table: lambda tf: text_feeds(table)(tf) | {"user_rating": tf.zeros(len(table))},
                   lambda out: out["output_1"], (8, 10)),
    "fixed batch": ("modules/fixed_batch", {}, {"users": ("user_id", ["u1", "u2"]),
                                                "candidates": ("movie_id", ["m1", "m2", "m5", "m9"])}, {},
                    "serving_default", text_feeds, lambda out: out["score"].astype(np.float32), (2, 4)),
}  # fmt: skip


def as_versions(model, folder):
    """`model` as version 12 of a base directory, after a version 3, and before a 20 that is not complete."""
    for version in ("3", "12", "20"):
        shutil.copytree(model, folder / version)
    (folder / "20" / "saved_model.pb").unlink()
    (folder / "3" / "saved_model.pb").write_bytes(b"not this one")
    return folder


EXPORTERS = ("heads", "Keras 3", "tf-keras export", "tf-keras saved", "tfrs.Model")


@pytest.mark.parametrize(
    ("name", "layout"),
    [*((name, "one directory") for name in CASES), *((name, "directory of versions") for name in EXPORTERS)],
)
def test_what_other_people_export_is_adopted_and_scored_as_by_tensorflow(tf, exports, tmp_path, name, layout):
    place, flags, ids, features, signature, feeds, expected, known = CASES[name]
    kind, model = place.split("/")
    source = exports(kind) / model
    given = source if layout == "one directory" else as_versions(source, tmp_path / "theirs")
    report = adopt(AdoptSettings(saved_model=given, output=tmp_path / "model", **flags))
    assert (report.model_version, report.probe_origin) == (1, "invented")
    assert report.source == str(source if given == source else given / "12")
    assert report.probe_rows >= 16 or name == "fixed batch"
    pairs = write_pairs(tmp_path / "pairs.parquet", **ids, **features)
    done = run(RunSettings(input=pairs, output=tmp_path / "ranked.parquet", model=tmp_path / "model", top_n=1000))
    assert (done.known_users.known, done.known_candidates.known) == known
    table = pl.read_parquet(pairs)
    outputs = plain_scores(tf, source, signature, feeds(table))
    scores = np.asarray(expected(outputs), np.float64).reshape(-1)
    ranked = pl.read_parquet(tmp_path / "ranked.parquet")
    keys = [ids["users"][0], ids["candidates"][0]]
    joined = table.with_columns(expected=scores).join(ranked, on=keys, how="left")
    difference = (joined["score"].cast(pl.Float64) - joined["expected"]).abs().max()
    assert difference <= score_tolerance(scores)
    if layout == "directory of versions":
        version = RunSettings(
            input=pairs, output=tmp_path / "again.parquet", model=tmp_path / "model" / "1", top_n=1000
        )
        assert run(version).model.fingerprint == done.model.fingerprint
        assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "ranked.parquet").read_bytes()


def test_the_files_are_copied_and_listed_and_the_fingerprint_is_that_of_the_version(exports, tmp_path):
    source = exports("modules") / "text_table"
    report = adopt(AdoptSettings(saved_model=source, output=tmp_path / "model"))
    version = tmp_path / "model" / "1"
    for path in (path for path in source.rglob("*") if path.is_file()):
        copy = version / path.relative_to(source)
        assert copy.read_bytes() == path.read_bytes()
        assert copy.stat().st_ino != path.stat().st_ino
    card = read_card(version)
    assert {entry.path for entry in card.files} == {
        path.relative_to(version).as_posix() for path in version.rglob("*") if path.is_file()
    } - {CARD_PATH.as_posix()}
    assert fingerprint(version) == report.model_fingerprint
    assert len(set(card.probes.scores)) > 16


def test_versions_count_up_and_a_version_can_be_adopted_again(exports, tmp_path):
    base = tmp_path / "model"
    adopt(AdoptSettings(saved_model=exports("modules") / "label", output=base, set=["user_rating=0"]))
    report = adopt(AdoptSettings(saved_model=base, output=base))
    assert (report.model_version, report.source) == (2, str(base / "1"))
    assert read_card(base / "2").set == {"user_rating": "0"}


def test_the_card_of_a_trainer_is_kept_under_the_flags(tmp_path, models):
    report = adopt(AdoptSettings(saved_model=models.parents[1] / "sample_data" / "model", output=tmp_path / "model",
                                 map=["user_id=member"]))  # fmt: skip
    card = read_card(tmp_path / "model" / "1")
    before = read_card(models.parents[1] / "sample_data" / "model" / "1")
    assert (card.known, card.training) == (before.known, before.training)
    assert card.map == {"user_id": "member"}
    assert report.unknown_ids == {"user": "signature known", "candidate": "signature known"}


def test_flags_of_a_run_win_over_the_card(exports, tmp_path):
    source, base = exports("modules") / "label", tmp_path / "model"
    adopt(AdoptSettings(saved_model=source, output=base, set=["user_rating=0"], map=["movie_id=sku"]))
    pairs = write_pairs(
        tmp_path / "pairs.parquet", ("user_id", USERS), ("sku", ITEMS), film=lambda row: f"m{row % 30}"
    )
    output = tmp_path / "ranked.parquet"
    report = run(RunSettings(input=pairs, output=output, model=base))
    assert {item.input: item.column or item.constant for item in report.bindings} == {
        "movie_id": "sku", "user_id": "user_id", "user_rating": "0.0"
    }  # fmt: skip
    report = run(RunSettings(input=pairs, output=output, model=base, set=["user_rating=3"], map=["movie_id=film"],
                             max_unknown_candidates="off"))  # fmt: skip
    assert {item.input: item.column or item.constant for item in report.bindings} == {
        "movie_id": "film", "user_id": "user_id", "user_rating": "3.0"
    }  # fmt: skip


def test_a_constant_date_is_kept_open_in_the_card_and_filled_each_night(exports, tmp_path):
    base = tmp_path / "model"
    adopt(AdoptSettings(saved_model=exports("modules") / "label", output=base, set=["user_rating={date}"],
                        date="1970-01-02"))  # fmt: skip
    card = read_card(base / "1")
    assert card.set == {"user_rating": "{date}"}
    assert set(card.probes.inputs["user_rating"]) == {86_400.0}
    pairs = write_pairs(tmp_path / "pairs.parquet", ("user_id", USERS), ("movie_id", ITEMS))
    report = run(RunSettings(input=pairs, output=tmp_path / "ranked.parquet", model=base, date="1970-01-03"))
    assert [item.constant for item in report.bindings if item.constant] == ["172800.0"]


def test_probe_rows_may_be_drawn_from_real_pairs(exports, tmp_path):
    sample = write_pairs(tmp_path / "sample.parquet", ("member", USERS), ("movie_id", ITEMS))
    report = adopt(
        AdoptSettings(
            saved_model=exports("modules") / "mutable", output=tmp_path / "model", probes=sample,
            map=["user_id=member"],
        )
    )  # fmt: skip
    probes = read_card(tmp_path / "model" / "1").probes
    assert (report.probe_rows, report.probe_origin, report.warnings) == (64, "drawn from sample.parquet", [])
    assert set(probes.inputs["user_id"]) == set(USERS)
    assert set(probes.inputs["movie_id"]) <= set(ITEMS)


def test_a_small_sample_is_taken_with_a_warning(exports, tmp_path):
    sample = write_pairs(tmp_path / "sample.parquet", ("user_id", ["u1"]), ("movie_id", ["m1", "m2"]))
    report = adopt(
        AdoptSettings(saved_model=exports("modules") / "mutable", output=tmp_path / "model", probes=sample)
    )
    assert report.probe_rows == 2
    assert report.warnings == ["the sample gives only 2 probe rows; 16 or more test more"]


def test_a_sample_that_does_not_fit_is_refused(exports, tmp_path):
    source = exports("modules") / "mutable"
    sample = write_pairs(tmp_path / "sample.parquet", ("user_id", USERS), ("sku", ITEMS))
    message = refusal("E-BINDING", saved_model=source, output=tmp_path / "model", probes=sample)
    assert "input movie_id string [n] has no column 'movie_id'" in message
    sample = write_pairs(tmp_path / "sample.parquet", ("user_id", [None]), ("movie_id", ["m1"]))
    table = pq.read_table(sample)
    pq.write_table(table.cast(pa.schema([("user_id", pa.string()), ("movie_id", pa.string())])), sample)
    message = refusal("E-BAD-ROWS", saved_model=source, output=tmp_path / "model", probes=sample)
    assert "no row of the sample can be scored" in message
    assert "found:    null id: 1" in message
    assert [path.name for path in (tmp_path / "model").glob("[0-9]*")] == []


def test_the_label_among_the_inputs_is_recognised(exports, tmp_path):
    message = refusal("E-BINDING", saved_model=exports("modules") / "label", output=tmp_path / "model")
    assert "input user_rating float32 [n] looks like the label that the model was trained on" in message
    assert message.endswith("next:     add --set user_rating=0")
    assert not (tmp_path / "model").exists()
    adopt(AdoptSettings(saved_model=exports("modules") / "label", output=tmp_path / "model",
                        map=["user_rating=user_rating"]))  # fmt: skip
    assert read_card(tmp_path / "model" / "1").map == {"user_rating": "user_rating"}


@pytest.mark.parametrize(("name", "flags", "said"), [
    ("hashed", {}, "the candidate input is not clear; give --candidate-input"),
    ("renamed", {"signature": "rank"}, "the user input is not clear; give --user-input"),
    ("heads", {"score_output": "click", "map": ["movie=sku"]}, "--map movie: the model has no such input"),
    ("heads", {"score_output": "click", "user_input": "member"}, "--user-input member: the model has no"),
    ("heads", {"score_output": "click", "candidate_input": "user_id"}, "input user_id takes both ids"),
    ("heads", {"score_output": "click", "set": ["movie_id=m1"]}, "the candidate input is not clear"),
    ("hashed", {"candidate_input": "item_id", "fill": ["height=1"]}, "--fill height: the model has no such input"),
    ("hashed", {"candidate_input": "item_id", "fill": ["item_id=1"]}, "--fill item_id: an id is never filled in"),
    ("hashed", {"candidate_input": "item_id", "fill": ["age=old"]}, "--fill age=old: not a value of int32"),
    ("hashed", {"candidate_input": "item_id", "fill": ["age=1"], "set": ["age=2"]}, "--set excludes --fill"),
    ("hashed", {"candidate_input": "item_id", "map": ["age=old"], "set": ["age=2"]}, "--set excludes --map"),
    ("hashed", {"candidate_input": "item_id", "set": ["age=old"]}, "--set age=old: not a value of int32"),
    ("hashed", {"candidate_input": "premium"}, "input premium bool [n] cannot take the candidate's id"),
])  # fmt: skip
def test_what_cannot_be_told_is_asked_for(exports, tmp_path, name, flags, said):
    flags = {"saved_model": exports("modules") / name, "output": tmp_path / "model", **flags}
    assert said in refusal("E-BINDING", **flags)
    assert not (tmp_path / "model").exists()


def test_what_stands_for_nulls_is_told_once(exports, tmp_path):
    source, base = exports("modules") / "hashed", tmp_path / "model"
    sample = write_pairs(tmp_path / "pairs.parquet", ("user_id", USERS), ("item_id", ITEMS),
                         premium=lambda row: row % 3 == 0, age=lambda row: None if row % 2 else 40)  # fmt: skip
    adopted = adopt(AdoptSettings(saved_model=source, output=base, candidate_input="item_id", fill=["age=30"],
                                  probes=sample))  # fmt: skip
    assert adopted.fill == {"age": "30"}
    assert set(read_card(base / "1").probes.inputs["age"]) == {30, 40}
    report = run(RunSettings(input=sample, output=tmp_path / "ranked.parquet", model=base))
    assert {bound.input: bound.filled for bound in report.bindings}["age"] == len(USERS) * len(ITEMS) // 2
    again = adopt(AdoptSettings(saved_model=base / "1", output=tmp_path / "again"))
    assert again.fill == {"age": "30"}


def test_models_that_cannot_be_ranked_by_are_refused_and_nothing_is_published(exports, tmp_path):
    modules, base = exports("modules"), tmp_path / "model"
    assert "takes a list of 10 values per row" in refusal(
        "E-MODEL-SIGNATURE", saved_model=modules / "listwise", output=base
    )
    of_list = {"saved_model": modules / "list_feature", "output": base, "candidate_input": "movie_id"}
    assert "input genres string [n, L] takes a list of any length" in refusal("E-BINDING", **of_list)
    message = refusal("E-MODEL-PROBES", saved_model=modules / "noisy", output=base)
    assert "the model gives the same row different scores from call to call" in message
    assert "no dropout" in message
    message = refusal("E-MODEL-PROBES", saved_model=modules / "mixing", output=base)
    assert "the model gives the same row different scores beside other rows" in message
    assert "no statistics over the batch" in message
    assert "all NaN, infinite or beyond float32" in refusal(
        "E-MODEL-NONFINITE", saved_model=modules / "no_number", output=base
    )
    assert list(base.glob("[0-9]*")) == []


def test_a_model_that_fails_on_unknown_ids_gets_known_ones(exports, tmp_path):
    report = adopt(AdoptSettings(saved_model=exports("modules") / "strict", output=tmp_path / "model"))
    assert (report.probe_rows, report.warnings) == (32, [])
    assert all(user.startswith("u") for user in read_card(tmp_path / "model" / "1").probes.inputs["user_id"])


def test_a_risky_model_is_adopted_only_when_trusted_and_so_is_its_copy_run(exports, tmp_path):
    source = exports("risky") / "ReadFile"
    message = refusal("E-MODEL-UNTRUSTED", saved_model=source, output=tmp_path / "model")
    assert "ReadFile reads files" in message
    message = refusal("E-BINDING", saved_model=source, output=tmp_path / "model", trust_model=True)
    assert "the user input is not clear" in message


def test_the_output_may_not_lie_in_the_source(exports, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(exports("modules") / "mutable", source)
    refusal("E-OUTPUT-IS-INPUT", saved_model=source, output=source / "model")
    refusal("E-OUTPUT-IS-INPUT", saved_model=source, output=source)


def test_a_source_that_changes_under_the_copy_is_noticed(exports, tmp_path, monkeypatch):
    source = tmp_path / "source"
    shutil.copytree(exports("modules") / "mutable", source)
    copyfile = shutil.copyfile

    def change(origin, target):
        copyfile(origin, target)
        (source / "saved_model.pb").write_bytes(b"new")

    monkeypatch.setattr("batchscore.adoption.copying.shutil.copyfile", change)
    message = refusal("E-MODEL-INCOMPLETE", saved_model=source, output=tmp_path / "model")
    assert "the SavedModel changed while it was copied" in message
    assert list((tmp_path / "model").glob("[0-9]*")) == []


def test_the_command(batchscore, exports, tmp_path):
    told = batchscore("adopt", exports("modules") / "heads", "--output", tmp_path / "model", "--score-output",
                      "rating*click", "--json")  # fmt: skip
    assert told.exit_code == 0
    report = json.loads(told.out)
    assert (report["model_version"], report["score_output"]) == (1, "rating*click")
    assert "INFO published model 1: signature serving_default, score rating*click, user user_id" in told.err
    told = batchscore("adopt", "--output", tmp_path / "model")
    assert (told.exit_code, "Missing argument 'SAVEDMODEL'" in told.err) == (2, True)
    told = batchscore("adopt", exports("modules") / "heads", "--output", tmp_path / "model")
    assert told.exit_code == 4
    assert "E-MODEL-OUTPUT: 2 outputs of signature 'serving_default' could be the score" in told.err


# the plan


@pytest.mark.planner
@pytest.mark.process
def test_a_plan_is_left_with_the_model_and_the_run_takes_it(exports, tmp_path):
    report = adopt(AdoptSettings(saved_model=exports("modules") / "label", output=tmp_path / "model",
                                 set=["user_rating=0"]))  # fmt: skip
    assert report.no_plan_reason is None
    assert isinstance(read_plan(tmp_path / "model" / "1" / CARD_PATH.parent), Plan)
    pairs = write_pairs(tmp_path / "pairs.parquet", ("user_id", USERS), ("movie_id", ITEMS))
    ranked = run(RunSettings(input=pairs, output=tmp_path / "ranked.parquet", model=tmp_path / "model",
                             plan="require", plan_cache=tmp_path / "none"))  # fmt: skip
    assert ranked.plan.used
    assert not (tmp_path / "none").exists(), "nothing had to be made"


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (ModelError("E-MODEL-PLAN", "the planner failed", found="exit code 1: x", next_step="n"),
         "the planner failed: exit code 1: x"),
        (OSError(2, "No such file or directory"),
         "the planner cannot be started: [Errno 2] No such file or directory"),
    ],
)  # fmt: skip
def test_a_planner_that_fails_is_no_failure_of_the_adoption(exports, tmp_path, monkeypatch, trouble, reason):
    def make_plan(*_, **__):
        raise trouble

    monkeypatch.setattr("batchscore.adoption.adopt.make_plan", make_plan)
    report = adopt(AdoptSettings(saved_model=exports("modules") / "label", output=tmp_path / "model",
                                 set=["user_rating=0"]))  # fmt: skip
    assert report.no_plan_reason == reason
    assert report.warnings[-1] == f"the model is published without a plan:  {reason}"


def test_a_plan_that_does_not_load_is_not_left_with_the_model(exports, tmp_path, monkeypatch):
    def refuse(*_):
        raise ModelError("E-MODEL-LOAD", "TensorFlow cannot add the plan", found="a name is taken", next_step="n")

    monkeypatch.setattr("batchscore.adoption.adopt.make_plan", lambda *given, **_: put_plan(given[3]))
    monkeypatch.setattr("batchscore.planning.plan_loading.load_plan", refuse)
    report = adopt(AdoptSettings(saved_model=exports("modules") / "label", output=tmp_path / "model",
                                 set=["user_rating=0"]))  # fmt: skip
    assert report.no_plan_reason == "TensorFlow cannot add the plan: a name is taken"
    assert report.summary().endswith(f", no plan: {report.no_plan_reason}")
    assert report.warnings[-1] == f"the model is published without a plan:  {report.no_plan_reason}"
    left = read_plan(tmp_path / "model" / "1" / CARD_PATH.parent)
    assert left.reason == report.no_plan_reason


def put_plan(folder):
    item = PlanInput("user_id", "batchscore/user/inputs/0:0", "string", 1)
    table = PlanTable("batchscore/user/tables/0:0", "batchscore/head/user/table_0:0", "float32", 4)
    part = Part("user", (item,), (table,), "batchscore/head/user/rows:0", ())
    head = Head("batchscore/head/scores:0", "float32", 512, 64, "batchscore/head/blocks:0", (), ())
    plan = Plan("serving_default", "score", (part,), head, 1, 1, "2.21.0", b"")
    write_plan(folder, plan)
    return plan


def test_a_sum_of_outputs_has_no_plan(exports, tmp_path):
    report = adopt(AdoptSettings(saved_model=exports("modules") / "heads", output=tmp_path / "model",
                                 score_output="0.7*rating + 0.3*click"))  # fmt: skip
    assert "computed from outputs" in report.no_plan_reason
    assert not [warning for warning in report.warnings if "plan" in warning]


def test_a_sample_that_is_not_there_is_told_by_its_flag(exports, tmp_path):
    source = exports("modules") / "mutable"
    missing = refusal("E-INPUT-MISSING", saved_model=source, output=tmp_path / "model", probes=tmp_path / "gone")
    assert missing.endswith("or correct --probes")
    (tmp_path / "notes.txt").write_text("user_id,movie_id")
    other = refusal("E-INPUT-NOT-PARQUET", saved_model=source, output=tmp_path / "model",
                    probes=tmp_path / "notes.txt")  # fmt: skip
    assert "or correct --probes" in other
    assert "--input" not in missing + other


# invented rows


def test_a_score_that_depends_on_the_longest_text_of_a_call_is_refused(exports, tmp_path):
    message = refusal("E-MODEL-PROBES", saved_model=exports("modules") / "text_mean", output=tmp_path / "model",
                      candidate_input="movie_id")  # fmt: skip
    assert "the model gives the same row different scores beside other rows" in message
    assert list((tmp_path / "model").glob("[0-9]*")) == []


def test_invented_rows_vary_and_ids_stay_whole(exports, tmp_path):
    adopt(AdoptSettings(saved_model=exports("modules") / "float_ids", output=tmp_path / "model",
                        user_input="user_id", candidate_input="movie_id"))  # fmt: skip
    inputs = read_card(tmp_path / "model" / "1").probes.inputs
    assert all(value == int(value) for name in ("user_id", "movie_id") for value in inputs[name])
    assert len(set(inputs["age"])) > 8
    adopt(AdoptSettings(saved_model=exports("modules") / "hashed", output=tmp_path / "hashed",
                        candidate_input="item_id"))  # fmt: skip
    inputs = read_card(tmp_path / "hashed" / "1").probes.inputs
    assert len({len(text.split()) for text in inputs["item_id"]}) > 3
    assert {type(value) for value in inputs["premium"]} == {bool}


def test_float_inputs_that_a_run_feeds_whole_numbers_take_ids(tf, exports, tmp_path):
    source = exports("modules") / "float_ids"
    adopt(AdoptSettings(saved_model=source, output=tmp_path / "model", user_input="user_id",
                        candidate_input="movie_id"))  # fmt: skip
    pairs = write_pairs(tmp_path / "pairs.parquet", ("user_id", range(12)), ("movie_id", range(20, 28)),
                        age=float)  # fmt: skip
    run(RunSettings(input=pairs, output=tmp_path / "ranked.parquet", model=tmp_path / "model", top_n=100))
    table = pl.read_parquet(pairs)
    serve = tf.saved_model.load(str(source)).signatures["serving_default"]
    columns = {name: tf.constant(table[name].to_numpy()[:, None], tf.float32) for name in table.columns}
    expected = serve(**columns)["score"].numpy().reshape(-1)
    joined = table.with_columns(expected=expected).join(
        pl.read_parquet(tmp_path / "ranked.parquet"), on=["user_id", "movie_id"]
    )
    assert joined.height == 12 * 8
    assert (joined["score"] - joined["expected"]).abs().max() <= score_tolerance(expected)


# what differs from call to call


def test_a_score_computed_from_the_clock_is_refused_by_every_command(exports, tmp_path, batchscore):
    source = exports("modules") / "clock"
    message = refusal("E-MODEL-PROBES", saved_model=source, output=tmp_path / "model")
    assert "the score 'score' depends on the clock" in message
    assert "Timestamp reads the clock: node" in message
    assert not (tmp_path / "model").exists()
    pairs = write_pairs(tmp_path / "pairs.parquet", ("user_id", USERS), ("movie_id", ITEMS))
    told = batchscore("run", "--input", pairs, "--output", tmp_path / "ranked.parquet", "--model", source)
    assert (told.exit_code, "the score 'score' depends on the clock" in told.err) == (4, True)
    told = batchscore("inspect", source)
    assert "run would refuse this model\n  E-MODEL-PROBES: the score 'score' depends on the clock" in told.out


def test_a_clock_beside_the_score_is_nobodys_business(exports, tmp_path):
    report = adopt(AdoptSettings(saved_model=exports("modules") / "clock_beside", output=tmp_path / "model",
                                 score_output="score"))  # fmt: skip
    assert report.warnings == []


@pytest.mark.parametrize(("name", "op"), [
    ("noisy", "RandomUniform draws random numbers"),
    ("counter", "AssignAddVariableOp changes what the model remembers"),
])  # fmt: skip
def test_the_op_that_makes_a_row_another_one_is_named(exports, tmp_path, batchscore, name, op):
    source = exports("modules") / name
    message = refusal("E-MODEL-PROBES", saved_model=source, output=tmp_path / "model")
    assert "the model gives the same row different scores from call to call" in message
    assert f"    {op}: node" in message
    assert f"may vary     {op}: node" in batchscore("inspect", source).out


def test_a_run_names_the_op_too(exports, tmp_path, batchscore):
    pairs = write_pairs(tmp_path / "pairs.parquet", ("user_id", USERS), ("movie_id", ITEMS))
    told = batchscore("run", "--input", pairs, "--output", tmp_path / "ranked.parquet", "--model",
                      exports("modules") / "noisy")  # fmt: skip
    assert told.exit_code == 4
    assert "the model gives one pair different scores within one call" in told.err
    assert "RandomUniform draws random numbers: node" in told.err


# what is copied, and what may fail after it is published


def test_whatever_fails_after_the_publication_is_a_warning(exports, tmp_path, failpoints, caplog):
    output = tmp_path / "model"
    settings = AdoptSettings(saved_model=exports("modules") / "mutable", output=output)
    with failpoints.Failpoint(lambda target: target == output / "1").armed() as point:
        report = adopt(settings)
    assert point.failed is not None
    assert report.model_version == 1
    assert "but may not survive a power cut" in caplog.text
    assert adopt(settings).model_version == 2


@pytest.mark.parametrize("place", ["secret.txt", "assets.extra/secret.txt"])
def test_a_link_that_leads_out_of_the_model_is_not_followed(exports, tmp_path, place):
    source, secret = tmp_path / "source", tmp_path / "id_rsa"
    shutil.copytree(exports("modules") / "mutable", source)
    secret.write_text("private")
    secret.chmod(0o600)
    (source / place).parent.mkdir(exist_ok=True)
    (source / place).symlink_to(secret)
    message = refusal("E-MODEL-LINK", saved_model=source, output=tmp_path / "model")
    assert f"{place} -> {secret}" in message
    assert not (tmp_path / "model").exists()


def test_a_link_to_a_folder_or_round_in_a_circle_is_told(exports, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(exports("modules") / "mutable", source)
    (source / "variables").rename(tmp_path / "elsewhere")
    (source / "variables").symlink_to(tmp_path / "elsewhere")
    assert "variables -> " in refusal("E-MODEL-LINK", saved_model=source, output=tmp_path / "model")


def test_a_link_within_the_model_becomes_a_file_and_private_files_stay_private(exports, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(exports("modules") / "mutable", source)
    (source / "saved_model.pb").chmod(0o600)
    (source / "notes.md").write_text("hello")
    (source / "notes.md").chmod(0o666)
    (source / "README.md").symlink_to("notes.md")
    umask = os.umask(0o022)
    try:
        adopt(AdoptSettings(saved_model=source, output=tmp_path / "model"))
    finally:
        os.umask(umask)
    version = tmp_path / "model" / "1"
    modes = {name: stat.S_IMODE((version / name).lstat().st_mode) for name in ("saved_model.pb", "README.md")}
    assert modes == {"saved_model.pb": 0o600, "README.md": 0o644}
    assert (version / "README.md").read_text() == "hello"
    assert not (version / "README.md").is_symlink()


def test_a_card_that_lists_no_possible_name_is_told(exports, tmp_path, batchscore):
    base = tmp_path / "model"
    adopt(AdoptSettings(saved_model=exports("modules") / "mutable", output=base))
    path = base / "1" / CARD_PATH
    card = json.loads(path.read_text())
    card["files"].append({"path": "saved\0model.pb", "bytes": 1})
    path.write_text(json.dumps(card))
    for command in (("inspect", base / "1"), ("adopt", base / "1", "--output", tmp_path / "again")):
        told = batchscore(*command)
        assert told.exit_code == 4, told.err
        assert "E-MODEL-CARD: the model card is not valid" in told.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_told(exports, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(exports("modules") / "mutable", source)
    (source / "variables").chmod(0)
    try:
        refusal("E-MODEL-UNREADABLE", saved_model=source, output=tmp_path / "model")
    finally:
        (source / "variables").chmod(0o755)


# what every run would refuse


def test_equal_scores_are_refused_as_by_every_run(exports, tmp_path, batchscore):
    source, base = exports("modules") / "equal", tmp_path / "model"
    message = refusal("E-SCORES-EQUAL", saved_model=source, output=base)
    assert "all 32 probe rows have the score 3; it was not published" in message
    assert message.endswith("or accept it with --allow-equal-scores")
    assert not base.exists()
    assert (
        adopt(AdoptSettings(saved_model=source, output=base, allow_equal_scores=True))
        .warnings[-1]
        .startswith("every probe row has the same score")
    )
    pairs = write_pairs(tmp_path / "pairs.parquet", ("user_id", USERS), ("movie_id", ITEMS))
    told = batchscore("run", "--input", pairs, "--output", tmp_path / "ranked.parquet", "--model", base)
    assert (told.exit_code, "E-SCORES-EQUAL" in told.err) == (6, True)


def test_a_score_that_ignores_the_user_is_refused_as_by_every_run(exports, tmp_path, batchscore):
    source, base = exports("modules") / "same_for_all", tmp_path / "model"
    message = refusal("E-IDENTICAL-LISTS", saved_model=source, output=base)
    assert (
        "the score ignores the user in 32 of 32 probe rows (100.0 %, limit 50 %); it was not published" in message
    )
    report = adopt(AdoptSettings(saved_model=source, output=base, max_identical_lists="off"))
    (warning,) = report.warnings
    assert warning.startswith("no score depends on input user_id: if nothing else describes the user, every run")
    users = [f"u{number}" for number in range(20)]
    pairs = write_pairs(tmp_path / "pairs.parquet", ("user_id", users), ("movie_id", ITEMS))
    told = batchscore("run", "--input", pairs, "--output", tmp_path / "ranked.parquet", "--model", base)
    assert (told.exit_code, "E-IDENTICAL-LISTS" in told.err) == (6, True)


def test_real_pairs_of_few_users_tell_nothing_of_the_user(exports, tmp_path):
    sample = write_pairs(tmp_path / "sample.parquet", ("user_id", ["u1"]), ("movie_id", ITEMS))
    report = adopt(AdoptSettings(saved_model=exports("modules") / "same_for_all", output=tmp_path / "model",
                                 probes=sample))  # fmt: skip
    assert not [warning for warning in report.warnings if "depends on" in warning]


def test_a_known_signature_of_other_roles_is_not_kept(tmp_path, models):
    sample = models.parents[1] / "sample_data" / "model"
    report = adopt(AdoptSettings(saved_model=sample, output=tmp_path / "model", user_input="movie_id",
                                 candidate_input="user_id"))  # fmt: skip
    assert read_card(tmp_path / "model" / "1").known is None
    assert report.unknown_ids["user"].startswith("look-up table of ")


def test_a_known_signature_that_does_not_fit_is_refused_as_by_every_run(tmp_path, models):
    model = tmp_path / "theirs"
    shutil.copytree(models.parents[1] / "sample_data" / "model" / "1", model)
    card = read_card(model)
    write_card(model, card.model_copy(update={"known": card.known.model_copy(update={"signature": "gone"})}))
    message = refusal("E-MODEL-CARD", saved_model=model, output=tmp_path / "model")
    assert "the card's known signature 'gone' does not fit the SavedModel" in message


def test_a_table_that_cannot_be_looked_up_costs_no_adoption(exports, tmp_path, monkeypatch):
    def open_lookup(*_):
        raise ModelError("E-MODEL-LOAD", "no such table", next_step="n")

    monkeypatch.setattr("batchscore.adoption.adopt.open_lookup", open_lookup)
    report = adopt(AdoptSettings(saved_model=exports("modules") / "mutable", output=tmp_path / "model"))
    assert report.unknown_ids == dict.fromkeys(("user", "candidate"), "not counted: its table cannot be looked up")
    assert read_card(tmp_path / "model" / "1").known_tables is None
