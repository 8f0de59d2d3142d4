"""What a run did: one object, written as JSON beside the output. Its exit code is the process's."""

from __future__ import annotations

import datetime as dt
import resource
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, PrivateAttr

from batchscore.errors import EXIT_BUG, EXIT_OK, EXIT_SIGNAL_BASE
from batchscore.report_parts import (
    GuardResult,
    InputBinding,
    InputFile,
    KnownIds,
    ModelUsed,
    Output,
    PlanUsed,
    Scores,
)
from batchscore.system.clock import utc_now
from batchscore.system.json_document import JsonDocument
from batchscore.system.regular_files import read_regular

_T = TypeVar("_T")

LIBRARIES = ("batchscore", "tensorflow", "pyarrow", "polars", "numpy")


class Report(JsonDocument):
    """What a run did, as far as it got. Times are UTC, durations seconds, sizes bytes."""

    schema_version: Literal[1] = 1
    """The version of this form. A field may be added within a version; none changes its meaning."""
    command: Literal["run"] = "run"
    """The command."""
    run_id: str
    """Start time and six random digits: names the run in log and records."""
    status: Literal["running", "published", "failed"] = "running"
    """`running` until the end: a report that says so is of a process that was killed."""
    exit_code: int = EXIT_BUG
    """The exit code of the process."""
    error_id: str | None = None
    """The id of the error; null if there is none."""
    error: str | None = None
    """The whole message of the error; null if there is none."""
    started_at: dt.datetime
    """When it began."""
    finished_at: dt.datetime | None = None
    """When it ended; null while it runs."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Every setting with its value, by its key."""
    inputs: list[InputFile] = Field(default_factory=list)
    """The files that were read, in order."""
    model: ModelUsed | None = None
    """Null if the run failed before it was chosen."""
    bindings: list[InputBinding] = Field(default_factory=list)
    """What fed each input of the model."""
    columns: dict[str, str] | None = None
    """Columns of the output with their Arrow types, in order; null in older reports."""
    rows_read: int = 0
    """Pairs that were read."""
    pairs_scored: int = 0
    """Pairs that were scored, without rows that are bad before."""
    rows_written: int = 0
    """Rows of the output."""
    users: int = 0
    """Distinct users of the input, also those without a ranked candidate."""
    users_served: int | None = None
    """Users who have a list; null in older reports, where it is `users` less `users_none`."""
    users_short: int = 0
    """Users with at least one, but fewer than N candidates."""
    users_none: int = 0
    """Users all of whose pairs were left out."""
    bad_rows: dict[str, int] = Field(default_factory=dict)
    """Bad rows by reason."""
    left_out: dict[str, int] | None = None
    """Pairs that were read and not ranked, by reason, bad rows among them. Null in older reports."""
    rejects: str | None = None
    """The file with the bad rows; null if there are none."""
    known_users: KnownIds = Field(default_factory=KnownIds)
    """Distinct users and the vocabulary."""
    known_candidates: KnownIds = Field(default_factory=KnownIds)
    """Distinct candidates and the vocabulary."""
    scores: Scores = Field(default_factory=Scores)
    """The scores that were given."""
    candidates: int | None = None
    """Distinct candidates: exact below 4,096 or if the model knows its ids, otherwise with a standard error of 1.6
    %. Null in older reports, and if the run failed before."""
    duplicate_share: float | None = None
    """Share of the ranked pairs that repeat the user and candidate of another one, by a sample of 128
    candidates. Null
    in older reports, and if no pair is ranked."""
    ties_at_cut: int = 0
    """Users whose first pair below the cut has the same score as the last one above it."""
    plan: PlanUsed = Field(default_factory=PlanUsed)
    """How the scores were computed."""
    runtime: str | None = None
    """What computed, with its version: `tensorflow 2.21.0 (c)`; null if the run failed before."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the libraries."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Seconds by stage, each without the stages inside it; `total` is the whole run."""
    pairs_per_second: float | None = None
    """Pairs scored by total seconds; null if none was scored."""
    peak_bytes: int = 0
    """The most memory that the process had."""
    output: Output | None = None
    """Null unless it was published."""
    compared_with: str | None = None
    """The output that the run compared itself with; null if the job had published none."""
    previous: dict[str, float] = Field(default_factory=dict)
    """Figures of the output published before, and how users and rows changed since then as a share."""
    guards: list[GuardResult] = Field(default_factory=list)
    """What each guard measured."""
    refused_output: str | None = None
    """Where the lists were put that a guard did not let pass; null if there are none."""
    warnings: list[str] = Field(default_factory=list)
    """Every warning of the log."""
    rolled_back_at: dt.datetime | None = None
    """When `batchscore rollback` published this output again; null if it has not."""
    rolled_back_from: str | None = None
    """Run id of the output that it replaced then; null if that is not known."""
    user_sketch: str | None = None
    """The 4,096 smallest hashes of the users who have a list: the next run tells by them how many are others.
    Null unless it was published."""
    _began: float = PrivateAttr(default_factory=time.perf_counter)
    """When the run began by a clock that no one sets."""

    def __eq__(self, other: object) -> bool:
        """Reports are equal if they say the same."""
        return isinstance(other, Report) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]

    @property
    def served(self) -> int:
        """Users who have a list, in reports of any age."""
        return self.users - self.users_none if self.users_served is None else self.users_served

    @property
    def distinct_candidates(self) -> int | None:
        """Distinct candidates, in older reports those that the model was asked about; None if no one counted."""
        known, unknown = self.known_candidates.known, self.known_candidates.unknown
        if self.candidates is None and known is not None and unknown is not None:
            return known + unknown
        return self.candidates

    @property
    def pairs_with_scores(self) -> int:
        """Pairs of the input that are no bad rows."""
        return self.rows_read - sum(self.bad_rows.values())

    @property
    def pairs_ranked(self) -> int:
        """Pairs of the input that could stand in a list."""
        left_out = self.bad_rows if self.left_out is None else self.left_out
        return self.rows_read - sum(left_out.values())

    @classmethod
    def begin(cls, settings: BaseModel) -> Report:
        """The report of a run that begins now."""
        now = utc_now()
        return cls(
            run_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
            started_at=now,
            settings=settings.model_dump(mode="json"),
        )

    def begin_again(self, warning: str) -> None:
        """Forget what was done so far but for its time and the check of the plan, and say why."""
        kept = {"run_id", "started_at", "settings", "seconds", "plan"}
        fresh = Report(run_id=self.run_id, started_at=self.started_at)
        for name in Report.model_fields.keys() - kept:
            setattr(self, name, getattr(fresh, name))
        self.warnings.append(warning)

    def note_versions(self) -> None:
        """Note what is loaded, otherwise installed, before the commit point: it reads the disk."""
        from importlib.metadata import version  # noqa: PLC0415 - it takes longer than all else a report does

        for name in LIBRARIES:
            try:
                self.versions[name] = getattr(sys.modules.get(name), "__version__", None) or version(name)
            except Exception:  # noqa: BLE001 - whatever is wrong with a package's metadata, the run is not
                self.versions[name] = "unknown"

    def end(self, error: BaseException | None = None) -> None:
        """Close the report: published, or failed with `error`."""
        if error is None:
            self.status, self.exit_code = "published", EXIT_OK
        else:
            self._fail(error)
        if not self.versions:
            self.note_versions()
        self.finished_at = utc_now()
        self.seconds["total"] = max(time.perf_counter() - self._began, 1e-6)
        self.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.seconds = {name: round(seconds, 6) for name, seconds in self.seconds.items()}
        if self.pairs_scored:
            self.pairs_per_second = round(self.pairs_scored / self.seconds["total"], 1)

    def _fail(self, error: BaseException) -> None:
        self.status = "failed"
        self.user_sketch = None  # no later run compares itself with this one, and the disk may be full
        if isinstance(error, KeyboardInterrupt):  # Ctrl-C in a program that uses the library
            self.exit_code, self.error_id = EXIT_SIGNAL_BASE + signal.SIGINT, "E-STOPPED"
        else:
            self.exit_code = getattr(error, "exit_code", EXIT_BUG)
            self.error_id = getattr(error, "error_id", "E-BUG")
        self.error = str(error) or type(error).__name__

    def has_model_of(self, other: Report) -> bool:
        """Whether one model gave the scores of both runs: equal fingerprints, and not by two different plans."""
        if self.model is None or other.model is None or self.model.fingerprint != other.model.fingerprint:
            return False
        return not (self.plan.used and other.plan.used) or self.plan.sha256 == other.plan.sha256

    def summary(self) -> str:
        """The run in one line."""
        if self.status != "published":
            return f"failed ({self.error_id}, exit {self.exit_code}) after {_duration(self.seconds['total'])}"
        label = "model" if self.model is None else f"model {self.model.version or Path(self.model.path).name}"
        parts = [
            f"published {self._users()}, {_count(self.rows_written)} rows{self._change()}",
            label,
            *self._figures(),
            f"unknown users {_share(self.known_users)} candidates {_share(self.known_candidates)}",
            f"plan {'on' if self.plan.used else 'off'}",
            _duration(self.seconds["total"]),
        ]
        bad = sum(self.bad_rows.values())
        if bad:
            parts.insert(2, f"{bad:,} bad rows left out")
        parts.append(f"{len(self.warnings)} warning{'' if len(self.warnings) == 1 else 's'}")
        return ", ".join(parts)

    def _users(self) -> str:
        return f"{self.served:,} users" if self.served == self.users else f"{self.served:,} of {self.users:,} users"

    def _figures(self) -> Iterator[str]:
        """Candidates and scores, each with that of the output before."""
        before = self.previous
        if self.candidates is not None:
            last = f" (last {before['candidates']:,.0f})" if "candidates" in before else ""
            yield f"{self.candidates:,} candidates{last}"
        if self.scores.mean is not None and self.scores.spread is not None:
            last = _scores(before["score_mean"], before["score_spread"]) if "score_mean" in before else ""
            yield f"scores {_scores(self.scores.mean, self.scores.spread)}{last and f' (last {last})'}"

    def _change(self) -> str:
        change = self.previous.get("users_change")
        return "" if change is None else f" (users {100 * change:+.1f} %)"


def read_report(path: Path) -> Report | None:
    """The report at `path`; None if there is none that can be read."""
    try:
        return Report.model_validate_json(read_regular(path))
    except (OSError, ValueError):
        return None


class Clock:
    """Seconds a stage, into `seconds`. Stages nest; each is charged only the time outside the stages inside it."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._stack: list[str] = []
        self._since = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge the time of the block to `name`."""
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def each(self, name: str, items: Iterator[_T]) -> Iterator[_T]:
        """Pass `items` on, charging the time that producing them takes to `name`."""
        while True:
            with self.stage(name):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._stack:
            name = self._stack[-1]
            self._seconds[name] = self._seconds.get(name, 0.0) + now - self._since
        self._since = now


def _scores(mean: float, spread: float) -> str:
    return f"{mean:.4g} ± {spread:.2g}"


def _count(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e7 else f"{number:,}"  # noqa: PLR2004 - from 10 M on


def _share(ids: KnownIds) -> str:
    return "not counted" if ids.unknown_share is None else f"{100 * ids.unknown_share:.1f} %"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - from 2 min on
