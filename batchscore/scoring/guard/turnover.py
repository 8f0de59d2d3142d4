"""How many users are different from last night."""

from __future__ import annotations

from batchscore.arrays.sketches import SKETCH_SIZE, BottomK, Overlap, estimate_overlap
from batchscore.run_report import Report
from batchscore.scoring.guard.verdict import NO_FIGURE, Examples, Refusal, Verdict, format_limit, format_share
from batchscore.settings.run import RunSettings


def check_turnover(report: Report, before: Report, settings: RunSettings, missing: Examples) -> Verdict:
    """Whether too many users were replaced by others. E-USERS-REPLACED.

    The figure is the share of the smaller night's users who are not among the other's: users who are only gone, or
    only new, count for other guards.
    """
    name, limit = "max_user_turnover", settings.max_user_turnover
    overlap = _overlap(report, before)
    if overlap is None:
        return Verdict(name, None, str(limit), reason=NO_FIGURE)
    turnover = 1 - overlap.share
    refusal = Refusal(
        "E-USERS-REPLACED",
        f"{format_share(turnover)} of the users are new: {report.served:,} users now, {before.served:,} last "
        f"published (limit {format_limit(limit)}).",
        where=settings.input,
        found=f"estimated from {SKETCH_SIZE:,} users, standard error {format_share(overlap.error)}"
        if overlap.error
        else None,
        examples=missing,
        advice="check that --user-column still holds the same ids",
        accept="--max-user-turnover off",
    )
    return Verdict(name, turnover, str(limit), refusal=refusal if limit.exceeded_by(turnover) else None)


def _overlap(report: Report, before: Report) -> Overlap | None:
    if report.user_sketch is None or before.user_sketch is None:
        return None
    try:
        now, last = (BottomK.from_text(text, SKETCH_SIZE) for text in (report.user_sketch, before.user_sketch))
    except ValueError:
        return None
    return estimate_overlap(now, report.served, last, before.served)
