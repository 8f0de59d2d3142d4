from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from batchscore.errors import UsageError
from batchscore.settings.recipe import Feature, Task
from batchscore.settings.resolve import resolve
from batchscore.settings.train import TrainSettings

GIVEN = {"input": "in.csv", "output": "model"}


def settings(**flags):
    return resolve(TrainSettings, "train", GIVEN | flags, environ={}).settings


def test_the_defaults_are_the_tutorial_s():
    default = settings()
    assert (default.embedding_dimension, default.layers, default.learning_rate) == (32, (256, 64), 0.1)
    assert (default.batch_rows, default.shuffle_rows, default.epochs, default.held_out) == (8192, 100_000, 3, 0.2)


@pytest.mark.parametrize(("text", "widths"), [("256,64", (256, 64)), (" 8 ", (8,)), ("", ()), ([3, 4], (3, 4))])
def test_layers_are_a_list(text, widths):
    assert settings(layers=text).layers == widths


def test_a_toml_table_is_read(tmp_path):
    config = tmp_path / "train.toml"
    config.write_text('[train]\ninput = "in.csv"\noutput = "model"\nlayers = [8, 4]\nbatch-rows = 256\n')
    resolved = resolve(TrainSettings, "train", {"seed": "7"}, config=config, environ={})
    assert (resolved.settings.layers, resolved.settings.batch_rows, resolved.settings.seed) == ((8, 4), 256, 7)
    assert resolved.settings.input == tmp_path / "in.csv"
    assert resolved.sources["seed"] == "argument"
    assert resolved.sources["epochs"] == "default"


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"input": "in.txt"}, "input: in.txt is neither .parquet nor .csv"),
        ({"user_column": "user id"}, "user_column: 'user id' cannot name an input of a SavedModel"),
        ({"candidate_column": "1st"}, "candidate_column: '1st' cannot name"),
        ({"candidate_column": "class"}, "candidate_column: 'class' cannot name"),
        ({"user_column": "score"}, "user_column: 'score' would clash"),
        ({"candidate_column": "user_id"}, "candidate_column: 'user_id' is the user_column already"),
        ({"rating_column": "movie_id"}, "rating_column: 'movie_id' is the candidate_column already"),
        ({"layers": "256,x"}, "layers: "),
        ({"layers": "0"}, "layers: "),
        ({"held_out": "1"}, "held_out: "),
        ({"learning_rate": "inf"}, "learning_rate: "),
        ({"epochs": "0"}, "epochs: "),
        ({"seed": str(2**31)}, "seed: "),
    ],
)
def test_settings_that_are_not_valid(flags, problem):
    with pytest.raises(UsageError) as caught:
        settings(**flags)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-CONFIG", 2)
    assert problem in str(caught.value)


def test_the_declaration_of_a_model_stands_in_tables_of_its_own(tmp_path):
    config = tmp_path / "train.toml"
    config.write_text(
        '[train]\ninput = "in.csv"\noutput = "model"\nusers = "users.parquet"\n'
        '[features.genres]\nrole = "candidate"\nkind = "list"\n'
        '[model]\ninteraction = "dot"\nuser_layers = [8]\n'
        '[tasks.clicked]\nkind = "click"\nlabel = "clicked"\n'
    )
    given = resolve(TrainSettings, "train", {}, config=config, environ={"BATCHSCORE_MODEL": "live"}).settings
    assert given.users == tmp_path / "users.parquet"
    assert list(given.all_features()) == ["user_id", "movie_id", "genres"]
    assert given.features["genres"].separator == "|"
    assert (given.model.interaction, given.model.user_layers) == ("dot", (8,))
    assert list(given.all_tasks()) == ["clicked"]


def test_a_table_that_is_given_twice(tmp_path):
    config = tmp_path / "train.toml"
    config.write_text("[train]\n[train.model]\nbiases = true\n[model]\nbiases = false\n")
    with pytest.raises(UsageError, match=r"model is given twice, in \[train\] and beside it"):
        resolve(TrainSettings, "train", {}, config=config, environ={})


