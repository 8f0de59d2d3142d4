from __future__ import annotations

from pathlib import Path

import pytest

from batchscore.errors import RefusedError
from batchscore.settings.train import TrainSettings
from batchscore.training.comparison import Comparison
from batchscore.training.gates import require_better_than_baseline, require_no_regression
from batchscore.training.live_version import Live
from batchscore.training.metrics import LOG_LOSS, NDCG, RMSE


def settings(**more):
    return TrainSettings(input=Path("in.csv"), output=Path("model"), **more)


def comparison(metric, value, baseline=1.0):
    return Comparison({}, {}, {}, "task", metric, value, baseline)


@pytest.mark.parametrize(("metric", "better"), [(RMSE, 0.9999), (LOG_LOSS, 0.9999), (NDCG, 1.0001)])
def test_better_than_the_baseline_is_strict(metric, better):
    require_better_than_baseline(comparison(metric, better), 1_000_000, settings(batch_rows=256))
    for value in (1.0, 2 - better, float("nan")):
        with pytest.raises(RefusedError) as caught:
            require_better_than_baseline(comparison(metric, value), 1_000_000, settings(batch_rows=256))
        assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-QUALITY", 6)
        assert metric.baseline_text in str(caught.value)
        assert "--batch-rows" not in str(caught.value)


def test_small_data_gets_smaller_batches_as_advice():
    with pytest.raises(RefusedError) as caught:
        require_better_than_baseline(comparison(RMSE, 1.3, 1.25), 9_600, settings())
    text = str(caught.value)
    assert "the model is no better than predicting the mean rating; it was not published" in text
    assert "found:    held-out RMSE 1.3000" in text
    assert "expected: less than 1.2500" in text
    assert "8,192 rows per batch make only 2 step(s) per epoch of 9,600 training rows; try --batch-rows 128" in text


def test_rows_that_cannot_judge_an_order_let_nothing_pass():
    with pytest.raises(RefusedError, match="no user has held-out rows with different labels") as caught:
        require_better_than_baseline(comparison(NDCG, None, None), 9_600, settings())
    assert caught.value.error_id == "E-MODEL-QUALITY"


@pytest.mark.parametrize(
    ("metric", "value", "live", "limit", "passes"),
    [
        (RMSE, 0.9179, 0.9, "2%", True),
        (RMSE, 0.9181, 0.9, "2%", False),
        (RMSE, 0.5, 0.9, "0%", True),
        (RMSE, 0.9, 0.9, "0%", True),
        (RMSE, 9.0, 0.9, "off", True),
        (NDCG, 0.785, 0.8, "2%", True),
        (NDCG, 0.783, 0.8, "2%", False),
        (NDCG, 0.99, 0.8, "0%", True),
        (RMSE, 9.0, None, "2%", True),
        (RMSE, 0.1, 0.0, "2%", False),
    ],
)
def test_a_model_may_be_worse_than_the_live_version_up_to_the_limit(metric, value, live, limit, passes):
    chosen = settings(max_regression=limit)
    if passes:
        require_no_regression(comparison(metric, value), Live(7, live), chosen)
        return
    with pytest.raises(RefusedError) as caught:
        require_no_regression(comparison(metric, value), Live(7, live), chosen)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-REGRESSION", 6)
    assert "live version 7, which stays" in str(caught.value)
    assert "--max-regression off" in str(caught.value)
