from __future__ import annotations

import logging
import re

import pytest

from batchscore.errors import ModelError, OutputError
from batchscore.interactions.splits import split_interactions
from batchscore.observer import Observer
from batchscore.training.metrics import RMSE

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]


@pytest.fixture
def prepare(write, read, tmp_path):
    """A fitting of a small model on 80 rows or so, with its checkpoints in a folder that outlives it."""
    from batchscore.interactions.training_statistics import learn_statistics
    from batchscore.networks.factory import build_model
    from batchscore.networks.keras2 import seed_random_generators
    from batchscore.networks.training_batches import TrainingBatches
    from batchscore.training.checkpoints import Checkpoints
    from batchscore.training.evaluation import Evaluator
    from batchscore.training.fitting import Fitting, Schedule
    from batchscore.training.split_parts import make_parts

    def _prepare(measure=None, **settings):
        columns = {
            "user_id": list("abcde") * 20, "movie_id": list("vwxyzuvwxy") * 10, "user_rating": list(range(10)) * 10,
        }  # fmt: skip
        columns["movie_id"] = [f"{movie}{row // 10}" for row, movie in enumerate(columns["movie_id"])]
        stopped = {"validation": 0.3} if settings.get("patience") else {}
        chosen = write(columns, **{"batch_rows": 32, "layers": (4,)} | stopped | settings)
        split = split_interactions(read(chosen), chosen)
        statistics = learn_statistics(split.training, chosen)
        seed_random_generators(chosen.seed)
        model = build_model(statistics, chosen)
        evaluator = Evaluator(model, make_parts(split, statistics, chosen), chosen)
        schedule = Schedule(chosen.epochs, chosen.patience, "rating", RMSE, chosen.learning_rate)
        batches = TrainingBatches(split.training, statistics, chosen)
        checkpoints = Checkpoints(tmp_path / "state", model)
        return Fitting(model, batches, measure or evaluator.measure, schedule, checkpoints), model

    return _prepare


class Rows(Observer):
    def __init__(self):
        self.advanced = []

    def advance(self, rows):
        self.advanced.append(rows)


def ignore(_):
    pass


def told_of(value, part="validation"):
    figures = {"rating": {"RMSE": value}}
    return {"training": figures, part: figures}


def play(*values):
    """A measurement that gives these validation figures one after the other."""
    left = iter(values)
    return lambda: told_of(next(left))


def test_progress_counts_every_training_row_of_every_epoch(prepare):
    observer = Rows()
    fitting, _ = prepare(epochs=2)
    rows = fitting.rows_left // 2
    assert fitting.rows_left == 2 * rows
    fitted = fitting.run(observer, ignore)
    assert observer.advanced == [32, 32, rows - 64] * 2
    assert [epoch.epoch for epoch in fitted.epochs] == [1, 2]
    assert (fitted.best, fitted.stopped_early, fitted.resumed) == (2, False, 0)


def test_each_epoch_is_told_and_is_one_aligned_line(prepare, caplog):
    told = []
    with caplog.at_level(logging.INFO, "batchscore"):
        fitted = prepare(epochs=10)[0].run(Observer(), told.append)
    assert told == fitted.epochs
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("batchscore")]
    assert len(lines) == len(fitted.epochs) == 10
    assert len({len(line) for line in lines}) == 1
    last = re.fullmatch(r"epoch 10/10  train RMSE +(\S+)  held-out RMSE +(\S+)", lines[-1])
    assert float(last[1]) == pytest.approx(fitted.epochs[-1].training["rating"]["RMSE"], abs=1e-4)
    assert float(last[2]) == pytest.approx(fitted.epochs[-1].held_out["rating"]["RMSE"], abs=1e-4)
    assert all(epoch.loss > 0 for epoch in fitted.epochs)


def test_with_patience_held_out_rows_are_not_looked_at(prepare):
    fitted = prepare(epochs=1, patience=1)[0].run(Observer(), ignore)
    assert fitted.epochs[0].held_out is None
    assert fitted.epochs[0].validation["rating"]["RMSE"] > 0


@pytest.mark.parametrize(
    ("values", "patience", "epochs", "best"),
    [
        ((3, 2, 2.5, 2.1, 1), 2, 4, 2),
        ((3, 2, 2.5, 1, 1, 1), 2, 6, 4),
        ((1, 2, 3), 9, 3, 1),
        ((1, None, 2), 2, 3, 1),
        ((None, 2, 3, 1), 1, 3, 2),
    ],
)
def test_it_ends_after_so_many_epochs_without_a_better_one(prepare, values, patience, epochs, best):
    fitted = prepare(play(*values), epochs=len(values), patience=patience)[0].run(Observer(), ignore)
    assert (len(fitted.epochs), fitted.best) == (epochs, best)
    assert fitted.stopped_early == (epochs < len(values))


