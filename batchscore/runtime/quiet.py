"""TensorFlow's library greets on stderr while it loads, whatever the log level. This keeps it quiet."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_START_UP_LINE = re.compile(rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} ")
_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextmanager
def quiet_start() -> Iterator[None]:
    """Load TensorFlow within this block: errors are told, its greetings are not."""
    with _errors_only(), _start_up_lines_dropped():
        yield


@contextmanager
def _errors_only() -> Iterator[None]:
    """Have TensorFlow log errors only, unless the environment says otherwise. It looks there while it loads."""
    if _LOG_LEVEL in os.environ:
        yield
        return
    os.environ[_LOG_LEVEL] = "3"
    try:
        yield
    finally:
        del os.environ[_LOG_LEVEL]


@contextmanager
def _start_up_lines_dropped() -> Iterator[None]:
    """Hold back what arrives on file descriptor 2, then pass on all but the lines of TensorFlow's own start.

    It writes them whatever log level is asked for. Lines of other threads arrive late; they are lost
    only where the process ends meanwhile.
    """
    try:
        held = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        real = os.dup(2)
    except OSError:
        yield  # nowhere to hold lines back, or no standard error at all
        return
    with held:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if not _START_UP_LINE.match(line):
                    with suppress(OSError):  # nobody reads it any more
                        os.write(2, line)
