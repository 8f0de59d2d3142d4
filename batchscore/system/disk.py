"""Small steps on the disk, and what to say when it refuses them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from batchscore.errors import OutputError, reason_of
from batchscore.system.durable import sync, temporary_beside

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

_ARROW_DETAIL = re.compile(r".*\[errno \d+\] ")
"""How pyarrow wraps the words of the operating system."""

_NO_FOLDER = "a file is where a folder is needed: move it away, or give another path"


def cannot_write(path: Path, error: BaseException) -> OutputError:
    """The error (E-OUTPUT) for a step on `path` that failed with `error`."""
    reason = _ARROW_DETAIL.sub("", reason_of(error))
    steps = {
        errno.EACCES: "give the job's user the right to write in this directory",
        errno.ENOSPC: "free space on this file system, then run again",
        errno.EDQUOT: "free space within the quota, then run again",
        errno.EIO: "check the disk or the mount (the kernel's log), then run again",
        errno.EFBIG: "raise the file size limit (ulimit -f) of the job, then run again",
        errno.EEXIST: _NO_FOLDER,
        errno.ENOTDIR: _NO_FOLDER,
        errno.EROFS: "the file system is mounted read-only; mount it for writing or give another output",
    }
    return OutputError(
        "E-OUTPUT",
        f"the output cannot be written: {reason}",
        where=path,
        next_step=steps.get(
            getattr(error, "errno", None) or 0, "give the output a writable path of a regular file"
        ),
    )


def keep_access(descriptor: int, standing: Path) -> None:
    """Give an open file the mode, owner and group of `standing`, which it is to replace, as far as one may.

    Where nothing stands the umask has decided.
    """
    try:
        told = standing.stat()
    except FileNotFoundError:
        return
    ours = os.fstat(descriptor)
    if (ours.st_uid, ours.st_gid) != (told.st_uid, told.st_gid):
        try:
            os.fchown(descriptor, told.st_uid, told.st_gid)
        except PermissionError:  # only root gives files away, but a group of the process may be kept
            with suppress(PermissionError):
                os.fchown(descriptor, -1, told.st_gid)
    if stat.S_IMODE(ours.st_mode) != stat.S_IMODE(told.st_mode):
        os.fchmod(descriptor, stat.S_IMODE(told.st_mode))


def move(source: Path, target: Path) -> None:
    """Move `source` to `target`; if there is no `source`, there is no `target` afterwards."""
    try:
        source.replace(target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Hard-link `source` as `target`, replacing it; a copy where the state folder is on another file system."""
    temporary = temporary_beside(target)
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, temporary)
        sync(temporary)
    temporary.replace(target)
