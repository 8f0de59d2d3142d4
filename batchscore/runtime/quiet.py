"""TensorFlow's library greets on stderr while it loads, whatever the log level. This keeps it quiet."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stderr_silenced() -> Iterator[None]:
    """Keep the stderr of the process back for the block; where the block fails, tell it after all."""
    with tempfile.TemporaryFile() as kept:
        try:
            before = os.dup(2)
        except OSError:
            yield  # stderr is closed: there is nothing to silence
            return
        try:
            os.dup2(kept.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(before, 2)
        except BaseException:
            kept.seek(0)
            sys.stderr.write(kept.read().decode(errors="replace"))
            raise
        finally:
            os.close(before)
