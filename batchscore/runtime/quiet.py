"""TensorFlow's library greets on stderr while it loads, whatever the log level. This keeps it quiet."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO


@contextmanager
def stderr_silenced() -> Iterator[None]:
    """Keep the stderr of the process (descriptor 2) back for the block; where the block fails, tell it after all.

    Where stderr is closed, or there is no room to keep it, the block runs as it is.
    """
    with ExitStack() as stack:
        try:
            kept = stack.enter_context(_open_unnamed())
            before = os.dup(2)
        except OSError:
            yield
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


def _open_unnamed() -> IO[bytes]:
    """A file without a name, in memory where the system has that: a full temporary folder does not matter then."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()
