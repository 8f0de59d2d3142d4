"""What grew since last published. It is told by fixed limits, not refused: growth is often meant."""

from __future__ import annotations

from collections.abc import Iterator

from batchscore.report_parts import KnownIds
from batchscore.run_report import Report
from batchscore.scoring.guard.verdict import format_share

MAX_GROWTH = 0.5
"""Share by which users or pairs may grow from one night to the next without a warning."""

MAX_UNKNOWN_RISE = 0.1
"""By how much the share of unknown ids may rise from one night to the next without a warning."""


def tell_growth(report: Report, before: Report) -> Iterator[str]:
    """Warnings: users or pairs that grew, unknown ids whose share rose or that the model cannot count any more."""
    yield from _tell_more("users", report.served, before.served)
    yield from _tell_more("pairs", report.pairs_ranked, before.pairs_ranked)
    yield from _tell_unknown("user", report.known_users, before.known_users)
    yield from _tell_unknown("candidate", report.known_candidates, before.known_candidates)


def _tell_more(name: str, now: int, last: int) -> Iterator[str]:
    if last and now > last * (1 + MAX_GROWTH):
        yield (
            f"{now:,} {name}, last published {last:,} ({100 * (now / last - 1):+.1f} %, warned above "
            f"{100 * MAX_GROWTH:+.0f} %): check retrieval if this is not intended"
        )


def _tell_unknown(name: str, now: KnownIds, last: KnownIds) -> Iterator[str]:
    share, share_before = now.unknown_share, last.unknown_share
    if share_before is None:
        return
    if share is None:
        if now.reason is not None:
            yield (
                f"unknown {name}s are not counted any more ({now.reason}), last published "
                f"{format_share(share_before)}: --max-unknown-{name}s has no effect"
            )
    elif share - share_before > MAX_UNKNOWN_RISE:
        yield (
            f"{format_share(share)} of the distinct {name}s are unknown to the model, last published "
            f"{format_share(share_before)} (warned above {100 * MAX_UNKNOWN_RISE:+.0f} points): check that "
            f"--{name}-column names the id that the model was trained with, and the model's age"
        )
