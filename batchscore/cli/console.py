"""What a person sees of a job, all on stderr: a bar with rows/s on a terminal, dated lines under cron."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from batchscore.cli.log import ALL, configure_logging, log_error
from batchscore.cli.signals import Stop, stoppable
from batchscore.errors import OutOfMemoryError, StoppedError
from batchscore.observer import Observer

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_SECONDS = 30.0
_NEW_OBJECTS = 50_000
"""Objects that are made before the new ones are looked through: those of modules that load in a job stay, too."""


class LineObserver(Observer):
    """Progress as log lines, at most one every 30 seconds."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._began = self._told = time.monotonic()

    def stage(self, name: str, total_rows: int | None = None) -> None:
        """See Observer."""
        self._name, self._total, self._done = name, total_rows, 0
        self._began = self._told = time.monotonic()

    def advance(self, rows: int) -> None:
        """See Observer."""
        self._done += rows
        now = time.monotonic()
        if now - self._told < _LINE_SECONDS:
            return
        self._told = now
        rate = self._done / (now - self._began)
        if self._total:
            left = (self._total - self._done) / rate
            ALL.info("%s: %s of %s rows (%.0f %%), %s rows/s, %.0f s left", self._name, f"{self._done:,}",
                      f"{self._total:,}", 100 * self._done / self._total, f"{rate:,.0f}", left)  # fmt: skip
        else:
            ALL.info("%s: %s rows, %s rows/s", self._name, f"{self._done:,}", f"{rate:,.0f}")

    def committing(self) -> None:
        """See Observer."""
        self._stop.hold()

    def allow_abandoning(self, abandon: Callable[[BaseException], None]) -> None:
        """See Observer."""
        self._stop.allow_abandoning(abandon)


class BarObserver(Observer):
    """Progress as a bar with rows/s and the time left."""

    def __init__(self, stop: Stop, progress: Progress) -> None:
        self._stop = stop
        self._progress = progress
        self._task: TaskID | None = None

    def stage(self, name: str, total_rows: int | None = None) -> None:
        """See Observer."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(name, total=total_rows)

    def advance(self, rows: int) -> None:
        """See Observer."""
        if self._task is not None:
            self._progress.advance(self._task, rows)

    def committing(self) -> None:
        """See Observer."""
        self._stop.hold()

    def allow_abandoning(self, abandon: Callable[[BaseException], None]) -> None:
        """See Observer."""

        def clean_up(error: BaseException) -> None:
            self._progress.stop()
            abandon(error)

        self._stop.allow_abandoning(clean_up)


@contextmanager
def job_console(*, quiet: bool, verbose: bool) -> Iterator[Observer]:
    """Logging, progress and signals of one job; yields the observer that the job reports to."""
    gc.freeze()  # what the modules made stays, and need not be looked through
    gc.set_threshold(_NEW_OBJECTS)
    gc.enable()
    terminal = sys.stderr is not None and sys.stderr.isatty()
    configure_logging(quiet=quiet, verbose=verbose, terminal=terminal)
    with stoppable(_leave) as stop:
        if not terminal or quiet:
            yield LineObserver(stop)
            return
        with _shown(_bar()) as progress:
            for handler in ALL.handlers:
                handler.setStream(progress.console.file)  # type: ignore[attr-defined]
            yield BarObserver(stop, progress)


def _leave(error: StoppedError | OutOfMemoryError) -> NoReturn:
    from batchscore.cli.failure import print_failure

    log_error(str(error))
    print_failure(error, error.error_id, error.exit_code, str(error))
    os._exit(error.exit_code)


@contextmanager
def _shown(progress: Progress) -> Iterator[Progress]:
    """The bar, taken away at the end; a terminal that has gone is no failure of a job, which may have published."""
    progress.start()
    try:
        yield progress
    finally:
        with suppress(Exception):
            progress.stop()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            if task.speed is None or task.total is None:
                return Text("")
            return Text(f"{task.percentage:3.0f} %, {task.speed:,.0f} rows/s")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
