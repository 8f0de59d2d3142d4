"""Paths as people write them: `{date}` is filled in, and what no file or no report could be called is refused."""

from __future__ import annotations

import datetime as dt
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batchscore.errors import UsageError
from batchscore.settings.parsed import Parsed

DATE = "{date}"
"""What stands for the date of a run in paths and constants."""

EMPTY_PATH = "a path cannot be empty (is a variable not set?)"

_FIRST, _LAST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_SHELL = re.compile(r"(~[^/]*|\$[A-Za-z_]\w*)(/.*)?", re.DOTALL)
_PATTERN = re.compile(r"[*?[]|\{[^{}]*(,|\.\.)[^{}]*\}")

_COPIES = {
    "s3": "aws s3 cp",
    "s3a": "hadoop fs -get",
    "s3n": "hadoop fs -get",
    "gs": "gcloud storage cp",
    "abfs": "azcopy copy",
    "abfss": "azcopy copy",
    "az": "azcopy copy",
    "hdfs": "hdfs dfs -get",
    "http": "curl -o",
    "https": "curl -o",
}
"""A command that copies from a store, by the scheme of its URLs."""

_RECURSIVE = ("s3", "gs", "abfs", "abfss", "az")
"""The schemes whose command must be told that it copies a folder."""

_PLACEHOLDER = re.compile(r"\{[A-Za-z_]\w*(:[^{}]*)?\}")


def fill_date(path: str | Path, day: str) -> str:
    """`path`, or another text, with `day` in the place of each `{date}`."""
    return str(path).replace(DATE, day)


def find_placeholder(text: str) -> str | None:
    """The first `{name}` in `text`; None if there is none."""
    found = _PLACEHOLDER.search(text)
    return found[0] if found else None


@dataclass(frozen=True)
class DatedPath(Parsed):
    """A path as it was written in the settings, and `date`, which each `{date}` in it stands for.

    Two nights of a job have one `written` and two `path`s.
    """

    written: Path
    date: dt.date | None = None

    @property
    def is_dated(self) -> bool:
        """Whether every date has a path of its own."""
        return self.date is not None and DATE in str(self.written)

    @property
    def path(self) -> Path:
        """The path of this run."""
        return self.written if self.date is None else self.on(self.date)

    def on(self, date: dt.date) -> Path:
        """The path of another date."""
        return Path(fill_date(self.written, date.isoformat()))

    def __fspath__(self) -> str:
        return str(self.path)

    __str__ = __fspath__

    @classmethod
    def parse(cls, value: object) -> DatedPath:
        """The path that `value` is; ValueError if it is not one."""
        if isinstance(value, DatedPath):
            return value
        if not isinstance(value, str | Path):
            raise ValueError("write a path")  # noqa: TRY004 - pydantic collects ValueError
        return cls(Path(value))


def require_usable(path: Path, *, written: bool = False) -> None:
    """Raise ValueError if no file can have the path, no report could name it, or a `{name}` is left in it.

    `written` paths are not read: the advice on a URL is then another one.
    """
    if unknown := find_placeholder(str(path)):
        raise ValueError(f"{unknown} is not a placeholder: only {DATE} is filled in")
    if "\0" in str(path):
        raise ValueError("a path cannot hold a NUL character")
    if is_foreign(str(path)):
        raise ValueError(_format_foreign(str(path), written=written))
    with suppress(OSError):  # there is no working directory
        path = path.absolute()
    if not is_utf8(path):
        raise ValueError(f"{str(path)!r} is not UTF-8, and the report could not name it; rename it")


def require_no_pattern(path: Path) -> None:
    """Raise ValueError if `path`, which is to be read, is a pattern of names and no file is called so."""
    if _PATTERN.search(str(path)) and not os.path.lexists(path):
        raise ValueError(f"{path} is not there, and a pattern is not expanded: give the file or the folder itself")


def require_paths(*paths: Path | None, next_step: str = "correct the path") -> None:
    """Raise UsageError (E-CONFIG) if one of the paths is not usable (see `require_usable`)."""
    for path in filter(None, paths):
        try:
            require_usable(path)
        except ValueError as error:
            where = None if is_foreign(str(path)) else path  # such a path lost a slash; the message has it whole
            raise UsageError("E-CONFIG", str(error), where=where, next_step=next_step) from error


def is_foreign(text: str) -> bool:
    """Whether a path is a URL or begins with what only a shell expands, and no file is called so."""
    return bool(_URL.fullmatch(text) or _SHELL.fullmatch(text)) and not os.path.lexists(text)


def _format_foreign(text: str, *, written: bool) -> str:
    url = _URL.fullmatch(text)
    if url is None:
        return f"{text} is not there, and only a shell would expand it: write the path out"
    scheme, rest = url[1].lower(), url[2]
    if scheme == "file":
        return f"file:///{rest} is a URL: give the path itself, /{rest}"
    if written:
        return (
            f"{scheme}://{rest} is a URL, and only files are written: mount the store, or copy the file afterwards"
        )
    copy = f", for example with `{_format_copy(scheme, rest)}`" if scheme in _COPIES else ""
    return f"{scheme}://{rest} is a URL, and only files are read and written: mount the store, or copy{copy}"


def _format_copy(scheme: str, rest: str) -> str:
    """A command that copies a file, or a folder if the name has no ending, to one of its name."""
    url, name = f"{scheme}://{rest}", Path(rest).name
    if scheme in ("http", "https"):
        return f"{_COPIES[scheme]} {name} {url}"
    recursive = " --recursive" if scheme in _RECURSIVE and not Path(rest).suffix else ""
    return f"{_COPIES[scheme]}{recursive} {url} {name}"


def is_utf8(path: Path) -> bool:
    """Whether the path is text, which JSON and the libraries that read Parquet need."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def is_same_file(one: Path, other: Path) -> bool:
    """Whether both paths are one file; False if one of them is not there."""
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
