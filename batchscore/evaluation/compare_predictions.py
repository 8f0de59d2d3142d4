"""Held-out rows: models and baselines side by side, each re-ranking the same candidates of every user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from batchscore.arrays.codes import encode, order_of
from batchscore.evaluation.baselines import Baselines, numbers
from batchscore.evaluation.bootstrap import Measure
from batchscore.evaluation.comparison_table import ComparisonTable
from batchscore.evaluation.list_totals import ListTotals
from batchscore.evaluation.prediction_metrics import measure_clicks, measure_ratings
from batchscore.evaluation.ranking_metrics import measure_best_lists, rank_pairs
from batchscore.evaluation.truth import Gain, least_label, make_truth

Kind = Literal["rating", "click", "order"]
"""What predictions are: numbers in units of the label, probabilities of label 1, or scores that only order."""


def compare_predictions(
    rows: pa.Table,
    predictions: Mapping[str, np.ndarray],
    baselines: Baselines,
    *,
    kind: Kind,
    relevant: float | None = None,
    gain: Gain = "linear",
    cutoffs: Sequence[int] = (10,),
    replicates: int = 1000,
    seed: int = 42,
) -> ComparisonTable:
    """Each model's metrics on held-out rows, then those of `mean`, `biases` and `popularity`.

    `rows` has the id columns and the label column of `baselines` (which were fitted on other rows), labels finite,
    no nulls. `predictions` are finite floats `[rows]` by the name of their model, in the order of the rows; those
    of a click task are probabilities, not logits. Each user's candidates in `rows` are ranked as `batchscore run`
    would rank them: the lists are as long as what the user has there, and every method has the same ones.

    Predictions are measured by RMSE and MAE (`rating`) or AUC and log loss (`click`), lists by the metrics of
    `ListTotals.measure`, with `relevant` and `gain` as in `make_truth`. Intervals are 95 %, over users, and one
    seed gives every row the same draws. The mean has no lists, popularity no predictions. Costs a sort of the rows
    a method. Raises ValueError if predictions are not finite.
    """
    users, user_ids = encode(rows.column(baselines.user_column))
    codes, candidate_ids = encode(rows.column(baselines.candidate_column))
    places = order_of(candidate_ids)
    candidates = places[codes]
    labels = None if baselines.label_column is None else numbers(rows.column(baselines.label_column))
    if baselines.label_column is not None:
        relevant = least_label(relevant, rows.schema.field(baselines.label_column).type)
    truth = make_truth(users, candidates, labels, user_count=len(user_ids), relevant=relevant, gain=gain)
    percentiles = np.empty(len(candidate_ids))
    percentiles[places] = baselines.find_percentiles(candidate_ids)
    best = measure_best_lists(truth, cutoffs)
    catalogue = baselines.count_catalogue(candidate_ids)

    def measure_predictions(predicted: np.ndarray) -> dict[str, Measure]:
        if labels is None or kind == "order":
            return {}
        measure = measure_ratings if kind == "rating" else measure_clicks
        return measure(labels, predicted, users, replicates=replicates, seed=seed)

    def measure_order(scores: np.ndarray) -> dict[str, Measure]:
        order, ranks = rank_pairs(users, candidates, scores)
        totals = ListTotals(truth, best, percentiles)
        totals.add(users[order], candidates[order], ranks)
        return totals.measure(catalogue, replicates=replicates, seed=seed)

    table = ComparisonTable()
    for name, predicted in predictions.items():
        table.add(name, measure_predictions(predicted), measure_order(predicted))
    if baselines.biases is not None:
        table.add("mean", measure_predictions(baselines.predict_mean(rows)))
        table.add(
            "biases",
            measure_predictions(baselines.predict_biases(rows)),
            measure_order(baselines.score_candidate_biases(rows)),
        )
    table.add("popularity", measure_order(baselines.score_popularity(rows)))
    return table
