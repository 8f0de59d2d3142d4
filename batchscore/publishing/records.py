"""Reports read back: whether one is whole, and which file it tells of."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from batchscore.errors import reason_of
from batchscore.report_parts import Output
from batchscore.run_report import Report
from batchscore.system.regular_files import open_regular, read_regular


@dataclass(frozen=True)
class FoundReport:
    """The report of an output and where it lies; `problem` says what is wrong with one that is not believed.

    `of_another` is a whole report that tells of another file than the one which stands there.
    """

    report: Report | None = None
    path: Path | None = None
    problem: str | None = None
    of_another: Report | None = None


def find_report(places: Sequence[Path], output: Path) -> FoundReport:
    """The report of the published `output`, at the first of `places` that has one.

    If `output` is no longer there, its report still tells of it. A report that is damaged, or that tells of another
    file than the one which stands there, is not believed.
    """
    problem = of_another = None
    for path in places:
        try:
            report, told = read_published_report(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = problem or f"the report {path} cannot be read: {reason_of(error)}"
            continue
        except ValueError as error:
            problem = problem or f"the report {path} {error}"
            continue
        if not output.exists() or is_output(told, output):
            return FoundReport(report, path)
        problem = problem or f"the report {path} is of another file (run {report.run_id})"
        of_another = of_another or report
    return FoundReport(problem=problem, of_another=of_another)


def read_published_report(path: Path) -> tuple[Report, Output]:
    """The report at `path` and the output it tells of. Raises OSError, and ValueError with what is wrong."""
    try:
        report = Report.model_validate_json(read_regular(path))
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise ValueError("is cut off or damaged") from error
        key = ".".join(map(str, first["loc"]))
        raise ValueError(f"is not one that this release understands ({key}: {first['msg']})") from error
    if report.output is None:
        raise ValueError("is not one of a published output")
    return report, report.output


def identify(status: os.stat_result) -> str:
    """By what a file is known again without reading it: a rename or a hard link keeps it, a write changes it."""
    return f"{status.st_ino}-{status.st_mtime_ns}"


def is_output(told: Output, path: Path) -> bool:
    """Whether the file `path` is the one that a report tells of, by its SHA-256.

    The file is read only if its size agrees and it is not the very file that was published. One that cannot be read
    is not known to be the one.
    """
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            if status.st_size != told.bytes:
                return False
            return (
                told.file_id == identify(status) or hashlib.file_digest(file, "sha256").hexdigest() == told.sha256
            )
    except OSError:
        return False
