from __future__ import annotations

import pytest

from batchscore.config import TrainSettings, resolve
from batchscore.errors import UsageError

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
