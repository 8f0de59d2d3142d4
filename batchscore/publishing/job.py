"""A job: the output that one configuration publishes night after night, and where its history lies.

The output as it is written, `{date}` unfilled, is the job's key: `ranked-{date}.parquet` is one job with one lock,
and each date has records of its own. They lie in the deepest folder that has no `{date}` in its name.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from batchscore.settings.paths import DATE, DatedPath

STATE_FOLDER = "_batchscore"

_SLASH, _PERCENT = "%2F", "%25"
"""How the name of a record spells a path below the job's folder."""

_RECENT = 10
"""Nights whose folders are looked through for what a dead run left."""

_ISO_DATE = r"\d{4}-\d\d-\d\d"
_REPORT = ".report.json"
_LOCK = ".lock"


@dataclass(frozen=True)
class Job:
    """A job on one of its nights: its `output`, `--state-dir` and `--job` as they were given."""

    output: DatedPath
    state_dir: Path | None = None
    name: str | None = None

    @property
    def path(self) -> Path:
        """The output of this night."""
        return self.output.path

    @property
    def date(self) -> dt.date | None:
        """The date of this night, if every date has an output of its own."""
        return self.output.date if self.output.is_dated else None

    @property
    def folder(self) -> Path:
        """The deepest folder of the output that no date is part of."""
        return Path(*self.output.written.parts[: self._depth])

    @property
    def state(self) -> Path:
        """The folder of the job's records."""
        return self.state_dir or self.folder / STATE_FOLDER

    @property
    def record(self) -> str:
        """What the records of this night begin with."""
        return self._record_of(self.date)

    @property
    def locks(self) -> list[Path]:
        """The lock files of the job, and of jobs whose dated outputs include this very file."""
        inside = _format(self._inside)
        found = {self.folder / f".{inside}{_LOCK}"}
        if self.date is None:
            found |= {
                self.folder / f".{_format(key.split('/'))}{_LOCK}" for key, _ in _dated_keys(self.folder, inside)
            }
        return sorted(found)

    @property
    def named_locks(self) -> list[Path]:
        """The lock file of a job with a name of its own, in the state folder: several outputs may bear the name."""
        return [] if self.name is None else [self.state / f".{self.name}{_LOCK}"]

    def reports(self, date: dt.date | None = None) -> list[Path]:
        """Where the report of `date` may lie: here, or where a run that knew no `--job` or `{date}` put it.

        `date` is that of this night if it is not given.
        """
        date = date or self.date
        alone = Job(DatedPath(self.path if date is None else self.output.on(date)), self.state_dir)
        return list(dict.fromkeys([
            self.state / f"{self._record_of(date)}{_REPORT}", alone.state / f"{alone.record}{_REPORT}",
        ]))  # fmt: skip

    def earlier_dates(self) -> list[dt.date]:
        """The dates before this night's that have an output or a report, latest first; none if it is not dated."""
        if self.date is None:
            return []
        found = set(_find_dates(self.folder, self._inside))
        found.update(_find_dates(self.state, [f"{self._key}{_REPORT}"]))
        if self.state_dir is None:
            *folders, name = self._inside
            found.update(_find_dates(self.folder, [*folders, STATE_FOLDER, f"{name}{_REPORT}"]))
        return sorted((date for date in found if date < self.date), reverse=True)

    def recent_folders(self) -> list[Path]:
        """The folders of this night's output and of the last other ones that are there."""
        folders = {self.path.parent}
        if len(self._inside) > 1:
            dates = sorted({date for _, date in _match_dates(self.folder, self._inside[0])})[-_RECENT:]
            folders.update(self.output.on(date).parent for date in dates)
        return sorted(folder for folder in folders if folder.is_dir())

    def is_temporary(self, name: str) -> bool:
        """Whether `name` is that of a temporary file beside an output of this job, of any night."""
        return re.fullmatch(rf"\.{_date_pattern(self._inside[-1])}\.[0-9a-f]{{8}}\.tmp", name) is not None

    def after_record(self, name: str) -> str | None:
        """What stands in `name` after that of a record of this job, of any night; None if it is no record of it."""
        found = re.match(_date_pattern(self._key), name)
        return name[found.end() :] if found else None

    @cached_property
    def _depth(self) -> int:
        """How many parts of the path make `folder`."""
        parts = self.output.written.parts
        dated = (index for index, part in enumerate(parts[:-1]) if self.output.is_dated and DATE in part)
        return next(dated, len(parts) - 1)

    @property
    def _inside(self) -> tuple[str, ...]:
        return self.output.written.parts[self._depth :]

    @cached_property
    def _key(self) -> str:
        """What records begin with, `{date}` unfilled; in a foreign state folder with a hash of the job's folder."""
        if self.name is not None:
            return f"{self.name}-{DATE}" if self.output.is_dated else self.name
        key, folder = _format(self._inside), os.path.realpath(self.folder)
        if os.path.realpath(self.state) == os.path.join(folder, STATE_FOLDER):  # noqa: PTH118 - as realpath spells it
            return key
        return f"{key}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}"

    def _record_of(self, date: dt.date | None) -> str:
        return self._key if date is None else self._key.replace(DATE, date.isoformat())


