"""How many users and pairs there are: against the least that there must be, and the published output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from batchscore.config import RunSettings
from batchscore.limits import Limit
from batchscore.scoring.guard.verdict import Refusal, Verdict, format_limit

Examples = Callable[[], list[str]]


def check_pairs(pairs: int, before: int | None, settings: RunSettings, missing: Examples) -> Iterator[Verdict]:
    """The pairs of the input. E-TOO-FEW-PAIRS, E-PAIRS-DROPPED."""
    where, found = settings.input, f"{pairs:,} pairs"
    yield _check_least("min_pairs", "E-TOO-FEW-PAIRS", found, pairs, least=settings.min_pairs, where=where)
    yield _check_drop(
        "max_pair_drop",
        "E-PAIRS-DROPPED",
        found,
        pairs,
        before,
        limit=settings.max_pair_drop,
        where=where,
        missing=missing,
    )


def check_users(
    users: int, before: int | None, settings: RunSettings, missing: Examples, *, at_most: bool = False
) -> Iterator[Verdict]:
    """How many users there are (`at_most` that many). E-TOO-FEW-USERS, E-USERS-DROPPED."""
    found = f"at most {users:,} users (the input has no more pairs)" if at_most else f"{users:,} users"
    where = settings.input
    yield _check_least("min_users", "E-TOO-FEW-USERS", found, users, least=settings.min_users, where=where)
    yield _check_drop(
        "max_user_drop",
        "E-USERS-DROPPED",
        found,
        users,
        before,
        limit=settings.max_user_drop,
        where=where,
        missing=missing,
    )


def _check_least(name: str, error_id: str, found: str, now: int, *, least: int, where: Path) -> Verdict:
    refusal = Refusal(
        error_id,
        f"{found}, at least {least:,} wanted.",
        where=where,
        advice="rerun retrieval",
        accept=f"--{name.replace('_', '-')} 0",
    )
    return Verdict(name, now, str(least), refusal=refusal if now < least else None)


def _check_drop(
    name: str,
    error_id: str,
    found: str,
    now: int,
    before: int | None,
    *,
    limit: Limit,
    where: Path,
    missing: Examples,
) -> Verdict:
    if not before:
        return Verdict(name, None, str(limit))
    change = now / before - 1
    refusal = Refusal(
        error_id,
        f"{found}, last published {before:,} ({100 * change:+.1f} %, limit {format_limit(limit)}).",
        where=where,
        advice="rerun retrieval",
        accept=f"--{name.replace('_', '-')} off",
        examples=missing,
    )
    return Verdict(name, -change, str(limit), refusal=refusal if limit.exceeded(before - now, before) else None)
