"""Shares that rise from one night to the next: of short lists, and of repeated pairs."""

from __future__ import annotations

from batchscore.run_report import Report
from batchscore.scoring.guard.verdict import NO_FIGURE, Refusal, Verdict, format_limit, format_share
from batchscore.settings.limits import Limit
from batchscore.settings.run import RunSettings


def check_short_lists(report: Report, before: Report, settings: RunSettings) -> Verdict:
    """Whether many more users than before have a short list. E-SHORT-LISTS.

    Lists are compared only if both nights ask for as many candidates.
    """
    name, limit = "max_short_list_rise", settings.max_short_list_rise
    if not before.served or not report.served:
        return Verdict(name, None, str(limit), reason=NO_FIGURE)
    if before.settings.get("top_n") != settings.top_n:
        reason = f"last published with --top-n {before.settings.get('top_n')}"
        return Verdict(name, None, str(limit), reason=reason)
    return _check_rise(
        report.users_short / report.served,
        before.users_short / before.served,
        name,
        limit,
        Refusal(
            "E-SHORT-LISTS",
            f"{report.users_short:,} of {report.served:,} users have fewer than {settings.top_n} candidates",
            where=settings.input,
            advice="check retrieval (does a join repeat pairs instead of adding candidates?)",
            accept="--max-short-list-rise off",
        ),
    )


def check_duplicates(report: Report, before: Report, settings: RunSettings) -> Verdict:
    """Whether many more pairs than before repeat another one. E-DUPLICATE-PAIRS."""
    name, limit = "max_duplicate_rise", settings.max_duplicate_rise
    now, last = report.duplicate_share, before.duplicate_share
    if now is None or last is None:
        return Verdict(name, None, str(limit), reason=NO_FIGURE)
    refusal = Refusal(
        "E-DUPLICATE-PAIRS",
        f"{format_share(now)} of the pairs repeat the user and candidate of another one",
        where=settings.input,
        advice="check the joins that make the pairs (if a table has several rows for one id, each pair of that id "
        "is repeated)",
        accept="--max-duplicate-rise off",
    )
    return _check_rise(now, last, name, limit, refusal)


def _check_rise(now: float, before: float, name: str, limit: Limit, refusal: Refusal) -> Verdict:
    rise = now - before
    compared = (
        f"{format_share(now)}, last published {format_share(before)}; limit on the rise {format_limit(limit)}"
    )
    refusal = refusal.saying(f"{refusal.what} ({compared}).")
    return Verdict(name, rise, str(limit), refusal=refusal if limit.exceeded_by(rise) else None)
