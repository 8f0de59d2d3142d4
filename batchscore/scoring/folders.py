"""A folder of pair files: which files belong to it, and whether whoever writes it has finished."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from batchscore.errors import InputError, TryLaterError
from batchscore.paths import is_utf8

_SUCCESS = "_SUCCESS"
_TEMPORARY = "_temporary"
_PARTITION = re.compile(r"[^=]+=.*")
_SPARK_PART = "part-"


def list_pair_files(folder: Path) -> list[Path]:
    """The files of `folder` in the order of their paths, those of its `key=value` subfolders included.

    Names that begin with `_` or `.` are not data. Where a file is called `part-...` Spark has written the folder:
    `_SUCCESS` must then stand at the dataset's root, which is the folder, or the one above it if the folder itself
    is a partition (`key=value`). Raises TryLaterError (E-INPUT-NOT-COMPLETE) where that is missing, where there is
    a `_temporary`, or where there is no file yet; InputError (E-INPUT-FOLDER, E-INPUT-UNREADABLE).
    """
    root = folder.absolute()
    while _PARTITION.fullmatch(root.name):
        root = root.parent
    try:
        files = sorted(_data_files(folder), key=lambda path: path.relative_to(folder).as_posix())
        if (root / _TEMPORARY).exists():
            raise _not_complete(folder, f"{root / _TEMPORARY}, in which Spark keeps what it is still writing")
        if not (root / _SUCCESS).exists():
            if any(path.name.startswith(_SPARK_PART) for path in files):
                raise _not_complete(folder, f"part files, and no {root / _SUCCESS}")
            if not files:
                raise _not_complete(folder, "no file")
    except OSError as error:
        raise InputError(
            "E-INPUT-UNREADABLE", f"the input folder cannot be read: {error.strerror}", where=folder,
            next_step="check its permissions and the path",
        ) from error  # fmt: skip
    if not files:
        raise InputError(
            "E-INPUT-FOLDER", "the input folder holds no pair file", where=folder, found=f"{_SUCCESS} and no file",
            expected="Parquet files", next_step="look at the job that wrote it",
        )  # fmt: skip
    return files


def _data_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(("_", ".")):
            continue
        if not is_utf8(path):
            raise InputError(
                "E-INPUT-FOLDER", "the input folder has a file whose name is not UTF-8", where=path,
                next_step="rename it where it is written",
            )  # fmt: skip
        if not path.is_dir():
            yield path
        elif _PARTITION.fullmatch(path.name):
            yield from _data_files(path)
        else:
            raise InputError(
                "E-INPUT-FOLDER", "the input folder has a subfolder that is no partition", where=path,
                expected="files, and subfolders called key=value", next_step="give the folder that holds the files",
            )  # fmt: skip


def _not_complete(folder: Path, found: str) -> TryLaterError:
    return TryLaterError(
        "E-INPUT-NOT-COMPLETE", "the input folder is not complete (yet)", where=folder, found=found,
        expected=f"{_SUCCESS} at the dataset's root, and no {_TEMPORARY}",
        next_step="wait for the job that writes it; if it has ended, it failed",
    )  # fmt: skip
