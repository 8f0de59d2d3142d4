"""What a rename alone does not promise: that it survives a power cut."""

from __future__ import annotations

import os
from pathlib import Path


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
