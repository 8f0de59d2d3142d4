"""Opening files that others put there. A pipe, device or folder in the place of one is told, never waited for.

Opening a named pipe waits for a writer, and reading a device may never end. So code that reads a file by its name
asks here: the errors are OSErrors whose `strerror` says in words what stands there.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

MAX_SMALL_BYTES = 64 * 2**20
"""More than any file holds that people write: configurations, model cards, reports, golden cases."""

_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


def require_regular(path: Path) -> None:
    """Raise OSError if `path` is no regular file: for libraries that open a file by its name."""
    _require_regular(_stat(path), path)


def open_regular(path: Path) -> BufferedReader:
    """The regular file `path`, open for reading; the caller closes it.

    Raises OSError if it cannot be opened or is not a regular file, also for a path that no file can have.
    """
    require_regular(path)  # opening a device may do something to it
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(descriptor), path)  # another one may stand there by now
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, max_bytes: int = MAX_SMALL_BYTES) -> bytes:
    """The content of the regular file `path`, as long as it is when it is opened.

    Raises OSError as `open_regular` does, and where the file is larger than `max_bytes`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise OSError(errno.EFBIG, f"it is larger than {max_bytes / 2**20:,.0f} MiB", str(path))
        return file.read(size)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except ValueError as error:  # a NUL, or a character that no encoding has
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from error


def _require_regular(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "special file")
        number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(number, f"it is a {kind}, not a file", str(path))