def test_without_tables_the_two_ids_predict_the_rating():
    default = settings()
    assert [(name, kind.role) for name, kind in default.all_features().items()] == [
        ("user_id", "user"),
        ("movie_id", "candidate"),
    ]
    assert [(task.kind, task.label) for task in default.all_tasks().values()] == [("rating", "user_rating")]


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        ({"features": {"x": {"kind": "number"}}}, "features.x.role: not given"),
        ({"features": {"x": {"role": "user", "kind": "numbr"}}}, "features.x.kind: must be one of 'vocabulary', "),
        ({"features": {"x": {"role": "user", "min_count": 2}}}, "features.x.kind: not given"),
        ({"tasks": {"x": {"label": "x"}}}, "tasks.x.kind: not given"),
        ({"features": {"x": {"role": "user", "kind": "number", "size": 3}}}, "features.x.size: there is no such"),
        ({"features": {"a b": {"role": "user", "kind": "number"}}}, "features: 'a b' cannot name an input"),
        (
            {"features": {"x": {"role": "user", "kind": "number", "dimension": 8}}},
            "features.x: dimension changes nothing: a number is one number",
        ),
        ({"features": {"x": {"role": "user", "kind": "buckets"}}}, "features.x: give either boundaries or count"),
        (
            {"features": {"x": {"role": "user", "kind": "buckets", "boundaries": [2, 1]}}},
            "features.x: boundaries are finite numbers in ascending order",
        ),
        (
            {"features": {"x": {"role": "context", "kind": "timestamp", "buckets": 9, "bucket_seconds": 9}}},
            "features.x: give either buckets or bucket_seconds",
        ),
        (
            {"features": {"x": {"role": "context", "kind": "timestamp", "min_count": 9}}},
            "features.x: min_count changes nothing without bucket_seconds",
        ),
        (
            {"features": {"x": {"role": "context", "kind": "timestamp", "bucket_seconds": 2**63}}},
            "features.x.bucket_seconds: ",
        ),
        ({"features": {"user_rating": {"role": "user", "kind": "number"}}}, "    user_rating is what"),
        ({"model": {"factory": "ours"}}, "model.factory: "),
        ({"model": {"factory": "a:b", "biases": True}}, "model: with a factory the model is yours: biases"),
        ({"model": {"factory_folder": "."}}, "model: factory_folder without factory changes nothing"),
        ({"model": {"cross_rank": 4}}, "model: cross_rank changes nothing without interaction"),
        (
            {"tasks": {name: {"kind": "click", "label": "x", "negatives": 1} for name in "ab"}},
            "    at most one task draws negatives",
        ),
        ({"split": "time"}, '    split = "time" needs timestamp_column'),
        (
            {"features": {"user_id": {"role": "context", "kind": "hashed", "buckets": 9}}},
            "    user_id holds user ids: its role is user",
        ),
        ({"features": {"movie_id": {"role": "candidate", "kind": "text"}}}, "its kind vocabulary or hashed"),
        ({"timestamp_column": "user_rating"}, "    user_rating is the timestamp_column, so no task"),
        ({"timestamp_column": "user_id"}, "    user_id is the timestamp_column: as a feature its kind is"),
        (
            {"timestamp_column": "at", "features": {"at": {"role": "context", "kind": "number"}}},
            "    at is the timestamp_column: as a feature its kind is timestamp",
        ),
        (
            {
                "tasks": {
                    "a": {"kind": "click", "label": "x", "negatives": 1},
                    "b": {"kind": "rating", "label": "x"},
                }
            },
            "    x is a column for one task, and drawn with its negatives by another",
        ),
        (
            {
                "tasks": {
                    "a": {"kind": "pairwise", "label": "x"},
                    "b": {"kind": "listwise", "label": "x"},
                }
            },
            "    one model has pairwise or listwise tasks",
        ),
        (
            {
                "tasks": {
                    "a": {"kind": "listwise", "label": "x", "list_length": 8},
                    "b": {"kind": "listwise", "label": "y"},
                }
            },
            "    tasks of one model share their lists, so their list_length is one: 8, 32",
        ),
        (
            {"rating_column": "stars", "tasks": {"a": {"kind": "rating", "label": "x"}}},
            "    rating_column changes nothing beside tasks: their labels are x",
        ),
        ({"last": 2}, "last counts rows of each user"),
        ({"split": "last", "held_out": 0.3}, "held_out changes nothing with split"),
        ({"validation": 0.3}, "validation says by which rows training stops early, so it needs patience"),
    ],
)
def test_declarations_that_are_not_valid(tables, problem):
    with pytest.raises(UsageError) as caught:
        settings(**tables)
    assert problem in str(caught.value)


