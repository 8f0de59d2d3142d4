"""The files of a SavedModel directory; if they cannot be read, that is said and none is passed over."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchscore.errors import ModelError, as_out_of_memory, reason_of

MAX_MODEL_FILE_BYTES = 2**31
"""Most bytes of a file of a SavedModel that is read as a whole: the limit of protobuf's messages."""

_READING_FAILS = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE)


def reading_fails(error: OSError) -> bool:
    """Whether a file that may be whole cannot be read (permissions, a disk): it is neither missing nor short."""
    return error.errno in _READING_FAILS


def failure_to_read(error: Exception) -> OSError | None:
    """The failure of reading (see `reading_fails`) that `error` was raised for, None if it was another one."""
    cause = error.__cause__
    return cause if isinstance(cause, OSError) and reading_fails(cause) else None


def unreadable(error: OSError, model: Path) -> ModelError:
    """The error of a file or folder of `model` that cannot be read: E-MODEL-UNREADABLE."""
    return ModelError(
        "E-MODEL-UNREADABLE",
        f"the model cannot be read: {reason_of(error)}",
        where=error.filename or model,
        next_step="check owner and permissions of the file and of the folders above it, and the disk",
    )


def list_model_files(model: Path) -> list[Path]:
    """Every regular file below the directory `model`, sorted; links to files count, links to folders do not.

    Raises OSError if a folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise error

    return sorted(
        path
        for folder, _, names in os.walk(model, onerror=stop)
        for name in names
        if (path := Path(folder, name)).is_file()
    )


@contextmanager
def readable_model(model: Path) -> Iterator[None]:
    """Within the block an OSError means that a file or folder of `model` cannot be read: E-MODEL-UNREADABLE."""
    try:
        yield
    except OSError as error:
        if as_out_of_memory(error) is not None:
            raise
        raise unreadable(error, model) from error
