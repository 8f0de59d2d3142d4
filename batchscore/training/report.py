"""What a training did, and how long each stage took."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

from batchscore.config import TrainSettings
from batchscore.errors import EXIT_OK, BatchscoreError, StoppedError
from batchscore.observer import Observer
from batchscore.training.metrics import Epoch, Rmse

_PLACES: Any = {
    **dict.fromkeys(("input", "output", "users", "candidates", "tensorboard"), True),
    "model": {"factory_folder": True},
}
_LIBRARIES = ("batchscore", "tensorflow", "tf-keras", "tensorflow-recommenders", "numpy")


@dataclass(frozen=True)
class TrainingReport:
    """What a training did; of one that failed, as far as it got (None: not reached).

    Times are UTC (ISO 8601). `users` and `candidates` are the distinct ids of the training rows, which are the
    model's vocabularies. `mean_rmse` is the error of predicting the mean training rating. `probe_difference` is the
    greatest difference between a score of the trained model and of its export.
    """

    schema_version: int
    status: str
    exit_code: int
    error_id: str | None
    started_at: str
    ended_at: str
    settings: dict[str, Any]
    versions: dict[str, str]
    seconds: dict[str, float]
    training_rows: int | None = None
    held_out_rows: int | None = None
    users: int | None = None
    candidates: int | None = None
    mean_rating: float | None = None
    mean_rmse: Rmse | None = None
    epochs: list[Epoch] = field(default_factory=list)
    probe_rows: int | None = None
    probe_difference: float | None = None
    probe_tolerance: float | None = None
    model_path: str | None = None
    model_version: int | None = None
    model_fingerprint: str | None = None

    def to_json(self) -> str:
        """The report as a JSON document, with its fields in this order."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    def summary(self) -> str:
        """One line for people: what was published and how good it is. Only of a published model."""
        if self.model_version is None or self.mean_rmse is None:
            raise ValueError("no model was published")
        held_out = self.epochs[-1].rmse.held_out
        return (
            f"published model {self.model_version}: held-out RMSE {held_out:.4f}, "
            f"the mean's {self.mean_rmse.held_out:.4f} (x {held_out / self.mean_rmse.held_out:.2f}); "
            f"{self.users:,} users, {self.candidates:,} candidates, {self.training_rows:,} training rows, "
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

    def for_card(self) -> dict[str, Any]:
        """The settings and the fields noted so far, without times and paths: what the model card remembers."""
        facts = {name: _plain(value) for name, value in self._facts.items()}
        return {"settings": self._settings.model_dump(mode="json", exclude=_PLACES), **facts}

    def report(
        self, status: str = "published", exit_code: int = EXIT_OK, error_id: str | None = None
    ) -> TrainingReport:
        """The report as of now."""
        return TrainingReport(
            schema_version=1,
            status=status,
            exit_code=exit_code,
            error_id=error_id,
            started_at=self._started_at,
            ended_at=_now(),
            settings=self._settings.model_dump(mode="json"),
            versions=library_versions(),
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
    return dataclasses.asdict(value) if isinstance(value, Rmse | Epoch) else value


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
