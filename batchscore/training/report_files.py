"""The reports of trainings beside the model's versions: `_batchscore/7.report.json`, and the last failure's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from batchscore.errors import BatchscoreError
from batchscore.runtime.model_base import ModelBase
from batchscore.training.report import Journal, TrainingReport

_LOG = logging.getLogger(__name__)

FAILED = "failed"
SUFFIX = ".report.json"


@contextmanager
def keep_reports(base: ModelBase, journal: Journal) -> Iterator[None]:
    """Write the report of what happens within: as that of the version that was published, or as the failure's.

    A failure before the rows were read leaves none. Reports of removed versions go. A report that cannot be written
    is a warning: the model is published, or the error matters more.
    """
    try:
        yield
    except BatchscoreError as error:
        report = journal.report("failed", error.exit_code, error.error_id)
        if report.rows is not None:
            _write(base, FAILED, report)
        raise
    report = journal.report()
    _write(base, str(report.model_version), report)
    for name in (FAILED, *map(str, report.removed_versions)):
        (base.reports / f"{name}{SUFFIX}").unlink(missing_ok=True)


def _write(base: ModelBase, name: str, report: TrainingReport) -> None:
    try:
        base.reports.mkdir(exist_ok=True)
        draft = base.reports / f"{name}{SUFFIX}.new"
        draft.write_text(f"{report.to_json()}\n", encoding="utf-8")
        draft.replace(base.reports / f"{name}{SUFFIX}")
    except OSError as error:
        _LOG.warning("the report of the training cannot be written below %s: %s", base.reports, error.strerror)
