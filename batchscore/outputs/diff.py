"""`batchscore diff` from top to bottom: compare two outputs, hold the changes against limits. Read this first."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from batchscore.errors import EXIT_OK, EXIT_REFUSED
from batchscore.outputs.compare import Changes, compare
from batchscore.outputs.difference import CheckedLimit, ComparedFile, Difference, Examples
from batchscore.outputs.difference_text import describe_lists, describe_shift, percent
from batchscore.outputs.list_reader import ListReader
from batchscore.outputs.open_lists import open_lists
from batchscore.settings.lists import DiffSettings


def diff(settings: DiffSettings) -> Difference:
    """Compare the output `new` with `old`; the result says which limits are kept, and raises for none.

    Raises InputError: E-RANKED-FILE, E-DIFF-COLUMNS.
    """
    old, new = open_lists(settings.list_columns, settings.old, settings.new)
    changes = compare(old, new)
    limits = _check(changes, settings)
    users = changes.users
    return Difference(
        exit_code=EXIT_OK if all(limit.ok for limit in limits) else EXIT_REFUSED,
        old=_compared(old, users + changes.users_lost),
        new=_compared(new, users + changes.users_gained),
        top_n=changes.top_n,
        tolerance=changes.tolerance,
        users_lost=changes.users_lost,
        users_gained=changes.users_gained,
        users_in_both=users,
        users_changed=changes.users_changed,
        users_near_tied=changes.users_near_tied,
        first_places_changed=changes.first_changed,
        overlap=None if changes.overlap is None else float(changes.overlap),
        scores_compared=changes.scored,
        pairs_in_both=changes.pairs,
        pairs_shifted=changes.pairs_shifted,
        score_shift_mean=changes.shift_sum / changes.pairs if changes.pairs and changes.scored else None,
        score_shift_largest=changes.shift_largest if changes.pairs and changes.scored else None,
        near_ties=changes.near_ties,
        limits=limits,
        examples=Examples(
            users_lost=changes.lost,
            users_gained=changes.gained,
            changed=[describe_lists(row) for row in changes.changed],
            near_ties=[describe_lists(row) for row in changes.near],
            shifted=[describe_shift(row) for row in changes.shifted],
        ),
    )


def _compared(file: ListReader, users: int) -> ComparedFile:
    return ComparedFile(
        path=str(file.path),
        rows=file.rows,
        users=users,
        is_output=file.is_output,
        columns=asdict(file.columns),
        not_compared=file.kept,
    )


def _check(changes: Changes, settings: DiffSettings) -> list[CheckedLimit]:
    old_users, both = changes.users + changes.users_lost, changes.users
    counts = (
        ("max-users-lost", changes.users_lost, old_users, settings.max_users_lost, "E-DIFF-USERS-LOST"),
        ("max-users-gained", changes.users_gained, old_users, settings.max_users_gained, "E-DIFF-USERS-GAINED"),
        ("max-changed-users", changes.users_changed, both, settings.max_changed_users, "E-DIFF-USERS-CHANGED"),
        ("max-changed-first", changes.first_changed, both, settings.max_changed_first, "E-DIFF-FIRST-CHANGED"),
    )
    checked = [
        CheckedLimit(name=name, figure=f"{count:,} of {total:,}{percent(count, total)}", limit=str(limit),
                     ok=not limit.exceeded(count, total), error_id=error_id)
        for name, count, total, limit, error_id in counts
    ]  # fmt: skip
    least = settings.min_overlap
    checked.append(
        CheckedLimit(
            name="min-overlap",
            figure="no users in both" if changes.overlap is None else f"{100 * float(changes.overlap):.2f} %",
            limit=least.text,
            ok=changes.overlap is None or least.fraction is None or changes.overlap >= least.fraction,
            error_id="E-DIFF-OVERLAP",
        )
    )
    checked.append(_check_shift(changes, settings.max_score_shift))
    return checked


def _check_shift(changes: Changes, most: float | Literal["tolerance", "off"]) -> CheckedLimit:
    """Without scores a limit that was written as a number is exceeded: no one can say that it is kept."""
    allowed = {"tolerance": changes.tolerance, "off": float("inf")}[most] if isinstance(most, str) else most
    if not changes.scored:
        figure, ok = "not compared: no scores", isinstance(most, str)
    elif not changes.pairs:
        figure, ok = "no pairs in both", True
    else:
        figure, ok = f"{changes.shift_largest:.3g}", changes.shift_largest <= allowed
    return CheckedLimit(
        name="max-score-shift",
        figure=figure,
        limit=f"{most} ({changes.tolerance:.3g})" if most == "tolerance" and changes.scored else str(most),
        ok=ok,
        error_id="E-DIFF-SCORES",
    )
