from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from batchscore.errors import ModelError
from batchscore.evaluation.baselines import Baselines
from batchscore.interactions.splits import Split
from batchscore.interactions.training_statistics import learn_statistics
from batchscore.settings.train import TrainSettings
from batchscore.training.comparison import compare_models
from batchscore.training.split_parts import SplitPart, can_evaluate_order, draw_rows, make_parts

TASKS = {
    "rating": {"kind": "rating", "label": "stars"},
    "seen": {"kind": "click", "label": "seen"},
    "order": {"kind": "listwise", "label": "stars"},
}


def table(rows, seed=0):
    random = np.random.default_rng(seed)
    return pa.table({
        "user_id": pa.array(random.integers(20, size=rows), pa.int64()),
        "movie_id": pa.array(random.integers(30, size=rows), pa.int64()),
        "stars": pa.array(random.integers(1, 6, size=rows), pa.float32()),
        "seen": pa.array(random.integers(2, size=rows), pa.float32()),
    })  # fmt: skip


def train_settings(**more):
    return TrainSettings(input="in.parquet", output="model", **{"tasks": TASKS} | more)


def divide(settings, held_out=101):
    training = table(400, seed=1)
    split = Split(training, training.slice(0, 0), table(held_out, seed=2), "user_id", "movie_id")
    return split, learn_statistics(training, settings)


def test_figures_are_those_of_the_comparison_without_its_intervals():
    settings = train_settings()
    split, statistics = divide(settings)
    part = SplitPart(split.held_out, statistics, settings)
    random = np.random.default_rng(3)
    predictions = {name: random.random(101).astype(np.float32) for name in TASKS}
    comparison = compare_models(predictions, part, split, statistics, settings)
    for name, metrics in {"rating": ["RMSE"], "seen": ["log loss", "AUC"], "order": ["NDCG@10"]}.items():
        figures = part.measure(name, predictions[name])
        assert list(figures) == metrics
        for metric in metrics:
            assert figures[metric] == pytest.approx(comparison.tables[name].measure("model", metric).value)
    stars = split.held_out["stars"].to_numpy()
    assert part.measure("rating", predictions["rating"])["RMSE"] == pytest.approx(
        math.sqrt(np.mean((predictions["rating"] - stars.astype(np.float64)) ** 2))
    )
    mean_error = np.sqrt(np.mean((stars - statistics.label_means["stars"]) ** 2))
    assert comparison.describe() == {
        "task": "rating", "metric": "RMSE", "value": comparison.tables["rating"].measure("model", "RMSE").value,
        "baseline": "mean", "baseline_value": pytest.approx(mean_error),
    }  # fmt: skip
    assert set(comparison.calibration) == {"rating", "seen"}


def test_a_good_list_holds_what_is_labelled_better_than_the_training_rows_or_as_declared():
    tasks = {**TASKS, "strict": {"kind": "rating", "label": "stars", "relevant": 5}}
    settings = train_settings(tasks=tasks)
    split, statistics = divide(settings)
    part = SplitPart(split.held_out, statistics, settings)
    scores = np.random.default_rng(3).random(101).astype(np.float32)
    comparison = compare_models(dict.fromkeys(tasks, scores), part, split, statistics, settings)
    mean = statistics.label_means["stars"]
    assert 2.5 < mean < 3.5
    assert comparison.relevant == {"rating": mean, "seen": 1.0, "order": mean, "strict": 5.0}
    users, stars = (split.held_out[name].to_numpy() for name in ("user_id", "stars"))
    for name, least in comparison.relevant.items():
        labels = split.held_out["seen"].to_numpy() if name == "seen" else stars
        counts = np.bincount(users[labels >= least], minlength=20)
        assert counts.max() <= 10, "all of them are among the first ten places"
        listed = np.bincount(users, minlength=20) <= 10
        assert listed.all()
        assert comparison.tables[name].measure("model", "recall@10").value == 1.0
        first = [labels[users == user][np.argmax(scores[users == user])] for user in np.flatnonzero(counts)]
        best = np.mean([label >= least for label in first])
        assert comparison.tables[name].measure("model", "MRR").value >= best
        assert comparison.tables[name].measure("model", "MRR").value < 1


def test_drawn_negatives_are_judged_with_the_rows_and_counted_for_no_other_task():
    tasks = {"click": {"kind": "click", "label": "clicked", "negatives": 3}, "rating": TASKS["rating"]}
    settings = train_settings(tasks=tasks)
    split, statistics = divide(settings)
    part = SplitPart(split.held_out, statistics, settings)
    assert part.rows.num_rows == 4 * 101
    labels = part.rows_of(settings.tasks["click"])["clicked"].to_numpy()
    assert labels.tolist() == [1.0] * 101 + [0.0] * 303
    drawn = part.rows.slice(101)
    own = np.repeat(split.held_out["movie_id"].to_numpy(), 3)
    assert (drawn["movie_id"].to_numpy() != own).all()
    assert (drawn["user_id"].to_numpy() == np.repeat(split.held_out["user_id"].to_numpy(), 3)).all()
    assert part.rows_of(settings.tasks["rating"]).equals(
        split.held_out.append_column("clicked", part.rows["clicked"].slice(0, 101))
    )
    right = part.measure("click", np.where(labels == 1, 0.9, 0.1))
    assert right == {"log loss": pytest.approx(-math.log(0.9)), "AUC": 1.0}
    comparison = compare_models(
        {"click": np.full(404, 0.25, np.float32), "rating": np.ones(404, np.float32)},
        part,
        split,
        statistics,
        settings,
    )
    base_rate = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert comparison.baseline == pytest.approx(base_rate)
    assert comparison.value == pytest.approx(base_rate)
    again = SplitPart(split.held_out, statistics, settings)
    assert again.rows.equals(part.rows)


