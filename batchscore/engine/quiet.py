"""TensorFlow's library greets on stderr while it loads, whatever the log level. This keeps it quiet."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_START_UP_LINE = re.compile(rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} ")


@contextmanager
def quiet_start() -> Iterator[None]:
    """Load TensorFlow within this block: errors are told, its greetings are not.

    What arrives on file descriptor 2 is held back, then all is passed on but the lines of TensorFlow's own start,
    which it writes whatever log level is asked for. Lines of other threads arrive late; they are lost only if
    the process ends meanwhile.
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
                    with suppress(OSError):  # no one reads it any more
                        os.write(2, line)
