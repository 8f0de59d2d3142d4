"""What golden cases came to: one result a case, and the verdict."""

from __future__ import annotations

from itertools import groupby
from typing import Literal

from batchscore.errors import EXIT_OK, EXIT_REFUSED, RefusedError
from batchscore.system.json_document import JsonDocument

DETAIL_LINES = 40
"""Lines of one case's differences that the error message shows; the report has all."""


class CaseResult(JsonDocument):
    """What one case came to."""

    case: str
    """The case, by its folder."""
    outcome: Literal["as expected", "differs", "rewritten"]
    """`rewritten`: it differed, and now expects what the run did."""
    differences: list[str]
    """The differences, line by line."""


class GoldenReport(JsonDocument):
    """What golden cases came to."""

    schema_version: Literal[1] = 1
    """The version of this form."""
    command: Literal["golden"] = "golden"
    """The command."""
    directory: str
    """Where the cases lie."""
    model: str | None
    """The model that all were run with; null: each with its own."""
    results: list[CaseResult]
    """A result for each case, by name."""

    @property
    def differing(self) -> list[CaseResult]:
        """The cases that differ."""
        return [result for result in self.results if result.outcome == "differs"]

    @property
    def exit_code(self) -> int:
        """0, or 6 where a case differs."""
        return EXIT_REFUSED if self.differing else EXIT_OK

    def summary(self) -> str:
        """How many cases came to what, in one line."""
        outcomes = sorted(result.outcome for result in self.results)
        counts = ", ".join(f"{len(list(same))} {outcome}" for outcome, same in groupby(outcomes))
        return f"{len(self.results)} golden case{'s' if len(self.results) > 1 else ''}: {counts}"

    def require_as_expected(self) -> None:
        """Raise RefusedError (E-GOLDEN-DIFFERS), with all differences and this report, where a case differs."""
        differing = self.differing
        if not differing:
            return
        details = []
        for result in differing:
            details.append(f"{result.case}:")
            details += [f"  {line}" for line in result.differences[:DETAIL_LINES]]
            if more := len(result.differences[DETAIL_LINES:]):
                details.append(f"  ... and {more:,} more lines")
        verb = "differs" if len(differing) == 1 else "differ"
        error = RefusedError(
            "E-GOLDEN-DIFFERS",
            f"{len(differing)} of {len(self.results)} golden cases {verb}",
            where=self.directory,
            details=details,
            next_step="fix what changed; or, if the change is intended, rewrite what is expected with an update "
            "(--update) and review it",
        )
        error.report = self
        raise error