def test_baselines_of_drawn_negatives_take_bounded_memory(monkeypatch):
    """A row becomes several, and all of them are in memory at once."""
    settings = train_settings(tasks={"click": {"kind": "click", "label": "clicked", "negatives": 3}})
    split, statistics = divide(settings)
    part = SplitPart(split.held_out, statistics, settings)
    fitted = []
    monkeypatch.setattr("batchscore.training.comparison.MEASURED_ROWS", 200)
    monkeypatch.setattr(
        "batchscore.training.comparison.Baselines",
        lambda rows, **ids: fitted.append(rows) or Baselines(rows, **ids),
    )
    comparison = compare_models({"click": np.full(404, 0.3, np.float32)}, part, split, statistics, settings)
    assert 200 <= fitted[0].num_rows < 400
    assert comparison.baseline == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))


def test_popularity_with_drawn_negatives_counts_what_was_clicked():
    tasks = {"click": {"kind": "click", "label": "clicked", "negatives": 3}}
    settings = train_settings(tasks=tasks)
    split, statistics = divide(settings)
    part = SplitPart(split.held_out, statistics, settings)
    counts = np.bincount(split.training["movie_id"].to_numpy(), minlength=30)
    by_count = counts[part.rows["movie_id"].to_numpy()] / 1000
    comparison = compare_models({"click": by_count.astype(np.float32)}, part, split, statistics, settings)
    rows = comparison.tables["click"]
    assert rows.measure("popularity", "NDCG@10") == rows.measure("model", "NDCG@10")


def test_an_order_that_nobody_s_rows_can_judge_has_no_value():
    settings = train_settings(tasks={"order": TASKS["order"]})
    split, statistics = divide(settings, held_out=300)
    one_each = pa.table({
        "user_id": pa.array(range(20), pa.int64()), "movie_id": pa.array(range(20), pa.int64()),
        "stars": pa.array([1, 2] * 10, pa.float32()), "seen": pa.array([0.0] * 20, pa.float32()),
    })  # fmt: skip
    assert can_evaluate_order(split.held_out, "stars", "user_id")
    assert not can_evaluate_order(one_each, "stars", "user_id")
    for rows, judged in ((split.held_out, True), (one_each, False)):
        part = SplitPart(rows, statistics, settings)
        scores = np.arange(rows.num_rows, dtype=np.float32)
        comparison = compare_models({"order": scores}, part, split, statistics, settings)
        assert (comparison.value is not None, comparison.baseline is not None) == (judged, judged)


def test_of_many_rows_whole_users_are_measured():
    rows = table(2000)
    settings = train_settings()
    drawn = draw_rows(rows, settings, limit=500)
    assert 500 <= drawn.num_rows < 700
    counts = np.bincount(rows["user_id"].to_numpy())
    for user, count in zip(*np.unique(drawn["user_id"].to_numpy(), return_counts=True), strict=True):
        assert count == counts[user]
    assert draw_rows(rows, settings, limit=2000) is rows


@pytest.mark.tensorflow
@pytest.mark.parametrize("shape", [[-1], [-1, 1]])
def test_each_row_is_predicted_once_whatever_the_last_batch_holds(keras2, shape, tf, monkeypatch):  # noqa: ARG001
    from batchscore.training import evaluation

    settings = TrainSettings(input="in.parquet", output="model", rating_column="stars")
    split, statistics = divide(settings, held_out=8_193)

    def model(features):
        assert set(features) == {"user_id", "movie_id"}
        return tf.reshape(tf.cast(features["user_id"] - features["movie_id"], tf.float32), shape)

    parts = make_parts(split, statistics, settings)
    assert list(parts) == ["training", "held_out"]
    evaluator = evaluation.Evaluator(model, parts, settings)
    for name, rows in {"training": split.training, "held_out": split.held_out}.items():
        expected = rows["user_id"].to_numpy() - rows["movie_id"].to_numpy()
        assert (evaluator.predict(parts[name])["rating"] == expected).all()
        error = math.sqrt(np.mean((expected - rows["stars"].to_numpy().astype(np.float64)) ** 2))
        assert evaluator.measure()[name] == {"rating": {"RMSE": pytest.approx(error)}}


@pytest.mark.tensorflow
def test_a_click_that_is_no_probability_is_refused(keras2, tf):  # noqa: ARG001
    from batchscore.training.evaluation import Evaluator

    settings = train_settings(tasks={"seen": TASKS["seen"]})
    split, statistics = divide(settings)

    def model(features):
        return {"seen": tf.cast(features["user_id"], tf.float32) - 3.0}

    with pytest.raises(ModelError, match="the output of the click task seen is no probability") as caught:
        Evaluator(model, make_parts(split, statistics, settings), settings).measure()
    assert caught.value.error_id == "E-MODEL-OUTPUT"


@pytest.mark.tensorflow
def test_the_first_task_is_judged_by_the_score_where_no_output_has_its_name(keras2, tf):  # noqa: ARG001
    from batchscore.training.evaluation import Evaluator

    settings = train_settings(tasks={"rating": TASKS["rating"], "seen": TASKS["seen"]})
    split, statistics = divide(settings)

    def model(features):
        rated = tf.cast(features["movie_id"], tf.float32)
        return {"score": rated, "seen": tf.zeros_like(rated)}

    parts = make_parts(split, statistics, settings)
    predictions = Evaluator(model, parts, settings).predict(parts["held_out"])
    assert list(predictions) == ["rating", "seen"]
    assert predictions["rating"].tolist() == split.held_out["movie_id"].to_pylist()
    assert compare_models(predictions, parts["held_out"], split, statistics, settings).value > 0