def find_job(output: Path, state_dir: Path | None = None, name: str | None = None) -> Job:
    """The job that publishes the file `output`: one with `{date}` that ran here or above, or the file's own."""
    absolute = Path(os.path.abspath(output))  # noqa: PTH100 - links are left as they are
    for folder in absolute.parents:
        for key, date in _dated_keys(folder, _format(absolute.relative_to(folder).parts)):
            return Job(DatedPath(folder / key, date), state_dir, name)
    return Job(DatedPath(output), state_dir, name)


def find_output_in(folder: Path) -> Path | None:
    """An output that stands in `folder`, or in a folder of a date below it, by the lock of its job; or None.

    Raises OSError.
    """
    for name in os.listdir(folder):  # noqa: PTH208 - names are enough
        if name.startswith(".") and name.endswith(_LOCK):
            job = Job(DatedPath(folder / _parse_key(name[1 : -len(_LOCK)]), dt.date.max))
            nights = [job.path] if job.date is None else [job.output.on(date) for date in job.earlier_dates()]
            if found := next((output for output in nights if output.is_file()), None):
                return found
    return None


def find_undeclared_night_before(job: Job) -> Path | None:
    """The latest earlier output, if the path of `job` has a date in it that was not written as `{date}`."""
    path = os.path.abspath(job.path)  # noqa: PTH100 - links are left as they are
    found = re.findall(_ISO_DATE, path)
    date = _parse(found[-1]) if found and job.date is None else None
    if date is None:
        return None
    output = DatedPath(Path(path.replace(found[-1], DATE)), date)
    earlier = (output.on(date) for date in Job(output).earlier_dates())
    return next((night for night in earlier if night.exists()), None)


def _dated_keys(folder: Path, spelled: str) -> Iterator[tuple[str, dt.date]]:
    """The paths with `{date}` that jobs with a lock in `folder` write, if one of them is `spelled` on some date."""
    with suppress(OSError):
        for lock in os.listdir(folder):  # noqa: PTH208 - names are enough
            if lock.startswith(".") and lock.endswith(_LOCK) and DATE in lock:
                key = lock[1 : -len(_LOCK)]
                found = re.fullmatch(_date_pattern(key), spelled)
                if found and (date := _parse(found["date"])):
                    yield _parse_key(key), date


def _find_dates(folder: Path, parts: Sequence[str], date: dt.date | None = None) -> Iterator[dt.date]:
    """The dates of the files at `parts` below `folder` that are there."""
    part, *rest = parts
    known: list[tuple[str, dt.date | None]] = [
        (part if date is None else part.replace(DATE, date.isoformat()), date)
    ]
    if date is None and DATE in part:
        known = list(_match_dates(folder, part))
    for name, of in known:
        if rest:
            yield from _find_dates(folder / name, rest, of)
        elif of is not None and os.path.isfile(folder / name):  # noqa: PTH113 - never raises
            yield of


def _match_dates(folder: Path, part: str) -> Iterator[tuple[str, dt.date]]:
    pattern = re.compile(_date_pattern(part))
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - names are enough
            found = pattern.fullmatch(name)
            if found and (date := _parse(found["date"])):
                yield name, date


def _format(parts: Sequence[str]) -> str:
    """A path as one name. No two paths have the same; a plain file name stays as it is."""
    if len(parts) == 1:
        return parts[0]
    return _SLASH.join(part.replace("%", _PERCENT) for part in parts)


def _parse_key(key: str) -> str:
    """The path that `_format` made one name of."""
    return key.replace(_SLASH, "/").replace(_PERCENT, "%") if _SLASH in key else key


def _date_pattern(key: str) -> str:
    """A regular expression for `key` with one date in the place of each `{date}`."""
    first, *others = key.split(DATE)
    if not others:
        return re.escape(first)
    return re.escape(first) + rf"(?P<date>{_ISO_DATE})" + "(?P=date)".join(re.escape(text) for text in others)


def _parse(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None
