"""The history of an output: whether a job has one, and where else it may lie."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from batchscore.errors import UsageError
from batchscore.publishing.job import STATE_FOLDER, Job
from batchscore.publishing.previous import PreviousOutputs
from batchscore.publishing.records import is_output, read_published_report
from batchscore.run_report import Report
from batchscore.settings.paths import is_same_file


def require_history(job: Job) -> None:
    """Raise UsageError (E-NO-PREVIOUS) if nothing says that `job` ever published its output. Nothing is written.

    What cannot be looked at, or is no file that a run could have published, is left to the claim.
    """
    output, stands = job.path, os.path.lexists(job.path)
    if _may_have_history(job) or (stands and (output.is_symlink() or not output.is_file())):
        return
    advice = find_history_elsewhere(job)
    if advice is not None:
        what, found = "this output has no earlier ones under these flags", f"no records of it in {job.state}"
    elif any(map(os.path.lexists, job.locks)):
        what, found = (
            "the records of this output are not here",
            f"a lock of its runs, and no records in {job.state}",
        )
        advice = "give the --state-dir and the --job of its runs"
    elif stands:
        what, found = "no run has published this file", f"no lock beside it, and no records in {job.state}"
        advice = "give the file that `batchscore run` publishes (its --output)"
    else:
        what, found = "nothing has been published at this path", "no file, no lock and no records"
        advice = "correct the path: give the file that `batchscore run` publishes (its --output)"
    raise UsageError("E-NO-PREVIOUS", what, where=output, found=found, next_step=advice)


def find_history_elsewhere(job: Job) -> str | None:
    """What to give instead of the flags of `job`, if records of its output lie beside it under others."""
    ours = job.reports()
    for state in dict.fromkeys((job.state, job.folder / STATE_FOLDER, job.path.parent / STATE_FOLDER)):
        for path, report in _reports_in(state):
            if any(is_same_file(path, known) for known in ours) or not _is_of(report, job.path):
                continue
            name, flags = report.settings.get("job"), []
            if name != job.name:
                flags.append("leave --job out" if name is None else f"give --job {shlex.quote(name)}")
            if not is_same_file(state, job.state):
                is_default = is_same_file(state, job.folder / STATE_FOLDER)
                flags.append(
                    "leave --state-dir out" if is_default else f"give --state-dir {shlex.quote(str(state))}"
                )
            if flags:
                return f"{' and '.join(flags)}, as a run of this output did"
    return None


def _may_have_history(job: Job) -> bool:
    try:
        if PreviousOutputs(job.state, job.record).ages():
            return True
    except FileNotFoundError:
        pass
    except OSError:
        return True
    return any(map(os.path.lexists, job.reports())) or bool(job.earlier_dates())


def _reports_in(state: Path) -> Iterator[tuple[Path, Report]]:
    """The reports of published outputs in a state folder that can be read, the latest name first."""
    with suppress(OSError):
        for path in sorted(state.glob("*.report.json"), reverse=True):
            if ".previous-" not in path.name:
                with suppress(OSError, ValueError):
                    yield path, read_published_report(path)[0]


def _is_of(report: Report, output: Path) -> bool:
    told = report.output
    return told is not None and (is_same_file(Path(told.path), output) or is_output(told, output))
