"""READ FIRST: interactions in, an exported model out. The training from top to bottom."""

from __future__ import annotations

import logging

from batchscore.interactions.read import read_interactions
from batchscore.interactions.splits import split_interactions
from batchscore.networks.keras2 import require_keras_2
from batchscore.observer import Observer
from batchscore.publishing.model_base import hold_model_base
from batchscore.settings.train import TrainSettings
from batchscore.training.report_files import keep_reports
from batchscore.training.tensorboard import require_tensorboard
from batchscore.training.training_report import Journal, TrainingReport, library_versions

_log = logging.getLogger(__name__)
_UNOBSERVED = Observer()


def train(settings: TrainSettings, observer: Observer = _UNOBSERVED) -> TrainingReport:
    """Train the declared model on `settings.input` and publish it as the next version below `settings.output`.

    The same input, settings and libraries give the same weights on one machine; a training that was killed goes on
    from its last epoch. Sets TF_USE_LEGACY_KERAS for this process and seeds its global random generators.

    Nothing is published unless the report is returned: on rows that neither has learned the model must be better
    than a baseline and not much worse than the live version, and its export must give the trained model's scores.
    With `settings.refit` what is published has then been fitted again on all rows.

    Raises UsageError, InputError, ModelError, OutputError, RefusedError, OutOfMemoryError or TryLaterError, each
    with `.report`.
    """
    with Journal(settings, observer) as journal:
        require_tensorboard(settings.tensorboard)
        with hold_model_base(settings.output) as base, keep_reports(base, journal):
            with journal.stage("read interactions"):
                interactions = read_interactions(settings, base.training_rows)
                split = split_interactions(interactions, settings)
                journal.note_rows(interactions, split)
            with journal.stage("load TensorFlow"):
                require_keras_2()
                from batchscore.networks.failures import translate_errors  # noqa: PLC0415
                from batchscore.training import export, gates, rounds  # noqa: PLC0415
                from batchscore.training.live_version import measure_live_version  # noqa: PLC0415
            with translate_errors(settings):
                with journal.stage("prepare"):
                    evaluated = rounds.prepare_evaluated(split, interactions.files, base, settings)
                with journal.stage("train", rows=evaluated.rows_left):
                    fitted = evaluated.fit(observer)
                    journal.note(**fitted.describe())
                with journal.stage("evaluate"):
                    comparison = evaluated.compare(split)
                    live = measure_live_version(base, evaluated.held_out, settings)
                    journal.note_comparison(comparison, live)
                gates.require_better_than_baseline(comparison, split.training.num_rows, settings)
                gates.require_no_regression(comparison, live, settings)
                published: rounds.Round = evaluated
                if settings.refit:
                    with journal.stage("prepare refit"):
                        published = rounds.prepare_refit(interactions.rows, fitted.best, evaluated.state, settings)
                    with journal.stage("refit", rows=published.rows_left):
                        published.fit(observer)
                journal.note(refitted=settings.refit)
                with journal.stage("export"):
                    probes = export.draw_probes(interactions.rows, settings)
                    told = {"made_with": library_versions(), "training": journal.for_card()}
                    export.export_model(published.model, probes, base.incoming, settings, **told)
                    exported = export.check_export(base.incoming)
                    journal.note(no_plan_reason=export.leave_plan(exported.saved, settings))
                    if settings.refit:
                        export.export_model(evaluated.model, probes, base.incoming_evaluated, settings, **told)
                        export.check_export(base.incoming_evaluated)
                    journal.note(**exported.describe())
            with journal.stage("publish"):
                observer.committing()
                path = base.publish()
                journal.note(model_path=str(path), model_version=base.next_version)
                journal.note(removed_versions=base.remove_old_versions(settings.keep_versions))
                base.forget_training()
        report = journal.report()
    _log.info("%s", report.summary())
    return report
