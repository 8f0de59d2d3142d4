"""How a job tells its caller where it is. The library prints nothing; the command line draws a bar."""

from __future__ import annotations

from collections.abc import Callable


class Observer:
    """Receives the progress of a job. Every method may be overridden; by default all do nothing."""

    def stage(self, name: str, total_rows: int | None = None) -> None:
        """Begin the stage `name`; `total_rows` is its length in rows, if that is known."""

    def advance(self, rows: int) -> None:
        """`rows` more rows of the current stage are done."""

    def committing(self) -> None:
        """The next step makes the result visible: from here on the job wants to finish, not to stop."""

    def allow_abandoning(self, abandon: Callable[[BaseException], None]) -> None:
        """From now on `abandon(error)` cleans up for a process that must end without waiting for the job.

        It may be called from another thread; the process ends right after it.
        """
