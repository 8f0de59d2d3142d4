from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from batchscore.evaluation.baselines import Baselines
from batchscore.evaluation.bootstrap import Measure
from batchscore.evaluation.compare_predictions import compare_predictions
from batchscore.evaluation.comparison_table import ComparisonTable

NAMES = {"user_column": "user_id", "candidate_column": "item_id", "label_column": "label"}


def planted(seed: int, kind: str = "rating") -> tuple[pa.Table, pa.Table, np.ndarray]:
    """Training rows, held-out rows and what is really behind the labels of the latter."""
    random = np.random.default_rng(seed)
    users, items = (part.ravel() for part in np.meshgrid(np.arange(40), np.arange(30), indexing="ij"))
    behind = (
        random.normal(0, 0.3, 40)[users]
        + random.normal(0, 0.7, 30)[items]
        + random.normal(0, 1, (40, 30))[users, items]
    )
    label = 3 + behind if kind == "rating" else (random.random(1200) < 1 / (1 + np.exp(-behind))).astype(float)
    table = pa.table({
        "user_id": pa.array([f"u{user}" for user in users], pa.large_string()),
        "item_id": pa.array([f"i{item}" for item in items], pa.large_string()),
        "label": pa.array(label, pa.float32()),
    })  # fmt: skip
    held_out = random.random(1200) < 0.4
    return table.filter(pa.array(~held_out)), table.filter(pa.array(held_out)), behind[held_out]


def test_a_model_that_knows_is_better_than_biases_and_these_than_the_mean():
    training, held_out, behind = planted(1)
    table = compare_predictions(
        held_out, {"model": 3 + behind}, Baselines(training, **NAMES), kind="rating", relevant=3.5
    )
    assert [row.name for row in table.rows] == ["model", "mean", "biases", "popularity"]
    assert table.columns[:3] == ["RMSE", "MAE", "NDCG@10"]
    assert table.measure("model", "RMSE").value < 1e-6
    assert table.measure("biases", "RMSE").value < table.measure("mean", "RMSE").value - 0.05
    assert table.measure("model", "NDCG@10").value == pytest.approx(1)
    assert table.measure("biases", "NDCG@10").value > table.measure("popularity", "NDCG@10").value
    assert table.measure("mean", "NDCG@10") == Measure(None)
    assert table.measure("popularity", "RMSE") == Measure(None)
    assert (table.best("RMSE"), table.best("NDCG@10"), table.best("popularity bias@10")) == ("model", "model", None)


def test_clicks():
    training, held_out, behind = planted(2, "click")
    probabilities = 1 / (1 + np.exp(-behind))
    table = compare_predictions(held_out, {"model": probabilities}, Baselines(training, **NAMES), kind="click")
    assert table.columns[:2] == ["AUC", "log loss"]
    assert table.measure("model", "AUC").value > table.measure("biases", "AUC").value > 0.55
    assert table.measure("mean", "AUC").value == 0.5
    assert table.best("log loss") == "model"


def test_scores_that_only_order_have_no_errors():
    training, held_out, behind = planted(3)
    table = compare_predictions(held_out, {"model": behind}, Baselines(training, **NAMES), kind="order")
    assert table.measure("model", "NDCG@10").value == pytest.approx(1)
    assert {"RMSE", "AUC"}.isdisjoint(table.columns)


def test_equal_scores_are_ordered_by_candidate_as_the_job_does():
    ids = {"user_id": pa.array(["u"] * 3, pa.large_string())}
    training = pa.table(ids | {"item_id": pa.array(["9", "10", "8"], pa.large_string()), "label": [1.0, 1.0, 1.0]})
    held_out = pa.table(ids | {"item_id": pa.array(["9", "10", "8"], pa.large_string()), "label": [0.0, 1.0, 0.0]})
    table = compare_predictions(held_out, {"model": np.zeros(3)}, Baselines(training, **NAMES), kind="order")
    assert table.measure("model", "MRR").value == 1.0


def test_popularity_bias_and_coverage_by_hand():
    def column(*ids):
        return pa.array(ids, pa.large_string())

    training = pa.table({
        "user_id": column("u", "v", "w", "u"), "item_id": column("a", "a", "a", "b"), "label": [1.0] * 4,
    })  # fmt: skip
    held_out = pa.table({
        "user_id": column("u", "u", "v", "v"), "item_id": column("a", "b", "a", "c"), "label": [0.0, 1.0, 1.0, 0.0],
    })  # fmt: skip
    table = compare_predictions(
        held_out,
        {"model": np.array([2.0, 1.0, 1.0, 2.0])},
        Baselines(training, **NAMES),
        kind="order",
        cutoffs=(1,),
    )
    # percentiles: a 0.75, b 0.25, c (not in training) 0; u: a listed, b chosen; v: c listed, a chosen
    assert table.measure("model", "popularity bias@1").value == pytest.approx(((0.75 - 0.25) + (0 - 0.75)) / 2)
    assert table.measure("model", "coverage@1") == Measure(pytest.approx(2 / 3))


def test_a_table_goes_through_json():
    training, held_out, behind = planted(4)
    table = compare_predictions(held_out, {"model": behind}, Baselines(training, **NAMES), kind="rating")
    assert ComparisonTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_the_same_seed_gives_the_same_table_and_predictions_must_be_finite():
    training, held_out, behind = planted(5)
    baselines = Baselines(training, **NAMES)
    tables = [
        compare_predictions(held_out, {"m": behind}, baselines, kind="rating", seed=seed) for seed in (1, 1, 2)
    ]
    assert tables[0] == tables[1] != tables[2]
    with pytest.raises(ValueError, match="finite"):
        compare_predictions(held_out, {"m": behind * math.nan}, baselines, kind="rating")


def test_text_of_a_table():
    table = ComparisonTable()
    table.add("model", {"RMSE": Measure(0.5, 0.4, 0.62), "NDCG@10": Measure(0.81234, 0.8, 0.82)})
    table.add("popularity", {"NDCG@10": Measure(0.7), "coverage@10": Measure(0.25)})
    assert table.to_text() == (
        "                        RMSE         NDCG@10  coverage@10\n"
        "model         0.5000 ±0.1100  0.8123 ±0.0100            -\n"
        "popularity                 -          0.7000       0.2500"
    )
    assert table.to_text(width=40) == (
        "                        RMSE\n"
        "model         0.5000 ±0.1100\n"
        "popularity                 -\n"
        "\n"
        "                     NDCG@10\n"
        "model         0.8123 ±0.0100\n"
        "popularity            0.7000\n"
        "\n"
        "              coverage@10\n"
        "model                   -\n"
        "popularity         0.2500"
    )
