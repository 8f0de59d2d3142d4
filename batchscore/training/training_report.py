"""What a training did, and how long each stage took."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

from batchscore.errors import EXIT_OK, BatchscoreError, StoppedError
from batchscore.interactions.read import Interactions
from batchscore.interactions.splits import Split
from batchscore.observer import Observer
from batchscore.settings.train import TrainSettings
from batchscore.system.clock import utc_now
from batchscore.training.comparison import Comparison
from batchscore.training.live_version import Live, describe_split, describe_task
from batchscore.training.metrics import Epoch, metric_of

_log = logging.getLogger(__name__)

_NOT_OF_THE_MODEL: Any = {
    **dict.fromkeys(("input", "output", "users", "candidates", "tensorboard"), True),
    **dict.fromkeys(("max_regression", "keep_versions"), True),
    "model": {"factory_folder": True},
}
_OF_THE_MODEL = frozenset({
    "rows", "split", "training_rows", "validation_rows", "held_out_rows", "users", "candidates", "epochs",
    "best_epoch", "judged_by", "judged", "refitted",
})  # fmt: skip
_LIBRARIES = ("batchscore", "tensorflow", "tf-keras", "tensorflow-recommenders", "numpy")


SCHEMA_VERSION = 2


@dataclass(frozen=True)
class TrainingReport:
    """What a training did; of one that failed, as far as it got (null: not reached). Times are UTC (ISO 8601)."""

    schema_version: int
    """The version of this form."""
    status: str
    """`published` or `failed`."""
    exit_code: int
    """The exit code of the process."""
    error_id: str | None
    """The id of the error; null if there is none."""
    started_at: str
    """When it began (UTC)."""
    ended_at: str
    """When it ended (UTC)."""
    settings: dict[str, Any]
    """Every setting with its value, by its key."""
    versions: dict[str, str]
    """Versions of the libraries."""
    seconds: dict[str, float]
    """Seconds by stage."""
    rows: int | None = None
    """Rows of the interactions."""
    filled: dict[str, int] = field(default_factory=dict)
    """Nulls that were filled, by feature."""
    split: dict[str, Any] | None = None
    """How rows are held out."""
    training_rows: int | None = None
    """Rows that it learned from."""
    validation_rows: int | None = None
    """Rows that decide when to stop."""
    held_out_rows: int | None = None
    """Rows that it is measured on."""
    users: int | None = None
    """Distinct users of the training rows."""
    candidates: int | None = None
    """Distinct candidates of the training rows."""
    epochs: list[Epoch] = field(default_factory=list)
    """Figures of each epoch of the evaluated model."""
    best_epoch: int | None = None
    """The epoch whose weights the evaluated model has."""
    stopped_early: bool | None = None
    """Whether it stopped before the last epoch."""
    resumed_epochs: int | None = None
    """Epochs that an earlier process made."""
    judged_by: dict[str, Any] | None = None
    """The task and the metric that decide."""
    judged: dict[str, Any] | None = None
    """The first task's figure on the held-out rows, and that of the baseline to beat."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """By task: row (model or baseline) to metric to `value`, `low`, `high`."""
    relevant: dict[str, float] = field(default_factory=dict)
    """By task: the least label of a row that a good list should hold."""
    calibration: dict[str, list[Any]] = field(default_factory=dict)
    """By task: predictions against labels."""
    live: dict[str, Any] | None = None
    """The live version's figure, or why there is none."""
    refitted: bool | None = None
    """Whether the published model is another one, which has learned all rows for `best_epoch` epochs."""
    probe_rows: int | None = None
    """Probe rows of the model card."""
    probe_difference: float | None = None
    """The greatest difference of a score of the trained model and of its export."""
    probe_tolerance: float | None = None
    """How much they may differ."""
    model_path: str | None = None
    """Where the model was published."""
    model_version: int | None = None
    """Its version."""
    model_fingerprint: str | None = None
    """Its fingerprint."""
    no_plan_reason: str | None = None
    """Why no plan was left with it; null: there is one."""
    removed_versions: list[int] = field(default_factory=list)
    """Old versions that were removed."""

    def to_json(self) -> str:
        """The report as a JSON document, with its fields in this order."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    def summary(self) -> str:
        """One line for people: what was published and how good it is. Only of a published model."""
        if self.model_version is None or self.judged is None:
            raise ValueError("no model was published")
        metric, value, baseline = (self.judged[name] for name in ("metric", "value", "baseline_value"))
        live = self.live or {}
        against = f", version {live['version']}'s {live['value']:.4f}" if live.get("value") is not None else ""
        plan = "" if self.no_plan_reason is None else f"no plan ({self.no_plan_reason}); "
        refitted = f"refitted on all {self.rows:,} rows" if self.refitted else "not refitted"
        return (
            f"published model {self.model_version}: held-out {metric} {value:.4f}, "
            f"{self.judged['baseline']}'s {baseline:.4f}{against} (learned from {self.training_rows:,} rows, "
            f"{self.users:,} users, {self.candidates:,} candidates); {refitted}; {plan}"
            f"{sum(self.seconds.values()):.1f} s"
        )


def library_versions() -> dict[str, str]:
    """Name and version of the libraries that make a model."""
    return {name: version(name) for name in _LIBRARIES}


class Journal:
    """Writes the report while the stages run, and owns the clock.

    As a context it gives an error of batchscore that passes through the report as far as it got (`error.report`).
    """

    def __init__(self, settings: TrainSettings, observer: Observer) -> None:
        self._settings = settings
        self._observer = observer
        self._started_at = _now()
        self._seconds: dict[str, float] = {}
        self._facts: dict[str, Any] = {}
        self._versions = library_versions()  # now: the report is made after the model's publication

    @contextmanager
    def stage(self, name: str, rows: int | None = None) -> Iterator[None]:
        """Tell the observer that the stage `name` of `rows` rows begins, and time it."""
        self._observer.stage(name, rows)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = round(time.perf_counter() - begin, 3)

    def note(self, **facts: Any) -> None:
        """Remember fields of the report."""
        self._facts |= facts

    def note_rows(self, interactions: Interactions, split: Split) -> None:
        """Remember what was read and how it was split."""
        name, task = next(iter(self._settings.all_tasks().items()))
        self.note(
            rows=interactions.rows.num_rows,
            filled=interactions.filled,
            split=describe_split(split.held_out, self._settings),
            judged_by=describe_task(name, task, metric_of(task)),
            **split.describe(),
        )

    def note_comparison(self, comparison: Comparison, live: Live) -> None:
        """Remember how good the evaluated model is, beside baselines and the live version; tell it."""
        self.note(
            judged=comparison.describe(),
            evaluation={name: table.to_dict() for name, table in comparison.tables.items()},
            relevant=comparison.relevant,
            calibration={
                name: [dataclasses.asdict(entry) for entry in bins] for name, bins in comparison.calibration.items()
            },
            live=live.describe(),
        )
        tasks = self._settings.all_tasks()
        for name, table in comparison.tables.items():
            _log.info(
                "%s on the held-out rows (± half of the 95 %% interval; relevant: %s of at least %.3g):\n%s",
                name, tasks[name].label, comparison.relevant[name], table.to_text(),
            )  # fmt: skip
        if live.version is not None and live.reason is not None:
            _log.warning("not compared with the live version %d: %s", live.version, live.reason)

    def for_card(self) -> dict[str, Any]:
        """The settings and what is known of the model: what its card remembers, without times and paths.

        Nothing of what else stood there, so that the same training leaves the same card.
        """
        facts = {name: _plain(value) for name, value in self._facts.items() if name in _OF_THE_MODEL}
        return {"settings": self._settings.model_dump(mode="json", exclude=_NOT_OF_THE_MODEL), **facts}

    def report(
        self, status: str = "published", exit_code: int = EXIT_OK, error_id: str | None = None
    ) -> TrainingReport:
        """The report as of now."""
        return TrainingReport(
            schema_version=SCHEMA_VERSION,
            status=status,
            exit_code=exit_code,
            error_id=error_id,
            started_at=self._started_at,
            ended_at=_now(),
            settings=self._settings.model_dump(mode="json"),
            versions=self._versions,
            seconds=dict(self._seconds),
            **self._facts,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, BatchscoreError | StoppedError):
            error.report = self.report("failed", error.exit_code, error.error_id)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return dataclasses.asdict(value) if isinstance(value, Epoch) else value


def _now() -> str:
    return utc_now().isoformat(timespec="seconds")
