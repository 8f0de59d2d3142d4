"""What the stages did, put into the report. The stages themselves know nothing of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batchscore.errors import BatchscoreError, ModelError, first_line, reason_of
from batchscore.publishing.baseline import Baseline
from batchscore.publishing.publish import Claim
from batchscore.report_parts import InputBinding, InputFile, KnownIds, PlanUsed
from batchscore.run_report import Report
from batchscore.scoring.bind.badrows import BadRows
from batchscore.scoring.bind.binding import Binding
from batchscore.scoring.guard.unknown import UnknownIds
from batchscore.scoring.rank.statistics import sketch_users
from batchscore.scoring.rank.writer import write_lists
from batchscore.scoring.score.model import RunModel
from batchscore.scoring.score.pair_scorer import PairScorer
from batchscore.scoring.source.pair_source import PairSource

if TYPE_CHECKING:
    from batchscore.scoring.rank.lists import RankedLists
    from batchscore.scoring.scoring_pass import PassState

_log = logging.getLogger(__name__)


def record_inputs(report: Report, pairs: PairSource, model: RunModel, binding: Binding) -> None:
    """Input, model and bindings, before anything heavy is done."""
    report.inputs = [
        InputFile(
            path=str(file.path),
            rows=file.rows,
            bytes=file.bytes,
            modified_at=file.modified_at,
            fingerprint=file.fingerprint,
            checksums=file.checksums,
        )
        for file in pairs.parts
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
    report.columns = {field.name: str(field.type) for field in binding.schema}
    hidden = {feed.name: feed for feed in binding.hidden}
    for bound in report.bindings:
        if bound.input in hidden:
            bound.hidden = list(hidden[bound.input].hidden)
    for feed in hidden.values():
        if feed.is_surprising:
            warn(report, feed.describe_hidden())
        else:
            _log.info("%s", feed.describe_hidden())
    warn_all(report, binding.warnings)
    for warning in model.warnings:
        warn(report, warning)
    if pairs.row_count.known == 0:
        warn(report, f"the input {pairs.path} has no rows: the output will be empty")


def record_baseline(report: Report, baseline: Baseline) -> None:
    """What the run compares itself with."""
    report.compared_with = None if baseline.output is None else str(baseline.output)
    for note in baseline.notes:
        _log.info("%s", note)


@contextmanager
def record_whatever_happens(report: Report, state: PassState, scorer: PairScorer, output: Claim) -> Iterator[None]:
    """However the block ends, what was seen is told: bad rows, ids, the check of the plan; rejects are written.

    They are those of a failure until the output is published.
    """
    bad, unknown = state.bad, state.unknown
    try:
        yield
    finally:
        _note_pairs(report, bad)
        _note_plan(report, scorer)
        _note_ids(report, unknown)
        report.guards.append(bad.result())
        counted = (report.known_users, report.known_candidates)
        report.guards.extend(ids.result(known) for ids, known in zip(unknown, counted, strict=True))
        for binding in report.bindings:
            binding.filled = bad.filled[binding.input]
        path = output.rejects_path(failed=True)
        try:
            if bad.count:
                bad.rejects.write(path, bad.count)
                report.rejects = str(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            warn(report, f"the rejects {path} could not be written: {reason_of(error)}")


def _note_pairs(report: Report, bad: BadRows) -> None:
    report.rows_read = bad.rows
    report.pairs_scored = bad.scored
    report.bad_rows = dict(sorted(bad.left_out.pairs.items()))


def _note_ids(report: Report, unknown: list[UnknownIds]) -> None:
    report.known_users, report.known_candidates = map(_counted, unknown)


def _counted(ids: UnknownIds) -> KnownIds:
    """The counts; if the model breaks over them, the error that ended the run is the one to be told."""
    try:
        return ids.counts()
    except (ModelError, MemoryError) as error:
        return KnownIds(reason=f"the look-up failed: {first_line(error)}")


def record_scoring(report: Report, scorer: PairScorer, state: PassState) -> None:
    """Say which way the run was scored, and of how many ids the model knows."""
    _note_ids(report, state.unknown)
    if scorer.positions_left_out:
        _log.info("%d positions of a call give different bits and are not used", scorer.positions_left_out)
    _note_plan(report, scorer)
    if scorer.check is not None and not scorer.check.ok:
        warn(report, f"scored without the plan: {report.plan.reason}")
    if report.plan.reason:
        _log.info("plan off: %s", report.plan.reason)


def _note_plan(report: Report, scorer: PairScorer) -> None:
    check = scorer.check
    if check is None:
        report.plan.reason = report.plan.reason or "there was no pair to check it with"
        return
    report.plan = PlanUsed(
        used=check.ok,
        reason=None if check.ok else check.describe(),
        sha256=scorer.plan_sha256,
        checked_pairs=check.rows,
        worst_difference=check.worst,
        tolerance=check.tolerance,
        user=check.user,
        candidate=check.candidate,
        model_score=check.signature_score,
        plan_score=check.plan_score,
    )


def record_lists(report: Report, lists: RankedLists, state: PassState, baseline: Baseline) -> None:
    """The lists that are about to be published, compared with those published before."""
    bad, statistics = state.bad, state.statistics
    _note_pairs(report, bad)
    left_out = state.left_out()
    report.left_out = dict(sorted(left_out.pairs.items()))
    report.rows_written = lists.rows
    report.users_none = lists.count_missing(left_out.users())
    report.users_served = lists.users
    report.users = lists.users + report.users_none
    report.users_short = lists.users_short
    report.ties_at_cut = lists.ties_at_cut
    report.scores = statistics.figures()
    exact = report.distinct_candidates
    report.candidates = statistics.candidates.count() if exact is None else exact
    report.duplicate_share = statistics.duplicate_share
    report.user_sketch = sketch_users(lists.list_users()).to_text()
    if bad.count:
        rows = "1 bad row was" if bad.count == 1 else f"{bad.count:,} bad rows were"
        warn(report, f"{rows} left out (within --max-bad-rows)")
    report.previous = _figures_before(baseline)
    if baseline.users:
        report.previous["users_change"] = lists.users / baseline.users - 1
    if baseline.rows:
        report.previous["rows_change"] = report.rows_written / baseline.rows - 1
    if baseline.report is not None:
        _tell_changed_plan(report, baseline.report)


def _tell_changed_plan(report: Report, before: Report) -> None:
    """A plan is a program that the model's fingerprint does not cover."""
    if before.model is None or report.model is None or report.model.fingerprint != before.model.fingerprint:
        return
    if not report.has_model_of(before):
        plans = f"SHA-256 {before.plan.sha256 or 'unknown'}, now {report.plan.sha256}"
        warn(report, f"a changed plan counts as a changed model: the last published run used a plan with {plans}")


def _figures_before(baseline: Baseline) -> dict[str, float]:
    """What is known of the output published before."""
    figures: dict[str, float | None] = {"users": baseline.users, "rows": baseline.rows}
    if baseline.report is not None:
        scores = baseline.report.scores
        figures |= {
            "candidates": baseline.report.distinct_candidates,
            "score_mean": scores.mean,
            "score_spread": scores.spread,
        }
    return {name: number for name, number in figures.items() if number is not None}


def park(report: Report, lists: RankedLists, output: Claim) -> Path | None:
    """Put lists that are refused into the state folder, and say where. A failure to do so only warns."""
    try:
        report.refused_output = str(output.park(partial(write_lists, lists)))
    except BatchscoreError as error:
        warn(report, f"the refused output could not be kept: {error.what}")
        return None
    return output.refused_path


def warn_all(report: Report, messages: Iterable[str]) -> None:
    """Warn of each."""
    for message in messages:
        warn(report, message)


def warn(report: Report, message: str) -> None:
    """Log a warning and keep it in the report."""
    _log.warning("%s", message)
    report.warnings.append(message)
