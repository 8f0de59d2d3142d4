"""The files of a SavedModel directory; where they cannot be read, that is said and none is passed over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchscore.errors import ModelError, as_out_of_memory

MAX_MODEL_FILE_BYTES = 2**31
"""Most bytes of a file of a SavedModel that is read as a whole: the limit of protobuf's messages."""


def list_model_files(model: Path) -> list[Path]:
    """Every regular file below the directory `model`, sorted; links to files count, links to folders do not.

    Raises OSError where a folder cannot be read.
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
        raise ModelError(
            "E-MODEL-UNREADABLE",
            f"the model cannot be read: {error.strerror or error}",
            where=error.filename or model,
            next_step="check owner and permissions of the file and of the folders above it, and the disk",
        ) from error
