from __future__ import annotations

import math

import numpy as np
import pytest

from batchscore.errors import RefusedError
from batchscore.training.metrics import Rmse
from batchscore.training.splits import split_interactions

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]


@pytest.fixture
def split(write, read):
    random = np.random.default_rng(0)
    settings = write(
        {
            "user_id": random.integers(9, size=101),
            "movie_id": random.integers(9, size=101),
            "user_rating": random.normal(3, 1, size=101),
        },
        batch_rows=7,
    )
    return split_interactions(read(settings), settings)


def test_the_mean_is_that_of_the_training_rows(split):
    from batchscore.training.evaluation import measure_mean

    training, held_out = (np.asarray(side["user_rating"], np.float64) for side in (split.training, split.held_out))
    rmse = measure_mean(split)
    assert rmse.training == pytest.approx(training.std(), rel=1e-12)
    assert rmse.held_out == pytest.approx(math.sqrt(np.mean((held_out - training.mean()) ** 2)), rel=1e-12)


@pytest.mark.parametrize("shape", [[-1], [-1, 1]])
def test_each_row_counts_once_whatever_the_last_batch_holds(split, shape, tf):
    from batchscore.training.evaluation import Evaluator

    def model(features):
        assert set(features) == {"user_id", "movie_id"}
        return tf.reshape(tf.cast(features["user_id"] - features["movie_id"], tf.float32), shape)

    def expected(side):
        predicted = np.asarray(side["user_id"]) - np.asarray(side["movie_id"])
        return math.sqrt(np.mean((predicted - np.asarray(side["user_rating"], np.float64)) ** 2))

    rmse = Evaluator(model, split).measure()
    assert rmse.training == pytest.approx(expected(split.training), rel=1e-12)
    assert rmse.held_out == pytest.approx(expected(split.held_out), rel=1e-12)


def test_tfrs_s_own_metric_agrees(split, write):
    from batchscore.training.dataset import read_batches
    from batchscore.training.evaluation import Evaluator
    from batchscore.training.ranking_model import build_ranking_model
    from batchscore.training.statistics import learn_statistics

    settings = write({})
    model = build_ranking_model(learn_statistics(split.training, settings), settings)
    rmse = Evaluator(model.score, split).measure()
    for side, ours in ((split.training, rmse.training), (split.held_out, rmse.held_out)):
        judged = model.evaluate(read_batches(side, 7), verbose=0, return_dict=True)["root_mean_squared_error"]
        assert ours == pytest.approx(judged, rel=1e-5)


def test_better_than_the_mean_is_strict():
    from batchscore.training.evaluation import require_better_than_mean

    mean = Rmse(1.0, 1.0)
    require_better_than_mean(Rmse(2.0, 0.9999), mean, 1_000_000, 256)
    with pytest.raises(RefusedError) as caught:
        require_better_than_mean(Rmse(0.5, 1.0), mean, 1_000_000, 256)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-QUALITY", 6)
    assert "--batch-rows" not in str(caught.value)


def test_small_data_gets_smaller_batches_as_advice():
    from batchscore.training.evaluation import require_better_than_mean

    with pytest.raises(RefusedError) as caught:
        require_better_than_mean(Rmse(1.2, 1.3), Rmse(1.0, 1.25), 9_600, 8192)
    text = str(caught.value)
    assert "found:    held-out RMSE 1.3000" in text
    assert "expected: less than 1.2500, the mean's" in text
    assert "8,192 rows a batch make only 2 step(s) an epoch of 9,600 training rows; try --batch-rows 128" in text
