"""By what an input file is known again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from batchscore.settings.train import TrainSettings
from batchscore.system.regular_files import open_regular

_TAIL_BYTES = 64 * 1024

Identity = list[int | str]
"""Size, time of the last change, and a hash of what stands at the end: a Parquet file's footer."""


def identify_files(settings: TrainSettings) -> dict[str, Identity]:
    """The identity of each input file by its setting, wherever it lies.

    Take it before the files are read: what takes their place meanwhile is then another file. That of a file that
    cannot be read is empty; its reader says why.
    """
    paths = {name: getattr(settings, name) for name in ("input", "users", "candidates")}
    return {name: _identify(path) for name, path in paths.items() if path is not None}


def _identify(path: Path) -> Identity:
    try:
        with open_regular(path) as file:
            stat = os.fstat(file.fileno())
            file.seek(max(0, stat.st_size - _TAIL_BYTES))
            return [stat.st_size, stat.st_mtime_ns, hashlib.sha256(file.read()).hexdigest()]
    except OSError:
        return []
