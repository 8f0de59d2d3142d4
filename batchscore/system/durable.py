"""Around a rename: what it alone does not promise, and what may go wrong after it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger("batchscore")


def sync(path: Path) -> None:
    """Flush a file to the disk, or a directory: the names that were made, moved or removed in it.

    A symbolic link to a directory is followed, any other is not. Raises OSError.
    """
    kind = os.O_DIRECTORY if path.is_dir() else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | kind | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str) -> None:
    """Write `text` (UTF-8) as the file `path`, which is the old one or all of the new one at every moment.

    A link in the place of `path` is replaced, not followed. What was left of an earlier attempt, or was put in the
    way of the temporary file beside it, is removed. Raises OSError; nothing is left then.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def tolerated(what: str) -> Iterator[None]:
    """Log whatever goes wrong inside the block as a warning that begins with `what`.

    For steps after the commit point: what is published is published, and nothing that comes later is a failure.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a bug in a later step is no reason to call the night failed
        _log.warning("%s: %s", what, getattr(error, "strerror", None) or str(error) or type(error).__name__)