def test_the_best_weights_are_restored(prepare):
    weights = []

    def measure():
        weights.append([value.numpy() for value in model.trainable_variables])
        return told_of([3, 1, 2, 2][len(weights) - 1])

    fitting, model = prepare(measure, epochs=4, patience=2)
    assert fitting.run(Observer(), ignore).best == 2
    now = [value.numpy().tolist() for value in model.trainable_variables]
    assert now == [value.tolist() for value in weights[1]]
    assert now != [value.tolist() for value in weights[3]]


class Killed(BaseException):
    pass


class KilledIn(Rows):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def advance(self, rows):
        super().advance(rows)
        if len(self.advanced) == self.batches:
            raise Killed


@pytest.mark.parametrize(("patience", "batches"), [(0, 8), (9, 5)])
def test_a_killed_fitting_goes_on_and_ends_with_the_same_weights(prepare, patience, batches, tmp_path):
    how = {
        "epochs": 4,
        "patience": patience,
        "model": {"optimizer": "adam", "weight_average": 0.9, "dropout": 0.5},
        "learning_rate": 0.01,
    }
    killed, _ = prepare(**how)
    with pytest.raises(Killed):
        killed.run(KilledIn(batches), ignore)
    again, model = prepare(**how)
    told = []
    fitted = again.run(Observer(), told.append)
    assert (fitted.resumed, [epoch.epoch for epoch in told]) == (2, [3, 4])
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    whole, other = prepare(**how)
    straight = whole.run(Observer(), ignore)
    assert straight.epochs == fitted.epochs
    for one, two in zip(model.variables, other.variables, strict=True):
        assert (one.numpy() == two.numpy()).all()


class Steps(Observer):
    """The weights after each step."""

    def __init__(self, model):
        self.model = model
        self.weights = [self.read()]

    def read(self):
        return [variable.numpy() for variable in self.model.trainable_variables]

    def advance(self, rows):
        self.weights.append(self.read())


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_after_an_epoch_the_weights_are_their_average_over_the_steps(prepare, optimizer):
    fitting, model = prepare(epochs=1, model={"optimizer": optimizer, "weight_average": 0.7})
    steps = Steps(model)
    fitting.run(steps, ignore)
    assert len(steps.weights) > 2
    for final, first, *later in zip(steps.read(), *steps.weights, strict=True):
        average = first
        for weights in later:
            average = 0.7 * average + 0.3 * weights
        assert final == pytest.approx(average, rel=1e-5, abs=1e-7)
        assert final != pytest.approx(later[-1], rel=1e-3, abs=1e-5)


def test_a_fitting_that_is_over_is_not_fitted_again(prepare):
    prepare(play(2, 1, 3), epochs=9, patience=1)[0].run(Observer(), ignore)
    again, _ = prepare(play(), epochs=9, patience=1)
    assert again.rows_left == 0
    fitted = again.run(Observer(), ignore)
    assert (fitted.best, len(fitted.epochs), fitted.resumed) == (2, 3, 3)


def test_a_state_is_whole_or_not_there(prepare, monkeypatch):
    fitting, _ = prepare(epochs=2)
    monkeypatch.setattr("batchscore.system.durable.sync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OutputError, match="state of the training cannot be written"):
        fitting.run(Observer(), ignore)
    assert prepare(epochs=2)[0].resumed == 0


def test_only_the_last_and_the_best_state_stay(prepare, tmp_path):
    prepare(play(2, 1, 3, 4), epochs=4, patience=9)[0].run(Observer(), ignore)
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["epoch-00002", "epoch-00004"]


def test_a_loss_that_is_not_finite_stops_at_once(prepare):
    observer = Rows()
    with pytest.raises(ModelError) as caught:
        prepare(learning_rate=1e30)[0].run(observer, ignore)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-TRAINING-DIVERGED", 4)
    assert "diverged in epoch 1" in str(caught.value)
    assert "lower --learning-rate (it was 1e+30)" in str(caught.value)
    assert len(observer.advanced) < 3


def test_weights_that_the_last_batch_ruined_are_found_by_the_evaluation(prepare):
    fitting, model = prepare(epochs=1)

    class Ruin(Rows):
        def advance(self, rows):
            super().advance(rows)
            if len(self.advanced) == 3:
                model.trainable_variables[-1].assign([float("nan")])

    with pytest.raises(ModelError, match="predictions of rating are NaN") as caught:
        fitting.run(Ruin(), ignore)
    assert caught.value.error_id == "E-TRAINING-DIVERGED"
