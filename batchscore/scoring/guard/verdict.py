"""What a guard found: its figure against its limit, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from batchscore.settings.limits import Limit

EXAMPLES = 5
"""Ids that a message shows."""


NO_FIGURE = "nothing to compare with"
"""The reason of a guard whose figure the last published run does not have."""

Examples = Callable[[], list[str]]
"""Looks for what a message shows; called only if it is shown."""


@dataclass(frozen=True)
class Refusal:
    """Why a night is refused: what was found, what to do, and the flag that accepts it once."""

    error_id: str
    what: str
    where: Path
    advice: str
    accept: str
    found: str | None = None
    examples: Examples = list

    def saying(self, what: str) -> Refusal:
        """The same with another `what`."""
        return replace(self, what=what)


@dataclass(frozen=True)
class Verdict:
    """What the guard of one setting found. `figure` is None if it cannot be measured, and `reason` says why."""

    name: str
    figure: float | None
    limit: str
    reason: str | None = None
    refusal: Refusal | None = None
    warning: str | None = None


def format_limit(limit: Limit) -> str:
    """A limit as it stands in messages."""
    return limit.text.replace("%", " %")


def format_share(share: float) -> str:
    """A share (0 to 1) in percent."""
    return f"{100 * share:.1f} %"
