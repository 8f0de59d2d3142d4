"""How many users, pairs and candidates there are: against the least wanted, and the published output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchscore.run_report import Report
from batchscore.scoring.guard.verdict import NO_FIGURE, Examples, Refusal, Verdict, format_limit
from batchscore.settings.limits import Limit
from batchscore.settings.run import RunSettings


@dataclass(frozen=True)
class Count:
    """How many there are, how a message says it, and what to do about too few."""

    now: int
    found: str
    where: Path
    advice: str = "rerun retrieval"

    @classmethod
    def of_input(cls, pairs: int, where: Path) -> Count:
        """The pairs of the input."""
        return cls(pairs, f"{pairs:,} pairs", where)

    @classmethod
    def of_users(cls, users: int, where: Path) -> Count:
        """The distinct users of the input."""
        return cls(users, f"{users:,} users", where)

    @classmethod
    def of_most_users(cls, pairs: int, where: Path) -> Count:
        """The users that the input can have, by its pairs."""
        return cls(pairs, f"at most {pairs:,} users (the input has no more pairs)", where)

    @classmethod
    def of_kept(cls, now: int, name: str, fate: str, *, of_input: int, where: Path, advice: str) -> Count:
        """What is left of the `of_input` users or pairs (`name`) of the input: those who `fate`.

        `advice` is what to do about pairs that were left out.
        """
        if now == of_input:
            return cls(now, f"{now:,} {name}", where)
        return cls(now, f"{now:,} {name} of the input's {of_input:,} {fate}", where, advice)


def advise_on_left_out(report: Report) -> str:
    """What to do about the pairs that a run has left out."""
    steps = []
    if report.bad_rows:
        steps.append("fix the bad rows at their source (the rejects file lists them)")
    if (report.left_out or {}).keys() - report.bad_rows.keys():
        steps.append(f"lower --min-score (the highest score is {report.scores.maximum or 0:.6g})")
    return ", and ".join(steps)


def check_pairs(pairs: Count, before: int | None, settings: RunSettings, missing: Examples) -> Iterator[Verdict]:
    """E-TOO-FEW-PAIRS, E-PAIRS-DROPPED. `before` were published; `missing` gives users that are missing."""
    yield check_least(pairs, "min_pairs", "E-TOO-FEW-PAIRS", settings.min_pairs)
    yield check_drop(pairs, before, "max_pair_drop", "E-PAIRS-DROPPED", settings.max_pair_drop, examples=missing)


def check_users(users: Count, before: int | None, settings: RunSettings, missing: Examples) -> Iterator[Verdict]:
    """E-TOO-FEW-USERS, E-USERS-DROPPED. `before` were published; `missing` gives users that are missing."""
    yield check_least(users, "min_users", "E-TOO-FEW-USERS", settings.min_users)
    yield check_drop(users, before, "max_user_drop", "E-USERS-DROPPED", settings.max_user_drop, examples=missing)


def check_candidates(report: Report, before: Report, settings: RunSettings) -> Verdict:
    """Distinct candidates of the ranked pairs. E-CANDIDATES-DROPPED."""
    candidates = report.distinct_candidates or 0
    count = Count(candidates, f"{candidates:,} distinct candidates", settings.input, "check retrieval")
    last, limit = before.distinct_candidates, settings.max_candidate_drop
    return check_drop(count, last, "max_candidate_drop", "E-CANDIDATES-DROPPED", limit)


def check_least(count: Count, name: str, error_id: str, least: int) -> Verdict:
    """Whether there are at least `least`."""
    refusal = Refusal(
        error_id,
        f"{count.found}, at least {least:,} required.",
        where=count.where,
        advice=count.advice,
        accept=f"--{name.replace('_', '-')} 0",
    )
    return Verdict(name, count.now, str(least), refusal=refusal if count.now < least else None)


def check_drop(
    count: Count, before: int | None, name: str, error_id: str, limit: Limit, *, examples: Examples = list
) -> Verdict:
    """Whether there are not too many fewer than `before`."""
    if not before:
        return Verdict(name, None, str(limit), reason=NO_FIGURE if before is None else "last published none")
    change = count.now / before - 1
    refusal = Refusal(
        error_id,
        f"{count.found}, last published {before:,} ({100 * change:+.1f} %, limit {format_limit(limit)}).",
        where=count.where,
        advice=count.advice,
        accept=f"--{name.replace('_', '-')} off",
        examples=examples,
    )
    refused = limit.exceeded(before - count.now, before)
    return Verdict(name, -change, str(limit), refusal=refusal if refused else None)
