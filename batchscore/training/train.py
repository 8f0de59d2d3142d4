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
                from batchscore.training import dataset, evaluation, export, fitting, ranking_model  # noqa: PLC0415
            with journal.stage("prepare"):
                seed_random_generators(settings.seed)
                split = split_interactions(interactions, settings)
                batches = dataset.make_batches(split, settings)
                model = ranking_model.build_ranking_model(split.training, settings)
                evaluator = evaluation.Evaluator(model, split, batches)
                journal.note(**split.describe(), mean_rmse=evaluator.mean)
            with journal.stage("train", rows=split.training.num_rows * settings.epochs):
                epochs = fitting.fit(model, batches.training, evaluator, settings, observer)
                journal.note(epochs=epochs)
            evaluation.require_better_than_mean(
                epochs[-1].rmse, evaluator.mean, split.training.num_rows, settings.batch_rows
            )
            with journal.stage("export"):
                probes = export.draw_probes(interactions.rows, settings)
                export.export_model(model, probes, base.incoming, library_versions(), journal.for_card())
                exported = export.check_export(base.incoming)
                export.leave_plan(exported.saved)
                journal.note(**exported.describe())
            with journal.stage("publish"):
                observer.committing()
                path = base.publish()
        journal.note(model_path=str(path), model_version=base.next_version)
        report = journal.report()
    _LOG.info("%s", report.summary())
    return report
