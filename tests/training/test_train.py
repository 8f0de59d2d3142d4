from __future__ import annotations

import json
import logging
import os
import zipfile
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import ModelError, OutOfMemoryError, RefusedError, TryLaterError
from batchscore.observer import Observer
from batchscore.publishing.model_base import hold_model_base
from batchscore.savedmodel.versions import list_versions
from batchscore.settings.train import TrainSettings
from batchscore.training.train import train

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

MOVIELENS = Path(
    os.environ.get("BATCHSCORE_MOVIELENS", Path(__file__).parents[3] / "shared" / "data" / "ml-latest-small.zip")
)


def weights(tf, model):
    reader = tf.train.load_checkpoint(f"{model}/variables/variables")
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith("_")]
    return {name: reader.get_tensor(name).tobytes() for name in names}


def test_sample_sized_data_is_learnt_well_with_small_batches(trained):
    assert trained.judged["value"] <= 0.85 * trained.judged["baseline_value"]
    assert [epoch.epoch for epoch in trained.epochs] == [1, 2, 3]
    assert trained.training_rows + trained.held_out_rows == trained.rows == 12_000
    assert trained.held_out_rows == pytest.approx(2_400, abs=150)
    assert (trained.users, trained.candidates) == (200, 300)


def test_the_report_tells_what_was_published(trained, sample_input):
    report = json.loads(trained.to_json())
    assert (report["schema_version"], report["status"], report["exit_code"], report["error_id"]) == (
        2, "published", 0, None,
    )  # fmt: skip
    assert report["model_version"] == 1
    assert report["model_path"].endswith("/model/1")
    assert report["settings"]["input"] == str(sample_input)
    assert report["settings"]["batch_rows"] == 256
    assert report["split"] == {"how": "random", "held_out": 0.2, "seed": 42}
    assert report["probe_rows"] == 64
    assert report["probe_difference"] <= report["probe_tolerance"]
    assert list(report["seconds"]) == [
        "read interactions", "load TensorFlow", "prepare", "train", "evaluate", "prepare refit", "refit", "export",
        "publish",
    ]  # fmt: skip
    held_out = trained.epochs[2].held_out["rating"]["RMSE"]
    assert report["epochs"][2]["held_out"]["rating"]["RMSE"] == held_out
    assert report["judged"]["value"] == pytest.approx(held_out)
    table = report["evaluation"]["rating"]
    assert set(table) == {"model", "mean", "biases", "popularity"}
    assert table["model"]["RMSE"]["low"] < held_out < table["model"]["RMSE"]["high"]
    assert table["mean"]["RMSE"]["value"] == report["judged"]["baseline_value"]
    assert sum(entry["rows"] for entry in report["calibration"]["rating"]) == report["held_out_rows"]
    assert report["live"] == {"version": None, "value": None, "reason": "no version is live"}
    assert trained.summary().startswith("published model 1: held-out RMSE 0.")
    assert " rows, 200 users, 300 candidates); refitted on all 12,000 rows; " in trained.summary()
    beside = Path(trained.model_path).parent / "_batchscore" / "1.report.json"
    assert {**json.loads(beside.read_text()), "ended_at": ""} == {**report, "ended_at": "", "seconds": ANY}


def test_whatever_fails_after_the_publication_is_a_warning(trained, tmp_path, failpoints, caplog):
    settings = TrainSettings(**trained.settings | {"output": tmp_path / "model"})
    with failpoints.Failpoint(lambda target: target == settings.output / "1").armed() as point:
        report = train(settings)
    assert point.failed is not None
    assert (report.status, report.exit_code, report.model_version) == ("published", 0, 1)
    assert "the report of the training cannot be written" in caplog.text
    assert list_versions(settings.output) == [1]
    assert train(settings).model_version == 2


class Watch(Observer):
    def __init__(self, base):
        self.base, self.stages, self.rows, self.versions_at_commit = base, [], 0, None

    def stage(self, name, total_rows=None):
        self.stages.append((name, total_rows))

    def advance(self, rows):
        self.rows += rows

    def committing(self):
        self.versions_at_commit = list_versions(self.base)


def test_the_same_seed_gives_the_same_model_whatever_was_drawn_before(trained, tmp_path, tf):
    tf.random.set_seed(99)
    tf.random.normal([3])
    settings = TrainSettings(**trained.settings | {"output": tmp_path / "model"})
    watch = Watch(settings.output)
    again = train(settings, watch)
    assert again.epochs == trained.epochs
    assert again.evaluation == trained.evaluation
    assert weights(tf, again.model_path) == weights(tf, trained.model_path)
    assert {("train", 3 * trained.training_rows), ("refit", 3 * 12_000)} <= set(watch.stages)
    assert watch.rows == 3 * trained.training_rows + 3 * 12_000
    assert watch.versions_at_commit == []
    assert list_versions(settings.output) == [1]


def test_a_model_no_better_than_the_mean_is_not_published(trained, tmp_path):
    settings = TrainSettings(
        **trained.settings | {"output": tmp_path / "model", "batch_rows": 8192, "learning_rate": 1e-6}
    )
    with pytest.raises(RefusedError) as caught:
        train(settings)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-QUALITY", 6)
    assert "try --batch-rows 128" in str(caught.value)
    assert list_versions(settings.output) == []
    report = caught.value.report
    assert (report.status, report.exit_code, report.error_id) == ("failed", 6, "E-MODEL-QUALITY")
    assert report.judged["value"] >= report.judged["baseline_value"]
    assert report.model_path is None
    assert list(report.seconds)[-1] == "evaluate"
    failed = json.loads((settings.output / "_batchscore" / "failed.report.json").read_text())
    assert failed["error_id"] == "E-MODEL-QUALITY"
    assert failed["evaluation"] == report.evaluation