def test_a_problem_of_several_settings_is_said_to_come_from_none(tmp_path):
    config = tmp_path / "train.toml"
    config.write_text('[train]\ninput = "i.csv"\noutput = "o"\nsplit = "last"\nheld_out = 0.3\n')
    with pytest.raises(UsageError) as caught:
        resolve(TrainSettings, "train", {}, config=config, given_as="flag")
    assert "held_out changes nothing" in str(caught.value)
    assert "from flag" not in str(caught.value)


def test_a_factory_is_looked_for_beside_the_toml_and_settings_can_be_given_again(tmp_path):
    config = tmp_path / "train.toml"
    config.write_text('[train]\ninput = "in.csv"\noutput = "model"\n[model]\nfactory = "ours:build"\n')
    given = resolve(TrainSettings, "train", {}, config=config, environ={}).settings
    assert given.model.factory_folder == tmp_path
    assert TrainSettings(**given.model_dump(mode="json")) == given
    config.write_text(config.read_text() + 'factory_folder = "models"\n')
    given = resolve(TrainSettings, "train", {}, config=config, environ={}).settings
    assert given.model.factory_folder == tmp_path / "models"


TRAIN_PAGE = Path(__file__).parents[2] / "batchscore" / "docs" / "train.md"


def test_the_declarations_of_the_manual_are_valid(tmp_path):
    text = TRAIN_PAGE.read_text("utf-8")
    blocks = re.findall(r"^```toml\n(\[train\]\n.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        (tmp_path / "train.toml").write_text(block)
        found = resolve(TrainSettings, "train", {}, config=tmp_path / "train.toml", environ={}).settings
        assert {"genres", "timestamp", "age"} <= set(found.all_features())
        assert list(found.all_tasks()) == ["rating", "finished"]


def test_the_manual_names_every_kind_of_feature_and_task():
    text = TRAIN_PAGE.read_text("utf-8")
    for declared in (Feature, Task):
        for kind in get_args(get_args(declared)[0]):
            for name in get_args(kind.model_fields["kind"].annotation):
                assert f"`{name}`" in text


MOMENT = {"at": {"kind": "timestamp", "role": "context"}, "kind": {"kind": "vocabulary", "role": "context"}}


def test_what_features_are_fed_at_night_is_said_at_training():
    made = TrainSettings(input="a.csv", output="m", features=MOMENT, set=["at={date}", "kind=night of {date}"])
    assert made.set == {"at": "{date}", "kind": "night of {date}"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("user_id=7", "set: user_id is no feature beside the two ids"),
        ("ta={date}", "set: ta is no feature beside the two ids"),
        ("at=1.5", "set: at: '1.5' is no whole number"),
        ("at={Date}", "set: at: '{Date}' is no whole number"),
        ("kind={Date}", "set: kind: {Date} is not a placeholder: only {date} is filled in"),
    ],
)
def test_what_no_night_could_be_fed_is_refused_at_training(given, message):
    with pytest.raises(ValidationError) as caught:
        TrainSettings(input="a.csv", output="m", features=MOMENT, set=[given])
    assert message in str(caught.value)
