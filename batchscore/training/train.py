"""READ FIRST: interactions in, an exported model out. The training from top to bottom."""

from __future__ import annotations

import logging
import tempfile
from contextlib import ExitStack
from pathlib import Path

from batchscore.config import TrainSettings
from batchscore.observer import Observer
from batchscore.runtime.model_base import hold_model_base
from batchscore.training.interactions import read_interactions
from batchscore.training.keras2 import require_keras_2, seed_random_generators
from batchscore.training.report import Journal, TrainingReport, library_versions
from batchscore.training.splits import split_interactions
from batchscore.training.statistics import learn_statistics

_LOG = logging.getLogger(__name__)
_UNOBSERVED = Observer()


def train(settings: TrainSettings, observer: Observer = _UNOBSERVED) -> TrainingReport:
    """Train the ranking model on `settings.input` and publish it as the next version below `settings.output`.

    The same input, settings and libraries give the same weights on one machine. Sets TF_USE_LEGACY_KERAS for this
    process and seeds its global random generators. Nothing is published unless the report is returned: the model
    must be better than the mean rating, and its export must give the trained model's scores.

    Raises UsageError, InputError, ModelError, OutputError, RefusedError or TryLaterError, each with `.report`.
    """
    with Journal(settings, observer) as journal, ExitStack() as stack:
        with journal.stage("read interactions"):
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="batchscore-")))
            interactions = read_interactions(settings, work)
        with hold_model_base(settings.output) as base:
            with journal.stage("load TensorFlow"):
                require_keras_2()
                from batchscore.training import dataset, evaluation, export, factory, fitting, predictions  # noqa: PLC0415
            with journal.stage("prepare"):
                seed_random_generators(settings.seed)
                split = split_interactions(interactions, settings)
                statistics = learn_statistics(split.training, settings)
                batches = dataset.TrainingBatches(split.training, statistics, settings)
                model = factory.build_model(statistics, settings)
                first_task = next(iter(settings.all_tasks()))
                evaluator = evaluation.Evaluator(
                    lambda features: predictions.predict(model, features, settings)[first_task], split
                )
                journal.note(**split.describe(), mean_rmse=evaluator.mean)
            with journal.stage("train", rows=split.training.num_rows * settings.epochs):
                epochs = fitting.fit(model, batches, evaluator, settings, observer)
                journal.note(epochs=epochs)
            evaluation.require_better_than_mean(
                epochs[-1].rmse, evaluator.mean, split.training.num_rows, settings.batch_rows
            )
            with journal.stage("export"):
                probes = export.draw_probes(interactions.rows, settings)
                export.export_model(
                    model, probes, base.incoming, settings,
                    made_with=library_versions(), training=journal.for_card(),
                )  # fmt: skip
                exported = export.check_export(base.incoming)
                export.leave_plan(exported.saved, settings)
                journal.note(**exported.describe())
            with journal.stage("publish"):
                observer.committing()
                path = base.publish()
        journal.note(model_path=str(path), model_version=base.next_version)
        report = journal.report()
    _LOG.info("%s", report.summary())
    return report
