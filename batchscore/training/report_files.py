"""The reports of trainings beside the model's versions: `_batchscore/7.report.json` and `.html`; a failure's."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from batchscore.errors import BatchscoreError, first_line
from batchscore.evaluation.comparison_table import ComparisonTable
from batchscore.evaluation.prediction_metrics import CalibrationBin
from batchscore.publishing.model_base import ModelBase
from batchscore.reports.page_process import render_apart
from batchscore.reports.training_page import TrainingPage, write_page
from batchscore.savedmodel.versions import FAILED_REPORT
from batchscore.system.durable import tolerated, write_whole
from batchscore.training.metrics import Epoch, Figures
from batchscore.training.training_report import Journal, TrainingReport

_log = logging.getLogger(__name__)

FAILED = FAILED_REPORT.removesuffix(".report.json")
_JSON, _PAGE = ".report.json", ".report.html"
_PAGE_PACKAGES = ("altair", "great_tables", "vl_convert")


@contextmanager
def keep_reports(base: ModelBase, journal: Journal) -> Iterator[None]:
    """Write the report of what happens within: as that of the version that was published, or as the failure's.

    The page is made if the packages of the extra `report` are installed. A failure before the rows were read
    leaves nothing. Reports of removed versions go. One that cannot be written or removed is a warning: the model is
    published, or the error matters more.
    """
    try:
        yield
    except BatchscoreError as error:
        report = journal.report("failed", error.exit_code, error.error_id)
        if report.rows is not None:
            _write(base, FAILED, report, first_line(error))
        raise
    report = journal.report()
    _write(base, str(report.model_version), report, report.summary())
    with tolerated(f"reports of earlier trainings cannot be removed from {base.reports}"):
        for name in (FAILED, *map(str, report.removed_versions)):
            for suffix in (_JSON, _PAGE):
                (base.reports / f"{name}{suffix}").unlink(missing_ok=True)


def _write(base: ModelBase, name: str, report: TrainingReport, summary: str) -> None:
    place = base.reports / f"{name}{_JSON}"
    with tolerated(f"the report of the training cannot be written to {place}"):
        base.reports.mkdir(exist_ok=True)
        write_whole(place, f"{report.to_json()}\n")
    with tolerated("no HTML page of the training"):
        _write_page(place.with_suffix(".html"), report, summary)


def _write_page(place: Path, report: TrainingReport, summary: str) -> None:
    if all(find_spec(package) for package in _PAGE_PACKAGES):
        write_page(make_page(report, summary), place, render_apart)
    else:
        _log.debug("no HTML page of the training: pip install 'batchscore[report]'")


def make_page(report: TrainingReport, summary: str) -> TrainingPage:
    """The page of a training: the first task's figures and curves, and the other tasks' figures below them."""
    tables = {name: ComparisonTable.from_dict(table) for name, table in report.evaluation.items()}
    together = ComparisonTable()
    for name, table in tables.items():
        for row in table.rows:
            together.add(row.name if len(tables) == 1 else f"{name}: {row.name}", row.measures)
    first = next(iter(report.calibration), None)
    version = "refused or failed" if report.model_version is None else f"version {report.model_version}"
    return TrainingPage(
        title=f"Training, {version}",
        summary=summary,
        facts=list(_facts(report)),
        comparison=together,
        notes=list(_notes(report)),
        epochs=[_curve(epoch) for epoch in report.epochs],
        calibration=[CalibrationBin(**entry) for entry in report.calibration[first]] if first else [],
        settings=[(name, _format(value)) for name, value in report.settings.items()],
    )


def _facts(report: TrainingReport) -> Iterator[tuple[str, object]]:
    yield "began", report.started_at
    yield "rows", f"{report.rows:,}"
    for name in ("training_rows", "validation_rows", "held_out_rows", "users", "candidates"):
        yield name.replace("_", " "), f"{getattr(report, name):,}"
    yield "split", _format(report.split)
    yield "best epoch", f"{report.best_epoch} of {len(report.epochs)}"
    yield "refitted on all rows", {None: "not reached", True: "yes", False: "no"}[report.refitted]
    yield "live version", _format_live(report.live or {})
    yield "seconds", f"{sum(report.seconds.values()):.1f}"
    for name, version in report.versions.items():
        yield name, version


def _notes(report: TrainingReport) -> Iterator[str]:
    yield "Figures are of the held-out rows, with 95 % intervals over users; the model has not seen these rows."
    for name, least in report.relevant.items():
        yield f"For MAP, MRR and recall of {name}, a row is relevant if its label is at least {least:.3g}."
    if report.refitted:
        yield "The published model is another one: fitted again on all rows, for the best number of epochs."


def _curve(epoch: Epoch) -> dict[str, float | None]:
    parts: dict[str, Figures | None] = {
        "training": epoch.training, "validation": epoch.validation, "held-out": epoch.held_out,
    }  # fmt: skip
    named = len(epoch.training) > 1
    curves: dict[str, float | None] = {"epoch": epoch.epoch, "training loss": epoch.loss}
    for part, figures in parts.items():
        for task, metrics in (figures or {}).items():
            for metric, value in metrics.items():
                curves[f"{part} {task if named else ''} {metric}".replace("  ", " ")] = value
    return curves


def _format_live(live: dict[str, Any]) -> str:
    version, value = live.get("version"), live.get("value")
    if value is None:
        return "none" if version is None else f"{version}, not compared: {live.get('reason')}"
    return f"{version}: {value:.4f} on the same rows"


def _format(value: Any) -> str:
    """A value for a reader: `how random, held_out 0.2, seed 42`; what is not there is left out."""
    if isinstance(value, dict):
        return (
            ", ".join(f"{name} {_format(item)}" for name, item in value.items() if item not in (None, [], {}))
            or "-"
        )
    if isinstance(value, list):
        return ", ".join(map(_format, value)) or "-"
    return value if isinstance(value, str) else "-" if value is None else json.dumps(value)
