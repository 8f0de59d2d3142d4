"""A round of a training: one model from its statistics to its best weights. One is evaluated; a refit is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import tensorflow_recommenders as tfrs

from batchscore.errors import InputError
from batchscore.interactions.identity import Identity
from batchscore.interactions.splits import Split
from batchscore.interactions.training_statistics import TrainingStatistics, learn_statistics
from batchscore.networks.factory import build_model
from batchscore.networks.keras2 import seed_random_generators
from batchscore.networks.training_batches import TrainingBatches
from batchscore.observer import Observer
from batchscore.publishing.model_base import ModelBase
from batchscore.settings.recipe import Ranking
from batchscore.settings.train import TrainSettings
from batchscore.training.checkpoints import Checkpoints, open_state
from batchscore.training.comparison import Comparison, compare_models
from batchscore.training.evaluation import Evaluator
from batchscore.training.fitting import Fitted, Fitting, Schedule
from batchscore.training.metrics import Epoch, metric_of
from batchscore.training.split_parts import SplitPart, can_evaluate_order, draw_rows, make_parts
from batchscore.training.tensorboard import Board


@dataclass(frozen=True)
class Round:
    """A model with what it is fitted on."""

    model: tfrs.Model
    statistics: TrainingStatistics
    settings: TrainSettings
    evaluator: Evaluator
    fitting: Fitting
    told: Callable[[Epoch], None]

    @property
    def rows_left(self) -> int:
        """Training rows that are still to pass by, at most."""
        return self.fitting.rows_left

    def fit(self, observer: Observer) -> Fitted:
        """Fit the model; it then has its best weights. See `Fitting.run`."""
        return self.fitting.run(observer, self.told)


@dataclass(frozen=True)
class EvaluatedRound(Round):
    """The round whose model never sees the held-out rows, and is evaluated by them."""

    held_out: SplitPart
    state: Path
    """Where the checkpoints of the training lie."""

    def compare(self, split: Split) -> Comparison:
        """The fitted model beside the baselines on the held-out rows. Costs one prediction of them."""
        predictions = self.evaluator.predict(self.held_out)
        return compare_models(predictions, self.held_out, split, self.statistics, self.settings)


def prepare_evaluated(
    split: Split, files: Mapping[str, Identity], base: ModelBase, settings: TrainSettings
) -> EvaluatedRound:
    """The round that learns the training rows alone, as far as an earlier process brought it with these files.

    Raises InputError (E-INTERACTIONS) if held-out or validation rows can evaluate no order, and UsageError,
    InputError, ModelError or OutputError, as building a model and its checkpoints do.
    """
    _require_evaluable(split, settings)
    statistics = learn_statistics(split.training, settings)
    model = _build(statistics, settings)
    parts = make_parts(split, statistics, settings)
    evaluator = Evaluator(model, parts, settings)
    name, task = next(iter(settings.all_tasks().items()))
    schedule = Schedule(settings.epochs, settings.patience, name, metric_of(task), settings.learning_rate)
    state = open_state(base, files, settings)
    checkpoints = Checkpoints(state / "fit", model)
    batches = TrainingBatches(split.training, statistics, settings)
    fitting = Fitting(model, batches, evaluator.measure, schedule, checkpoints)
    held_out = parts.get("held_out") or SplitPart(split.held_out, statistics, settings)
    board = Board(settings.tensorboard)
    return EvaluatedRound(model, statistics, settings, evaluator, fitting, board.write, held_out, state)


def prepare_refit(rows: pa.Table, epochs: int, state: Path, settings: TrainSettings) -> Round:
    """The round that learns all `rows`, with statistics of all of them, for `epochs` epochs.

    `state` is that of the evaluated round. It starts again from the same seed. Raises what `prepare_evaluated`
    does.
    """
    statistics = learn_statistics(rows, settings)
    model = _build(statistics, settings)
    parts = {"training": SplitPart(draw_rows(rows, settings), statistics, settings)}
    evaluator = Evaluator(model, parts, settings)
    name, task = next(iter(settings.all_tasks().items()))
    schedule = Schedule(epochs, 0, name, metric_of(task), settings.learning_rate, stage="refit ")
    checkpoints = Checkpoints(state / "refit", model)
    batches = TrainingBatches(rows, statistics, settings)
    fitting = Fitting(model, batches, evaluator.measure, schedule, checkpoints)
    return Round(model, statistics, settings, evaluator, fitting, _ignore)


def _require_evaluable(split: Split, settings: TrainSettings) -> None:
    """Any order of rows that do not differ is right: every epoch, and every model, would be the best there is."""
    task = next(iter(settings.all_tasks().values()))
    if not isinstance(task, Ranking):
        return
    parts = (
        (split.held_out, "held-out rows cannot show whether the model is good",
         "hold out more of each user: raise --held-out or --last, or take --split random"),
        (split.validation, "validation rows cannot show which epoch is best",
         "raise --validation (with --split last: --last), or set --patience 0"),
    )  # fmt: skip
    for rows, what, next_step in parts:
        if rows.num_rows and not can_evaluate_order(rows, task.label, settings.user_column):
            raise InputError(
                "E-INTERACTIONS",
                f"the {what}",
                where=settings.input,
                found=f"no user has two rows of different {task.label} among these {rows.num_rows:,}",
                expected="an order that can be right or wrong",
                next_step=next_step,
            )


def _build(statistics: TrainingStatistics, settings: TrainSettings) -> tfrs.Model:
    seed_random_generators(settings.seed)
    return build_model(statistics, settings)


def _ignore(_: Epoch) -> None:
    """The curves of a refit say nothing that those of the evaluated model do not."""
