"""The locks of a job: one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from batchscore.errors import TryLaterError
from batchscore.system.disk import cannot_write


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, an empty file that is made if it is missing, and stays.

    Raises BlockingIOError at once if another process holds it, or has removed it meanwhile with a folder that was
    made for nothing; OSError if it cannot be opened, also for a symbolic link.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(error.errno, "the lock file is a symbolic link", str(path)) from error
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_file_of(descriptor, path):
            raise BlockingIOError(errno.EWOULDBLOCK, "the lock file was removed", str(path))
        yield
    finally:
        with suppress(OSError):  # the lock is given up all the same, and what it guards may be published already
            os.close(descriptor)


def _is_file_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def describe_holder(path: Path) -> str:
    """That the lock file `path` is locked, and by which process, if the system tells (Linux does)."""
    holder = _find_holder(path)
    return f"{path.name} is locked{'' if holder is None else f' by process {holder}'}"


def _find_holder(path: Path) -> int | None:
    try:
        status, lines = path.stat(), Path("/proc/locks").read_text("utf-8").splitlines()
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:  # 1: FLOCK  ADVISORY  WRITE 24750 fe:00:2597034 0 EOF
        fields = line.split()
        if fields[1:2] == ["FLOCK"] and fields[5:6] == [place] and fields[4].isdecimal() and fields[4] != "0":
            return int(fields[4])
    return None


@contextmanager
def locked(paths: Sequence[Path], output: Path) -> Iterator[None]:
    """Hold the lock files `paths`.

    Raises TryLaterError (E-LOCKED) if another run, which `output` would meet, holds one; OutputError (E-OUTPUT).
    """
    with ExitStack() as held:
        for path in paths:
            try:
                held.enter_context(hold_lock(path))
            except BlockingIOError as error:
                raise TryLaterError(
                    "E-LOCKED",
                    "another run is writing this output",
                    where=output,
                    found=describe_holder(path),
                    next_step="let it finish; if this happens every night, the runs overlap",
                ) from error
            except OSError as error:
                raise cannot_write(path, error) from error
        yield
