"""Files that are the old one or all of the new one at every moment, and what may go wrong after a rename."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchscore.errors import reason_of

_log = logging.getLogger(__name__)


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


def sync_tree(root: Path) -> None:
    """Flush every file and folder in the folder `root`, and `root` itself. Raises OSError."""
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            sync(Path(folder, name))
        sync(Path(folder))


def temporary_beside(path: Path) -> Path:
    """The temporary file of `path`, which one process at a time writes: it removes what a killed one left."""
    return path.with_name(f".{path.name}.tmp")


def unique_temporary_beside(path: Path) -> Path:
    """A temporary file of `path` that no other process has, on no host."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


@contextmanager
def replacing(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """Let the block write a temporary file, which then becomes `path`: the old file or all of the new one.

    `temporary` is `temporary_beside(path)` unless it is given. What was left of an earlier attempt, or was put in
    its way, is removed before. A link in the place of `path` is replaced, not followed. Where the block or the disk
    fails, `path` is as before, and no temporary file is left. Raises OSError. The new name is flushed too; if that
    fails it is a warning, for the file is there.
    """
    temporary = temporary or temporary_beside(path)
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with tolerated(f"{path} is written, but may not survive a power cut"):
        sync(path.parent)


def write_whole(path: Path, text: str, *, temporary: Path | None = None, mode: int = 0o666) -> None:
    """Write `text` (UTF-8) as the file `path`, as `replacing` does; `mode` is its mode before the umask."""
    with replacing(path, temporary) as draft:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


@contextmanager
def tolerated(what: str) -> Iterator[None]:
    """Log whatever goes wrong inside the block as a warning that begins with `what`.

    For steps after the commit point: what is published is published, and nothing that comes later is a failure.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a bug in a later step is no reason to call the night failed
        _log.warning("%s: %s", what, reason_of(error))