def test_a_training_that_diverges_leaves_the_last_version(trained, tmp_path):
    output = tmp_path / "model"
    output.mkdir()
    (output / "7").mkdir()
    settings = TrainSettings(**trained.settings | {"output": output, "learning_rate": 1e30})
    with pytest.raises(ModelError) as caught:
        train(settings)
    assert caught.value.error_id == caught.value.report.error_id == "E-TRAINING-DIVERGED"
    assert list_versions(output) == [7]


def test_an_export_that_scores_otherwise_is_not_published(trained, tmp_path, monkeypatch):
    from batchscore.training import export

    write_card = export.write_card

    def write_wrong_card(path, card):
        scores = [score + 0.01 for score in card.probes.scores]
        write_card(path, card.model_copy(update={"probes": card.probes.model_copy(update={"scores": scores})}))

    monkeypatch.setattr(export, "write_card", write_wrong_card)
    settings = TrainSettings(**trained.settings | {"output": tmp_path / "model", "epochs": 1, "refit": False})
    with pytest.raises(ModelError) as caught:
        train(settings)
    assert caught.value.error_id == "E-MODEL-PROBES"
    assert list_versions(settings.output) == []


def test_wrong_input_is_refused_before_the_model_s_directory_is_made(tmp_path):
    with pytest.raises(TryLaterError) as caught:
        train(TrainSettings(input=tmp_path / "none.csv", output=tmp_path / "model"))
    assert caught.value.report.error_id == "E-INPUT-MISSING"
    assert list(caught.value.report.seconds) == ["read interactions"]
    assert not (tmp_path / "model").exists()


def test_a_second_trainer_is_sent_away_before_it_trains(sample_input, tmp_path):
    watch = Watch(tmp_path)
    with hold_model_base(tmp_path / "model"), pytest.raises(TryLaterError) as caught:
        train(TrainSettings(input=sample_input, output=tmp_path / "model"), watch)
    assert caught.value.report.exit_code == 75
    assert watch.stages == []


def test_whole_number_ids_become_the_model_s_input_type(tmp_path):
    from batchscore.savedmodel.saved_model import read_saved_model

    random = np.random.default_rng(1)
    user, item = random.integers(30, size=3000), random.integers(30, size=3000)
    path = tmp_path / "interactions.parquet"
    pq.write_table(
        pa.table({"uid": user, "iid": pa.array(item, pa.int32()), "stars": (user % 5) + (item % 3)}), path
    )
    report = train(
        TrainSettings(
            input=path,
            output=tmp_path / "model",
            batch_rows=64,
            layers=(16,),
            embedding_dimension=4,
            user_column="uid",
            candidate_column="iid",
            rating_column="stars",
        )
    )
    inputs = read_saved_model(Path(report.model_path)).signatures["serving_default"].inputs
    assert {name: spec.dtype for name, spec in inputs.items()} == {"uid": "int64", "iid": "int64"}


@pytest.mark.skipif(not MOVIELENS.exists(), reason=f"{MOVIELENS} is not there; set BATCHSCORE_MOVIELENS")
def test_the_tutorial_s_recipe_on_real_ratings(tmp_path, caplog):
    with zipfile.ZipFile(MOVIELENS) as archive:
        (tmp_path / "ratings.csv").write_bytes(archive.read("ml-latest-small/ratings.csv"))
    settings = TrainSettings(
        input=tmp_path / "ratings.csv", output=tmp_path / "model",
        user_column="userId", candidate_column="movieId", rating_column="rating",
    )  # fmt: skip
    with caplog.at_level(logging.INFO, "batchscore"):
        report = train(settings)
    assert (report.users, report.rows) == (610, 100_836)
    assert report.held_out_rows == pytest.approx(20_167, abs=500)
    assert report.judged["baseline_value"] == pytest.approx(1.04, abs=0.01)
    assert report.judged["value"] < report.judged["baseline_value"] - 0.02
    assert report.evaluation["rating"]["biases"]["RMSE"]["value"] == pytest.approx(0.87, abs=0.01)
    assert caplog.messages[-1] == report.summary()


@pytest.mark.parametrize(
    "sizes", [{"layers": [10**13]}, {"embedding_dimension": 10**13}], ids=lambda sizes: next(iter(sizes))
)
def test_a_model_that_no_memory_can_hold_is_no_bug(write, sizes):
    ids = [f"{number}" for number in range(40)]
    settings = write({"user_id": ids, "movie_id": ids, "user_rating": [1.0, 2.0] * 20}, batch_rows=8, **sizes)
    with pytest.raises(OutOfMemoryError) as caught:
        train(settings)
    assert (caught.value.error_id, caught.value.report.exit_code) == ("E-MEMORY", 7)
    assert "OOM when allocating tensor" in str(caught.value)


def test_memory_that_runs_out_while_it_is_fitted_is_no_bug(write, monkeypatch, tf):
    from batchscore.networks.ranking_model import RankingModel

    def compute_loss(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(RankingModel, "compute_loss", compute_loss)
    ids = [f"{number}" for number in range(40)]
    with pytest.raises(OutOfMemoryError, match="E-MEMORY"):
        train(write({"user_id": ids, "movie_id": ids, "user_rating": [1.0, 2.0] * 20}, batch_rows=8))
