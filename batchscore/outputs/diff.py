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
    """One of the two files."""

    path: str
    """Where it lies."""
    rows: int
    """Its rows."""
    users: int
    """Its users."""
    is_output: bool
    """Whether it is an output of a run, and not another table of lists."""
    columns: dict[str, str | None]
    """The columns that `user`, `candidate`, `rank` and `score` were read from; null: there is none."""
    not_compared: list[str]
    """Columns that play no part."""


class CheckedLimit(JsonDocument):
    """A figure against its limit."""

    name: str
    """The flag without its dashes: `max-users-lost`."""
    figure: str
    """What was found, as a person reads it."""
    limit: str
    """The limit, as a person reads it."""
    ok: bool
    """Whether the limit is kept."""
    error_id: str
    """The id of the error if it is not."""


class Examples(JsonDocument):
    """At most five of a kind, each a line for a person; ids as they stand in the files."""

    users_lost: list[str | int] = Field(default_factory=list)
    """Users only in the old file."""
    users_gained: list[str | int] = Field(default_factory=list)
    """Users only in the new file."""
    changed: list[str] = Field(default_factory=list)
    """Lists that really differ."""
    near_ties: list[str] = Field(default_factory=list)
    """Differences that do not count, since scores are nearly equal."""
    shifted: list[str] = Field(default_factory=list)
    """Pairs whose scores differ most."""


class Difference(JsonDocument):
    """How NEW differs from OLD. Without scores in both files no difference is a near tie."""

    schema_version: Literal[1] = 1
    """The version of this form."""
    command: Literal["diff"] = "diff"
    """The command."""
    exit_code: int = EXIT_OK
    """0, or 6 if a limit is exceeded."""
    old: ComparedFile
    """The file that was compared with."""
    new: ComparedFile
    """The file that was compared."""
    top_n: int
    """The length of the longest list in either file."""
    tolerance: float
    """Scores that are closer are nearly equal."""
    users_lost: int
    """Users only in the old file."""
    users_gained: int
    """Users only in the new file."""
    users_in_both: int
    """Users in both."""
    users_changed: int
    """Users in both whose lists really differ."""
    users_near_tied: int
    """Users in both whose lists differ in near ties alone."""
    first_places_changed: int
    """Users in both whose first places really differ."""
    overlap: float | None
    """Share of candidates that stand in both lists, of the longer one, on average; null if no user is in both."""
    scores_compared: bool
    """Whether both files have scores."""
    pairs_in_both: int
    """Pairs in both."""
    pairs_shifted: int
    """Pairs in both whose scores differ by more than the tolerance."""
    score_shift_mean: float | None
    """Mean of new score less old; null if scores were not compared."""
    score_shift_largest: float | None
    """The greatest change of a score, without its sign; null if scores were not compared."""
    near_ties: int
    """Places that differ in near ties alone."""
    limits: list[CheckedLimit]
    """Each figure against its limit."""
    examples: Examples
    """At most five of each kind."""

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
