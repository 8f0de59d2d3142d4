"""The locks of a job: one run at a time."""

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
def locked(paths: Sequence[Path], output: Path) -> Iterator[None]:
    """Hold the lock files `paths`. They are empty and stay: removing a lock file would let two runs in.

    Raises TryLaterError (E-LOCKED) if another run, which `output` would meet, holds one; OutputError (E-OUTPUT).
    """
    with ExitStack() as held:
        for path in paths:
            held.enter_context(_locked(path, output))
        yield


@contextmanager
def _locked(path: Path, output: Path) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            error = OSError(error.errno, "the lock file is a symbolic link")
        raise cannot_write(path, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TryLaterError(
                "E-LOCKED",
                "another run is writing this output",
                where=output,
                found=f"{path.name} is locked",
                next_step="let it finish; if this happens every night, the runs overlap",
            ) from error
        except OSError as error:
            raise cannot_write(path, error) from error
        yield
    finally:
        with suppress(OSError):  # the lock is given up all the same, and the output may be published already
            os.close(descriptor)
