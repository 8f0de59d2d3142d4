"""What the scores look like: on their own, and beside last night's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.errors import format_list, format_value, shorten
from batchscore.report_parts import Scores
from batchscore.run_report import Report
from batchscore.scoring.guard.verdict import EXAMPLES, NO_FIGURE, Refusal, Verdict
from batchscore.settings.limits import Multiple
from batchscore.settings.run import RunSettings

if TYPE_CHECKING:
    from batchscore.scoring.rank.lists import RankedLists


def check_equal_scores(lists: RankedLists, report: Report, settings: RunSettings) -> Verdict:
    """Whether all scores are one number. E-SCORES-EQUAL."""
    lowest, highest, pairs = report.scores.minimum, report.scores.maximum, report.pairs_with_scores
    equal = pairs > 1 and lowest is not None and lowest == highest
    allowed = settings.allow_equal_scores
    refusal = Refusal(
        "E-SCORES-EQUAL",
        f"all {pairs:,} scores are {lowest:.9g}.",
        where=settings.input,
        found=_format_fed_alike(report) if equal else None,
        examples=lambda: _format_pairs(lists),
        advice="check that the model is trained and that --score-output names its score",
        accept="--allow-equal-scores",
    ) if equal and not allowed else None  # fmt: skip
    return Verdict("allow_equal_scores", float(equal), "off" if allowed else "0", refusal=refusal)


def check_score_shift(report: Report, before: Report, settings: RunSettings) -> Verdict:
    """How far the mean score moved, in standard deviations of last night's scores. E-SCORES-MOVED.

    The same model refuses beyond the limit and warns beyond a third of it; another model only warns.
    """
    name, limit = "max_score_shift", settings.max_score_shift
    if reason := _find_difference(report, before):
        return Verdict(name, None, str(limit), reason=reason)
    now, last = _mean_spread(report.scores), _mean_spread(before.scores)
    shift = (now[0] - last[0]) / last[1]
    what = (
        f"the mean of the scores moved from {last[0]:.6g} to {now[0]:.6g} "
        f"({shift:+.1f} times last night's standard deviation, limit {limit})"
    )
    return _decide(name, "E-SCORES-MOVED", what, abs(shift), limit, times_to_warn=(limit.times or 0) / 3,
                   report=report, before=before, settings=settings)  # fmt: skip


def check_spread_change(report: Report, before: Report, settings: RunSettings) -> Verdict:
    """How many times the standard deviation of the scores grew or shrank. E-SCORES-SPREAD.

    The same model refuses beyond the limit and warns beyond its square root; another model only warns.
    """
    name, limit = "max_spread_change", settings.max_spread_change
    if reason := _find_difference(report, before):
        return Verdict(name, None, str(limit), reason=reason)
    now, last = _mean_spread(report.scores)[1], _mean_spread(before.scores)[1]
    if not now:
        return Verdict(name, None, str(limit), reason="all scores are equal")
    times = max(now / last, last / now)
    what = (
        f"the standard deviation of the scores went from {last:.6g} to {now:.6g} "
        f"({'multiplied' if now > last else 'divided'} by {times:.1f}, limit {limit})"
    )
    return _decide(name, "E-SCORES-SPREAD", what, times, limit, times_to_warn=(limit.times or 0) ** 0.5,
                   report=report, before=before, settings=settings)  # fmt: skip


def _find_difference(report: Report, before: Report) -> str | None:
    """Why the scores of two nights cannot be compared."""
    if report.scores.mean is None or before.scores.mean is None or before.scores.spread is None:
        return NO_FIGURE
    return None if before.scores.spread else "all scores last published are equal"


def _mean_spread(scores: Scores) -> tuple[float, float]:
    return scores.mean or 0.0, scores.spread or 0.0


def _decide(
    name: str, error_id: str, what: str, figure: float, limit: Multiple, *, times_to_warn: float, report: Report,
    before: Report, settings: RunSettings,
) -> Verdict:  # fmt: skip
    if limit.times is None or figure <= times_to_warn:
        return Verdict(name, figure, str(limit))
    if not limit.exceeded(figure):
        return Verdict(name, figure, str(limit), warning=what if _is_same_model(report, before) else None)
    if not _is_same_model(report, before):
        return Verdict(name, figure, str(limit), warning=f"{what}; the model is a different one")
    refusal = Refusal(
        error_id,
        f"{what}.",
        where=settings.input,
        found=f"the same model, fingerprint {report.model.fingerprint[:16] if report.model else ''}",
        advice="compare the features with last night's (units, dates, missing values)",
        accept=f"--{name.replace('_', '-')} off",
    )
    return Verdict(name, figure, str(limit), refusal=refusal)


def _is_same_model(report: Report, before: Report) -> bool:
    """Whether both nights were scored by one model, and by one output of it."""
    if report.model is None or before.model is None or not report.has_model_of(before):
        return False
    now, last = report.model, before.model
    return (now.signature, now.score_output) == (last.signature, last.score_output)


def _format_fed_alike(report: Report) -> str | None:
    """The inputs that get one value for all pairs: constants, and columns that have one by the footers."""
    alike = [
        f"{bound.input} = {shorten(bound.constant)}" for bound in report.bindings if bound.constant is not None
    ]
    columns = {bound.input: bound.column for bound in report.bindings if bound.column is not None}
    values = _find_single_values([Path(file.path) for file in report.inputs], {*columns.values()})
    alike += [
        f"{name} <- {shorten(column)}, always {format_value(values[column])}"
        for name, column in columns.items()
        if column in values
    ]
    return f"inputs with one value for all pairs: {format_list(alike)}" if alike else None


def _find_single_values(files: Sequence[Path], columns: Collection[str]) -> dict[str, object]:
    """The columns whose least and greatest value in every row group is one and the same, and that value."""
    ends: dict[str, set[object]] = {column: set() for column in columns}
    try:
        for file in files:
            footer = pq.read_metadata(file)
            for group in map(footer.row_group, range(footer.num_row_groups)):
                for place in range(group.num_columns):
                    chunk = group.column(place)
                    if chunk.path_in_schema in ends and group.num_rows:
                        told = chunk.statistics if chunk.is_stats_set and chunk.statistics.has_min_max else None
                        ends[chunk.path_in_schema] |= {object()} if told is None else {told.min, told.max}
    except (OSError, ValueError, NotImplementedError, pa.ArrowException):
        return {}
    return {column: next(iter(found)) for column, found in ends.items() if len(found) == 1}


def _format_pairs(lists: RankedLists) -> list[str]:
    rows = lists.frame.head(EXAMPLES).rows(named=True)
    return [f"user {format_value(row['user'])}, candidate {format_value(row['candidate'])}" for row in rows]
