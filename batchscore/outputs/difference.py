"""What `batchscore diff` found."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from batchscore.errors import EXIT_OK, RefusedError
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
            f"the outputs differ: {len(exceeded)} of {len(self.limits)} limits exceeded",
            where=f"{self.new.path} compared with {self.old.path}",
            details=[f"{limit.name}: {limit.figure}, limit {limit.limit}" for limit in exceeded],
            next_step="check the examples; accept with " + " ".join(f"--{limit.name} off" for limit in exceeded),
        )
        error.report = self
        raise error
