"""What one training leaves for the next: the live version's figure, a killed one's epochs, old versions."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from batchscore.errors import InputError, RefusedError, UsageError
from batchscore.observer import Observer
from batchscore.publishing.model_base import EVALUATED, TRAINING
from batchscore.savedmodel.card import read_card
from batchscore.savedmodel.saved_model import read_saved_model
from batchscore.savedmodel.versions import list_versions
from batchscore.settings.train import TrainSettings
from batchscore.training.train import train

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

SMALL = {"batch_rows": 64, "layers": (8,), "embedding_dimension": 4, "epochs": 2}


@pytest.fixture
def ratings(sample_input):
    return pq.read_table(sample_input).slice(0, 4000)


@pytest.fixture
def prepare(tmp_path, ratings):
    """Settings of a small training on `rows`, and a file that holds them."""

    def _prepare(rows=ratings, **more):
        pq.write_table(rows, tmp_path / "in.parquet")
        return TrainSettings(input=tmp_path / "in.parquet", output=tmp_path / "model", **SMALL | more)

    return _prepare


def test_a_refitted_model_knows_the_newest_users_and_was_judged_without_them(prepare, ratings):
    newest = pa.table({
        "user_id": ["newest"], "movie_id": ["m1"], "user_rating": pa.array([5.0], pa.float32()),
    })  # fmt: skip
    settings = prepare(pa.concat_tables([ratings, newest]), split="last")
    report = train(settings)
    assert (report.refitted, report.rows) == (True, 4001)
    published = Path(report.model_path)
    judged = published.parent / EVALUATED / "1"
    assert read_card(published).training == read_card(judged).training
    assert read_saved_model(published).fingerprint != read_saved_model(judged).fingerprint


def test_the_next_training_is_held_against_the_model_that_was_judged(prepare, ratings):
    first = train(prepare(ratings.slice(0, 3000)))
    second = train(prepare(ratings))
    assert second.live["version"] == 1
    assert second.live["reason"] is None
    seen = second.epochs[-1].held_out["rating"]["RMSE"]
    assert second.live["value"] == pytest.approx(seen, rel=0.1)
    assert second.live["value"] > first.judged["value"] * 0.8
    assert f", version 1's {second.live['value']:.4f}" in second.summary()
    base = Path(second.model_path).parent
    assert [path.name for path in (base / EVALUATED).iterdir()] == ["2"]


def test_the_same_rows_give_the_live_version_its_own_figure(prepare):
    first = train(prepare())
    second = train(prepare())
    assert second.live["value"] == pytest.approx(first.judged["value"], rel=1e-6)


def test_without_a_refit_the_live_version_itself_is_scored(prepare):
    first = train(prepare(refit=False))
    assert not (Path(first.model_path).parent / EVALUATED).exists()
    assert "; not refitted; " in first.summary()
    assert train(prepare(refit=False)).live["value"] == pytest.approx(first.judged["value"], rel=1e-6)


def test_a_worse_model_is_refused_and_accepted_without_a_second_fitting(prepare):
    first = train(prepare(epochs=6))
    with pytest.raises(RefusedError) as caught:
        train(prepare(epochs=1))
    assert caught.value.error_id == "E-MODEL-REGRESSION"
    base = Path(first.model_path).parent
    assert list_versions(base) == [1]
    assert (base / TRAINING).is_dir()
    settings = prepare(epochs=1)
    os.utime(settings.input, ns=(0, 0))
    with pytest.raises(RefusedError):
        train(settings)
    accepted = train(settings.model_copy(update={"max_regression": TrainSettings.model_validate(
        {"input": "i.csv", "output": "o", "max_regression": "off"}).max_regression}))  # fmt: skip
    assert (accepted.model_version, accepted.resumed_epochs) == (2, 1)
    assert accepted.seconds["train"] < 0.2 * accepted.seconds["refit"] + 0.2
    assert not (base / TRAINING).exists()


def corrupt_card(base, **training):
    path = base / "1" / "assets.extra" / "batchscore.json"
    card = json.loads(path.read_text())
    del card["sha256"]  # written by somebody else, who gives none
    card["training"] = {**card["training"], **training} if training else {}
    path.write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda base: shutil.rmtree(base / EVALUATED), "its model from before the refit is missing"),
        (lambda base: corrupt_card(base, users=7), "is not its model from before the refit"),
        (corrupt_card, "does not say which rows it has learned"),
        (lambda base: corrupt_card(base, split={"how": "time"}), "held out in another way"),
        (
            lambda base: corrupt_card(base, judged_by={"metric": "AUC", "label": "x", "kind": "click"}),
            "evaluated by AUC",
        ),
        (lambda base: (base / EVALUATED / "1" / "saved_model.pb").unlink(), "is not a SavedModel"),
    ],
)
def test_where_no_fair_comparison_can_be_made_the_reason_is_told(prepare, trained, change, why, caplog):
    settings = prepare(epochs=1, refit=False)
    base = settings.output
    shutil.copytree(Path(trained.model_path).parent, base)
    change(base)
    report = train(settings)
    assert report.model_version == 2
    assert (report.live["version"], report.live["value"]) == (1, None)
    assert why in report.live["reason"]
    assert f"not compared with the live version 1: {report.live['reason']}" in caplog.text


def test_a_feature_that_is_gone_is_such_a_reason(prepare, ratings):
    more = ratings.append_column("age", pa.array([float(n % 50) for n in range(4000)], pa.float32()))
    train(prepare(more, features={"age": {"kind": "number", "role": "user"}}))
    assert train(prepare()).live["reason"] == "its input age is no feature of this training"


def at(rows, first):
    """`rows`, one a second from the moment `first` on."""
    return rows.append_column("at", pa.array(range(first, first + len(rows)), pa.int64()))


def test_rows_that_come_in_late_move_the_split_back_to_what_the_live_version_has_learned(prepare, ratings):
    week = at(ratings.slice(0, 3000), 10_000)
    first = train(prepare(week, timestamp_column="at", epochs=4))
    assert first.split == {"how": "time", "held_out": 0.2, "timestamp_column": "at", "held_out_from": 12_400}
    late = pa.concat_tables([at(ratings.slice(3000), 0), week])
    second = train(prepare(late, timestamp_column="at", epochs=4))
    assert second.split["held_out_from"] == 12_200
    assert second.live == {
        "version": 1, "value": None,
        "reason": "rows older than its own held-out ones came in since, so it has learned some of these",
    }  # fmt: skip
    assert train(prepare(late, timestamp_column="at", epochs=4)).live["reason"] is None


def test_a_model_for_other_odds_of_drawn_negatives_is_not_compared(prepare, ratings):
    popular = ratings.filter(pc.is_in(ratings["movie_id"], pa.array([f"m{number}" for number in range(50)])))
    rows = pa.concat_tables([ratings.slice(0, 500), *[popular] * 3])

    def click(negatives):
        return {"seen": {"kind": "click", "label": "seen", "negatives": negatives}}

    first = train(prepare(rows, tasks=click(3)))
    assert first.judged_by == {
        "name": "seen", "kind": "click", "label": "seen", "metric": "log loss", "negatives": 3,
    }  # fmt: skip
    second = train(prepare(rows, tasks=click(1)))
    assert second.live["reason"] == "it was evaluated by log loss of seen (click, 3 negatives)"


def test_old_versions_go_with_their_reports(prepare):
    settings = prepare(epochs=1, refit=False, keep_versions=2, max_regression="off")
    (settings.output / "7").mkdir(parents=True)
    (settings.output / "7" / "saved_model.pb").touch()
    reports = [train(settings) for _ in range(3)]
    assert [report.removed_versions for report in reports] == [[], [], [8]]
    assert list_versions(settings.output) == [10, 9, 7]
    assert {path.name.partition(".")[0] for path in (settings.output / "_batchscore").iterdir()} == {"9", "10"}


def test_the_page_shows_curves_calibration_and_the_table(prepare):
    pytest.importorskip("altair")
    pytest.importorskip("great_tables")
    pytest.importorskip("vl_convert")
    report = train(prepare(patience=1, refit=False))
    page = (Path(report.model_path).parent / "_batchscore" / "1.report.html").read_text("utf-8")
    assert report.summary().partition(";")[0].replace("'", "&#x27;") in page
    for shown in ("validation RMSE", "popularity", "batch_rows", "Calibration"):
        assert shown in page
    assert page.count("<svg") >= 2


def test_validation_rows_that_can_judge_no_order_decide_on_no_epoch(prepare):
    order = {"order": {"kind": "listwise", "label": "user_rating"}}
    with pytest.raises(InputError) as caught:
        train(prepare(tasks=order, patience=1, validation=0.001, epochs=9))
    assert caught.value.error_id == "E-INTERACTIONS"
    assert "the validation rows cannot show which epoch is best" in str(caught.value)
    assert "raise --validation" in str(caught.value)


def test_held_out_rows_that_can_judge_no_order_are_told_before_the_first_epoch(prepare):
    order = {"order": {"kind": "listwise", "label": "user_rating"}}
    watch = Stages()
    with pytest.raises(InputError) as caught:
        train(prepare(tasks=order, split="random", held_out=0.0005), watch)
    assert (caught.value.error_id, watch.begun[-1]) == ("E-INTERACTIONS", "prepare")
    assert "the held-out rows cannot show whether the model is good" in str(caught.value)


def test_tensorboard_gets_each_epoch_s_figures(prepare, tmp_path, tf):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    report = train(prepare(patience=2, refit=False, tensorboard=tmp_path / "logs"))
    events = accumulator.EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert set(events.Tags()["tensors"]) == {"training/loss", "training/rating RMSE", "validation/rating RMSE"}
    assert [event.step for event in events.Tensors("training/loss")] == [1, 2]
    figures = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("validation/rating RMSE")]
    assert figures == pytest.approx([epoch.validation["rating"]["RMSE"] for epoch in report.epochs])


def test_tensorboard_that_is_missing_is_told_before_anything_is_read(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr("batchscore.training.tensorboard.find_spec", lambda _: None)
    settings = prepare(tensorboard=tmp_path / "logs")
    with pytest.raises(UsageError, match="batchscore\\[tensorboard\\]") as caught:
        train(settings)
    assert (caught.value.error_id, caught.value.report.seconds) == ("E-EXTRA-MISSING", {})
    assert not settings.output.exists()


class Stopped(BaseException):
    pass


class Stages(Observer):
    """Remembers which stages began."""

    def __init__(self):
        self.begun = []

    def stage(self, name, total_rows=None):
        self.begun.append(name)


class StopIn(Observer):
    """Stops after so many rows of a stage."""

    def __init__(self, name, rows):
        self.name, self.left, self.now = name, rows, None

    def stage(self, name, total_rows=None):
        self.now = name

    def advance(self, rows):
        self.left -= rows if self.now == self.name else 0
        if self.left < 0:
            raise Stopped


def test_a_refit_goes_on_too(prepare):
    settings = prepare(epochs=3)
    with pytest.raises(Stopped):
        train(settings, StopIn("refit", 4001))
    state = next((settings.output / TRAINING).iterdir())
    assert sorted(path.name for path in (state / "refit").iterdir()) == ["epoch-00001"]
    told = StopIn("nothing", 0)
    report = train(settings, told)
    assert (report.resumed_epochs, report.model_version) == (3, 1)
    whole = train(settings.model_copy(update={"output": settings.output.with_name("other")}))
    assert read_card(Path(whole.model_path)).probes.scores == read_card(Path(report.model_path)).probes.scores


class ReplaceAndStop(StopIn):
    """Another file takes the place of the input while the model is fitted; the process ends in the refit."""

    def __init__(self, rows, replace):
        super().__init__("refit", rows)
        self.replace = replace

    def stage(self, name, total_rows=None):
        super().stage(name, total_rows)
        if name == "train":
            self.replace()


def test_a_file_that_came_during_the_training_does_not_go_on_from_it(prepare, ratings):
    settings = prepare()
    other = ratings.set_column(2, "user_rating", pc.subtract(pa.scalar(5.5, pa.float32()), ratings["user_rating"]))
    with pytest.raises(Stopped):
        train(settings, ReplaceAndStop(4001, lambda: prepare(other)))
    report = train(settings)
    assert report.resumed_epochs == 0
    whole = train(settings.model_copy(update={"output": settings.output.with_name("other")}))
    assert read_card(Path(whole.model_path)).probes.scores == read_card(Path(report.model_path)).probes.scores


@pytest.mark.parametrize("change", ["settings", "rows"])
def test_another_training_starts_anew(prepare, ratings, change):
    settings = prepare(epochs=2)
    with pytest.raises(Stopped):
        train(settings, StopIn("train", 4000))
    other = prepare(epochs=2, **({"seed": 1} if change == "settings" else {"rows": ratings.slice(1)}))
    assert train(other).resumed_epochs == 0


@pytest.mark.process
def test_a_training_that_is_killed_goes_on_from_its_last_epoch(prepare, tmp_path):
    settings = prepare(epochs=12, refit=False)
    (tmp_path / "train.toml").write_text(
        f'[train]\ninput = "{settings.input}"\noutput = "{settings.output}"\n'
        "batch_rows = 64\nlayers = [8]\nembedding_dimension = 4\nepochs = 12\nrefit = false\n"
    )
    command = [sys.executable, "-c", "from batchscore.cli import main; main()", "train", "--config"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [*command, tmp_path / "train.toml"], stderr=subprocess.PIPE, text=True, env=environment
    )
    for line in process.stderr:
        if "epoch  2/12" in line:
            break
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    assert list_versions(settings.output) == []
    report = train(settings)
    assert 2 <= report.resumed_epochs < 12
    assert len(report.epochs) == 12
    assert not (settings.output / TRAINING).exists()
    whole = train(settings.model_copy(update={"output": tmp_path / "other"}))
    assert report.judged["value"] == pytest.approx(whole.judged["value"], rel=0.01)
