from __future__ import annotations

import logging
import re

import pytest

from batchscore.errors import ModelError, OutOfMemoryError
from batchscore.observer import Observer
from batchscore.training.splits import split_interactions

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]


@pytest.fixture
def prepare(write, read):
    from batchscore.training import dataset, evaluation, ranking_model
    from batchscore.training.statistics import learn_statistics

    def _prepare(**settings):
        columns = {
            "user_id": list("abcde") * 20, "movie_id": list("vwxyzuvwxy") * 10, "user_rating": list(range(10)) * 10,
        }  # fmt: skip
        chosen = write(columns, batch_rows=32, layers=(4,), **settings)
        split = split_interactions(read(chosen), chosen)
        statistics = learn_statistics(split.training, chosen)
        batches = dataset.TrainingBatches(split.training, statistics, chosen)
        model = ranking_model.build_ranking_model(statistics, chosen)
        return model, batches, evaluation.Evaluator(model.score, split), chosen

    return _prepare


class Rows(Observer):
    def __init__(self):
        self.advanced = []

    def advance(self, rows):
        self.advanced.append(rows)


def test_progress_counts_every_training_row_of_every_epoch(prepare):
    from batchscore.training.fitting import fit

    observer = Rows()
    epochs = fit(*prepare(epochs=2), observer)
    assert observer.advanced == [32, 32, 16] * 2
    assert [epoch.epoch for epoch in epochs] == [1, 2]


def test_each_epoch_is_one_aligned_line_with_its_three_errors(prepare, caplog):
    from batchscore.training.fitting import fit

    with caplog.at_level(logging.INFO, "batchscore"):
        epochs = fit(*prepare(epochs=10), Observer())
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("batchscore")]
    assert len(lines) == len(epochs) == 10
    assert len({len(line) for line in lines}) == 1
    last = re.fullmatch(r"epoch 10/10  train RMSE +(\S+)  held-out RMSE +(\S+)  mean's +(\S+)", lines[-1])
    assert float(last[1]) == pytest.approx(epochs[-1].rmse.training, abs=1e-4)
    assert float(last[2]) == pytest.approx(epochs[-1].rmse.held_out, abs=1e-4)


def test_a_loss_that_is_not_finite_stops_at_once(prepare):
    from batchscore.training.fitting import fit

    observer = Rows()
    with pytest.raises(ModelError) as caught:
        fit(*prepare(learning_rate=1e30), observer)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-TRAINING-DIVERGED", 4)
    assert "diverged in epoch 1" in str(caught.value)
    assert "lower --learning-rate (it was 1e+30)" in str(caught.value)
    assert len(observer.advanced) < 3


def test_weights_that_the_last_batch_ruined_are_found_by_the_evaluation(prepare):
    from batchscore.training.fitting import fit

    model, batches, evaluator, settings = prepare(epochs=1)

    class Ruin(Rows):
        def advance(self, rows):
            super().advance(rows)
            if len(self.advanced) == 3:
                model.trainable_variables[-1].assign([float("nan")])

    with pytest.raises(ModelError, match="RMSE of nan") as caught:
        fit(model, batches, evaluator, settings, Ruin())
    assert caught.value.error_id == "E-TRAINING-DIVERGED"


def test_memory_that_runs_out_is_no_bug(prepare, monkeypatch, tf):
    from batchscore.training.fitting import fit

    model, batches, evaluator, settings = prepare()

    def compute_loss(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(model, "compute_loss", compute_loss)
    with pytest.raises(OutOfMemoryError) as caught:
        fit(model, batches, evaluator, settings, Observer())
    assert caught.value.exit_code == 7
