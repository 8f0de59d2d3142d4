"""`batchscore diff` from top to bottom: compare two outputs, hold the changes against limits. Read this first."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from pydantic import Field

from batchscore.errors import EXIT_OK, EXIT_REFUSED, RefusedError
from batchscore.outputs.compare import Changes, compare
from batchscore.outputs.describe import describe_lists, describe_shift, percent
from batchscore.outputs.open_lists import open_lists
from batchscore.outputs.reader import ListReader
from batchscore.settings.lists import DiffSettings
from batchscore.system.json_document import JsonDocument


class ComparedFile(JsonDocument):
    """One of the two files. `not_compared` are columns which play no part.

    `columns` are those that the lists were read from (`user`, `candidate`, `rank`, `score`); `is_output` says
    whether the file is an output of a run, and not another table of lists.
    """

    path: str
    rows: int
    users: int
    is_output: bool
    columns: dict[str, str | None]
    not_compared: list[str]


class CheckedLimit(JsonDocument):
    """A figure against its limit, both as a person reads them; `ok` where the limit is kept."""

    name: str
    figure: str
    limit: str
    ok: bool
    error_id: str


class Examples(JsonDocument):
    """At most five of a kind, each a line for a person; ids as they stand in the files."""

    users_lost: list[str | int] = Field(default_factory=list)
    users_gained: list[str | int] = Field(default_factory=list)
    changed: list[str] = Field(default_factory=list)
    near_ties: list[str] = Field(default_factory=list)
    shifted: list[str] = Field(default_factory=list)


class Difference(JsonDocument):
    """How NEW differs from OLD. Shares are of the users in both files; null where there is none.

    `overlap` is the mean over those users of the candidates that stand in both lists, divided by the longer list's
    length. A score shift is new minus old, of the pairs that stand in both files; null unless both files have
    scores (`scores_compared`), without which no difference is a near tie.
    """

    schema_version: Literal[1] = 1
    command: Literal["diff"] = "diff"
    exit_code: int = EXIT_OK
    old: ComparedFile
    new: ComparedFile
    top_n: int
    tolerance: float
    users_lost: int
    users_gained: int
    users_in_both: int
    users_changed: int
    users_near_tied: int
    first_places_changed: int
    overlap: float | None
    scores_compared: bool
    pairs_in_both: int
    pairs_shifted: int
    score_shift_mean: float | None
    score_shift_largest: float | None
    near_ties: int
    limits: list[CheckedLimit]
    examples: Examples

    def require_within_limits(self) -> None:
        """Raise RefusedError (E-DIFF-...: the id of the first limit that is exceeded), with all of them."""
        exceeded = [limit for limit in self.limits if not limit.ok]
        if not exceeded:
            return
        first = exceeded[0]
        error = RefusedError(
            first.error_id,
            f"the outputs differ by more than {'one limit allows' if len(exceeded) == 1 else 'the limits allow'}",
            where=f"{self.new.path} against {self.old.path}",
            details=[f"{limit.name}: {limit.figure}, limit {limit.limit}" for limit in exceeded],
            next_step="look at the examples; accept with " + " ".join(f"--{limit.name} off" for limit in exceeded),
        )
        error.report = self
        raise error


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
    """Without scores a limit that was written as a number is exceeded: nobody can say that it is kept."""
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
