"""What the stages did, put into the report. The stages themselves know nothing of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from batchscore.report import InputBinding, InputFile, Report
from batchscore.scoring.badrows import BadRows
from batchscore.scoring.binding import Binding
from batchscore.scoring.guards import UnknownIds
from batchscore.scoring.inputs import PairFile
from batchscore.scoring.model import RunModel
from batchscore.scoring.publish import Claim
from batchscore.scoring.scorer import Scorer
from batchscore.scoring.topn import RankedLists

_log = logging.getLogger("batchscore")


def begun(report: Report, pairs: PairFile, model: RunModel, binding: Binding) -> None:
    """Input, model and bindings, before anything heavy is done."""
    report.inputs = [
        InputFile(path=str(pairs.path), rows=pairs.rows, bytes=pairs.bytes, modified_at=pairs.modified_at)
    ]
    report.model = model.used
    report.bindings = [
        *(
            InputBinding(input=item.input.name, dtype=item.input.dtype, column=item.column, cast=item.cast.describe)
            for item in binding.inputs
        ),
        *(
            InputBinding(input=name, dtype=model.signature.inputs[name].dtype, constant=str(value.as_py()))
            for name, value in binding.constants.items()
        ),
    ]
    for warning in model.warnings:
        warn(report, warning)
    if not pairs.rows:
        warn(report, f"the input {pairs.path} has no rows: the output will be empty")


@contextmanager
def kept(report: Report, bad: BadRows, unknown: list[UnknownIds], output: Claim) -> Iterator[None]:
    """Whatever happens inside, bad rows and ids are told as far as they were seen, and rejects are written."""
    published = False
    try:
        yield
        published = True
    finally:
        report.rows_read = bad.rows
        report.pairs_scored = bad.scored
        report.bad_rows = dict(sorted(bad.by_reason.items()))
        report.known_users, report.known_candidates = (ids.counts() for ids in unknown)
        for binding in report.bindings:
            binding.filled = bad.filled[binding.input]
        path = output.rejects_path(failed=not published)
        try:
            if bad.count:
                bad.write_rejects(path)
                report.rejects = str(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            warn(report, f"the rejects {path} could not be written: {error.strerror}")


def ranked(report: Report, lists: RankedLists, bad: BadRows, scorer: Scorer, previous: Report | None) -> None:
    """The lists that are about to be published, against those published before."""
    report.rows_written = lists.rows
    report.users_none = lists.count_missing(bad.users)
    report.users = lists.users + report.users_none
    report.users_short = lists.users_short
    report.ties_at_cut = lists.ties_at_cut
    report.scores = lists.scores
    if bad.count:
        rows = "1 bad row was" if bad.count == 1 else f"{bad.count:,} bad rows were"
        warn(report, f"{rows} left out (within --max-bad-rows)")
    if scorer.positions_left_out:
        _log.info("%d positions of a call give other bits and stay empty", scorer.positions_left_out)
    if previous is not None:
        report.previous = {"users": previous.users, "rows": previous.rows_written}
        if previous.users:
            report.previous["users_change"] = report.users / previous.users - 1
        if previous.rows_written:
            report.previous["rows_change"] = report.rows_written / previous.rows_written - 1


def warn(report: Report, message: str) -> None:
    """Log a warning and keep it in the report."""
    _log.warning("%s", message)
    report.warnings.append(message)
