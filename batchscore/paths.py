"""Paths as people write them: `{date}` is filled in, and what no file or no report could be called is refused."""

from __future__ import annotations

import datetime as dt
import os
import re
from contextlib import suppress
from pathlib import Path

DATE = "{date}"
"""What stands for the date of a run in paths and constants."""

_FIRST, _LAST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)

_PLACEHOLDER = re.compile(r"\{[A-Za-z_]\w*(:[^{}]*)?\}")


def fill_date(path: str | Path, day: str) -> str:
    """`path`, or another text, with `day` in the place of each `{date}`."""
    return str(path).replace(DATE, day)


def find_placeholder(text: str) -> str | None:
    """The first `{name}` in `text`; None if there is none."""
    found = _PLACEHOLDER.search(text)
    return found[0] if found else None


def require_usable(path: Path) -> None:
    """Raise ValueError where no file can have the path, no report could name it, or a `{name}` is left in it."""
    if unknown := find_placeholder(str(path)):
        raise ValueError(f"{unknown} stands for nothing: only {DATE} is filled in")
    if "\0" in str(path):
        raise ValueError("a path cannot hold a NUL character")
    with suppress(OSError):  # there is no working directory
        path = path.absolute()
    if not is_utf8(path):
        raise ValueError(f"{str(path)!r} is not UTF-8, and the report could not name it; rename it")


def is_utf8(path: Path) -> bool:
    """Whether the path is text, which JSON and the libraries that read Parquet need."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def is_same_file(one: Path, other: Path) -> bool:
    """Whether both paths are one file; False where one of them is not there."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def modified_at(status: os.stat_result) -> dt.datetime:
    """When a file was last modified (UTC): the first or the last date there is, if its own is none."""
    try:
        return dt.datetime.fromtimestamp(status.st_mtime, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return _FIRST if status.st_mtime < 0 else _LAST
