"""Which report tells of which file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from batchscore.regular_files import open_regular
from batchscore.report import Output


def identify(status: os.stat_result) -> str:
    """By what a file is known again without reading it: a rename or a hard link keeps it, a write changes it."""
    return f"{status.st_ino}-{status.st_mtime_ns}"


def is_output(told: Output, path: Path) -> bool:
    """Whether the file `path` is the one that a report tells of, by its SHA-256.

    The file is read only if its size agrees and it is not the very file that was published. Raises OSError.
    """
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size != told.bytes:
            return False
        return told.file_id == identify(status) or hash_file(path) == told.sha256


def hash_file(path: Path) -> str:
    """The SHA-256 of the regular file `path`. Raises OSError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
