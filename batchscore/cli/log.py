"""What a command logs, on stderr."""

from __future__ import annotations

import logging
import sys
import time

ALL = logging.getLogger("batchscore")
"""Above the loggers of all modules: how much they say, and where."""


class _Formatter(logging.Formatter):
    """Dated lines for a log file; on a terminal only what is not ordinary carries its level."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__("%(levelname)s: %(message)s" if terminal else "%(asctime)sZ %(levelname)s %(message)s")
        self._terminal = terminal

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text.removeprefix("INFO: ") if self._terminal else text


def configure_logging(*, quiet: bool, verbose: bool, terminal: bool) -> None:
    """Send the log to stderr: warnings if `quiet`, all if `verbose`; without dates on a `terminal`."""
    logging.raiseExceptions = False  # a full or closed stderr must not stop a run
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(terminal=terminal))
    ALL.handlers[:] = [handler]
    ALL.propagate = False
    ALL.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)


def log_error(message: str) -> None:
    """Write a message as an error, dated where no one looks on."""
    _tell(logging.ERROR, message)


def log_warning(message: str) -> None:
    """Write a message as a warning, dated where no one looks on."""
    _tell(logging.WARNING, message)


def _tell(level: int, message: str) -> None:
    if not ALL.handlers:
        configure_logging(quiet=False, verbose=False, terminal=sys.stderr is not None and sys.stderr.isatty())
    ALL.log(level, "%s", message)
