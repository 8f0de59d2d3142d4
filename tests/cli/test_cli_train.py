from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def start(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-c", "from batchscore.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, timeout=240, check=False, cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """1,500 ratings that the user decides, as ratings.csv; train.toml trains on them in a second. The cwd."""
    random = np.random.default_rng(5)
    user, movie = random.integers(20, size=1500), random.integers(20, size=1500)
    lines = [f"{u},{m},{1 + u % 5}" for u, m in zip(user, movie, strict=True)]
    (tmp_path / "ratings.csv").write_text("\n".join(["user_id,movie_id,user_rating", *lines]) + "\n")
    (tmp_path / "train.toml").write_text(
        '[train]\ninput = "ratings.csv"\noutput = "model"\nbatch_rows = 32\nlayers = [8]\nepochs = 2\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tree(model):
    files = sorted(file for file in Path(model).rglob("*") if file.is_file())
    return {file.relative_to(model).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.process
def test_a_page_that_the_address_space_does_not_hold_costs_no_published_model(folder):
    """What draws the charts reserves more than that, and aborts its process."""
    command = (
        'ulimit -v 40000000 && exec "$0" -c "from batchscore.cli import main; main()" train --config train.toml'
    )
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=240, check=False, cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reports = folder / "model" / "_batchscore"
    assert (reports / "1.report.json").exists()
    assert (reports / "1.report.html").exists() or "WARNING no HTML report: " in done.stderr


@pytest.mark.process
def test_it_trains_tells_and_publishes_the_same_bytes_again(folder, tmp_path):
    first = start("train", "--config", "train.toml", "--json", cwd=folder, PYTHONHASHSEED="1")
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert report["model_path"] == str(folder / "model" / "1")
    lines = [line for line in first.stderr.splitlines() if " INFO " in line]
    assert len(lines) == 6
    assert "INFO epoch 1/2  train RMSE " in lines[0]
    assert "INFO epoch 2/2  train RMSE " in lines[1]
    assert "INFO rating on the held-out rows" in lines[2]
    assert "INFO refit epoch 1/2  train RMSE " in lines[3]
    assert "INFO published model 1: held-out RMSE " in lines[5]
    second = start(
        "train",
        "--config",
        folder / "train.toml",
        "--quiet",
        cwd=tmp_path.parent,
        PYTHONHASHSEED="2",
        TZ="Asia/Tokyo",
    )
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert tree(folder / "model" / "2") == tree(folder / "model" / "1")
    assert "saved_model.pb" in tree(folder / "model" / "1")


def test_print_config_shows_every_setting_and_where_it_came_from(batchscore, folder):
    done = batchscore("train", "--config", "train.toml", "--seed", "7", "--print-config")
    assert done.exit_code == 0, done.err
    shown = {line.split()[0]: line for line in done.out.splitlines()}
    assert "7  (flag)" in shown["seed"]
    assert "(train.toml)" in shown["batch_rows"]
    assert "(default)" in shown["held_out"]
    assert not (folder / "model").exists()


def test_every_setting_is_a_flag_with_help_or_a_table_of_the_configuration(batchscore):
    from batchscore.settings.train import TrainSettings

    done = batchscore("train", "--help")
    assert done.exit_code == 0
    told = " ".join(done.out.split())
    for name, field in TrainSettings.model_fields.items():
        if name in TrainSettings.tables:
            assert f"[{name}" in told, name
            continue
        flag = name.replace("_", "-")
        assert f"--{flag} " in told, name
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if default is None or default == {}:
            continue
        default = default if not isinstance(default, tuple) else ",".join(map(str, default))
        default = flag if default is True else default
        assert f"[default: {default}]" in told, name


def test_wrong_data_exits_3_with_everything_that_is_wrong(batchscore, folder):
    (folder / "ratings.csv").write_text("user_id,item,user_rating\na,x,1\na,y,\n")
    done = batchscore("train", "--config", "train.toml")
    assert (done.exit_code, done.out) == (3, "")
    message = done.err.partition("ERROR ")[2]
    assert message == (
        "E-INTERACTIONS: the interactions cannot be used for training\n"
        f"  where:    {folder / 'ratings.csv'}\n"
        "  found:    columns user_id, item, user_rating\n"
        "  expected: user and candidate ids as text or whole numbers, ratings as finite numbers, no nulls\n"
        "    user_id: 'a' in every row; a ranking needs at least two\n"
        "    movie_id: there is no such column\n"
        "    user_rating: null in 1 of 2 rows, the first is row 1 (from 0)\n"
        "  next:     correct the file, or name its columns: --user-column, --candidate-column, --rating-column\n"
    )


@pytest.mark.tensorflow
def test_a_model_no_better_than_the_mean_exits_6(tf, batchscore, folder):  # noqa: ARG001 - loaded first, with Keras 2
    done = batchscore("train", "--config", "train.toml", "--learning-rate", "1e-9", "--quiet")
    assert (done.exit_code, done.out) == (6, "")
    assert done.err.startswith(
        "ERROR E-MODEL-QUALITY: the model is no better than predicting the mean rating; it was not published\n"
    )
    assert not (folder / "model" / "1").exists()
