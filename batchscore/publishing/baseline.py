"""What a run compares itself with: the output that its job published last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from batchscore.report import Report


@dataclass(frozen=True)
class Baseline:
    """The last published output of a job, as far as anything is known of it; every field may be empty.

    `report` is its report. `users` (those that have a list) and `rows` come from the report, or are counted from
    the file if there is no report to believe. `file` is the output itself, if it still stands there. `warnings`
    say what is missing that should not be, and `notes` what a person may know but need not act on.
    """

    report: Report | None = None
    users: int | None = None
    rows: int | None = None
    file: Path | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
