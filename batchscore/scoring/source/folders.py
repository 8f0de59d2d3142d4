"""A folder of pair files: which files belong to it, and whether its writer has finished."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from batchscore.errors import InputError, TryLaterError, reason_of
from batchscore.settings.paths import is_utf8
from batchscore.tables.committers import find_replaced, find_unfinished, promises_success
from batchscore.tables.lake_tables import require_no_table

RequireSuccess = Literal["auto", "yes", "no"]
"""Whether `_SUCCESS` must stand at the dataset's root; auto: if Spark or Hadoop has written the files."""

_SUCCESS = "_SUCCESS"
_PARTITION = re.compile(r"[^=]+=.*")


def list_pair_files(folder: Path, require_success: RequireSuccess = "auto") -> list[Path]:
    """The files of `folder` in the order of their paths, those of its `key=value` subfolders included.

    Names that begin with `_` or `.` are not data, but for subfolders `_key=value`. The dataset's root is the
    folder, or the one above it if the folder itself is a partition (`key=value`); Spark also writes `_SUCCESS` into
    a partition that a job writes alone. Raises TryLaterError (E-INPUT-NOT-COMPLETE) if `_SUCCESS` is asked for
    and missing, where something is still being written, or if there is no file yet; InputError: E-INPUT-TABLE
    (see `require_no_table`), E-INPUT-FOLDER, E-INPUT-UNREADABLE.
    """
    require_no_table(folder)
    try:
        files = sorted(_data_files(folder), key=lambda path: path.relative_to(folder).as_posix())
        _require_finished_above(folder)
        done = {place: _is_done(place) for place in {path.parent for path in files} or {folder}}
        promising = (path.name for path in files if promises_success(path.name) and not done[path.parent])
        success = all(done.values())
        if not success:
            _wait_if_asked(folder, folder, require_success, next(promising, None))
    except OSError as error:
        raise InputError(
            "E-INPUT-UNREADABLE", f"the input folder cannot be read: {reason_of(error)}", where=folder,
            next_step="check its permissions and the path",
        ) from error  # fmt: skip
    if files:
        return files
    if not success:
        raise _not_complete(
            folder, "no file", "files", "wait for the job that writes it; if it has ended, it failed"
        )
    raise InputError(
        "E-INPUT-FOLDER", "the input folder holds no pair file", where=folder, found=f"{_SUCCESS} and no file",
        expected="Parquet files", next_step="check the job that wrote it",
    )  # fmt: skip


def require_success_of(file: Path, rule: RequireSuccess) -> None:
    """Raise TryLaterError (E-INPUT-NOT-COMPLETE) if `rule` is yes and the file's dataset has no `_SUCCESS`."""
    if not _is_done(file.parent):
        _wait_if_asked(file, file.parent, rule, None)


def _wait_if_asked(given: Path, folder: Path, rule: RequireSuccess, promising: str | None) -> None:
    """Raise TryLaterError if `rule` asks for the `_SUCCESS` that `folder` lacks.

    `given` is what the run was given, `promising` a file whose writer promises it.
    """
    if rule == "yes":
        raise _not_complete(
            given, f"no {_root(folder) / _SUCCESS}", f"{_SUCCESS} at the dataset's root (--require-success yes)",
            "wait for the job that writes it; if it has ended, it failed, or writes none: then "
            "--require-success no",
        )  # fmt: skip
    if rule == "auto" and promising is not None:
        raise _not_complete(
            given, f"part files of Spark or Hadoop, such as {promising}, and no {_root(folder) / _SUCCESS}",
            f"{_SUCCESS} at the dataset's root",
            "wait for the job that writes it; if it has ended, it failed, or was told to write none: then "
            "--require-success no",
        )  # fmt: skip


def _is_done(folder: Path) -> bool:
    """Whether `_SUCCESS` stands at the dataset's root, or nearer: Spark also writes into one partition alone."""
    root, place = _root(folder), folder.absolute()
    while place != root and not (place / _SUCCESS).exists():
        place = place.parent
    return (place / _SUCCESS).exists()


def _root(folder: Path) -> Path:
    root = folder.absolute()
    while _PARTITION.fullmatch(root.name):
        root = root.parent
    return root


def _require_finished_above(folder: Path) -> None:
    """Raise TryLaterError if something is being written to the dataset of which `folder` is a partition."""
    root, above = _root(folder), folder.absolute()
    while above != root:
        above = above.parent
        _require_finished(folder, above, sorted(path.name for path in above.iterdir()))


def _data_files(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    _require_finished(folder, folder, [entry.name for entry in entries])
    for entry in entries:
        path = folder / entry.name
        partition = _PARTITION.fullmatch(entry.name) and entry.is_dir()
        if entry.name.startswith(".") or (entry.name.startswith("_") and not partition):
            continue
        if not is_utf8(path):
            raise InputError(
                "E-INPUT-FOLDER", "the input folder has a file whose name is not UTF-8", where=path,
                next_step="rename it where it is written",
            )  # fmt: skip
        if partition:
            yield from _data_files(path)
        elif entry.is_dir():
            require_no_table(path)
            raise InputError(
                "E-INPUT-FOLDER", "the input folder has a subfolder that is not a partition", where=path,
                expected="files, and subfolders called key=value", next_step="give the folder that holds the files",
            )  # fmt: skip
        else:
            if entry.is_symlink() or entry.name.startswith("ducklake-"):
                require_no_table(path)
            yield path


def _require_finished(given: Path, folder: Path, names: list[str]) -> None:
    unfinished = find_unfinished(folder, names)
    if unfinished is not None:
        raise _not_complete(
            given, unfinished, "a folder in which nothing is being written",
            "wait for the job that writes it; if it has ended, it failed: write the folder again, or "
            "remove what it "
            "left there",
        )  # fmt: skip
    replaced = find_replaced(folder, names)
    if replaced is not None:
        raise InputError(
            "E-INPUT-TABLE", "the input folder holds a file that no longer belongs to it", where=folder / replaced,
            found="a record beside it (_committed_...) in which Databricks says that it was removed",
            expected="files whose rows are all current",
            next_step="remove such files with VACUUM in Databricks, or write the pairs into a new folder",
        )  # fmt: skip


def _not_complete(given: Path, found: str, expected: str, next_step: str) -> TryLaterError:
    return TryLaterError(
        "E-INPUT-NOT-COMPLETE", "the input is not complete (yet)", where=given, found=found,
        expected=expected, next_step=next_step,
    )  # fmt: skip
