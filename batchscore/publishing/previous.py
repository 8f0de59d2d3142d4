"""The outputs before the published one, kept in the state folder with their reports.

Nothing that is kept is touched before the commit point. Before it the published output gets a second name, of age
0; after it that one becomes age 1 and the others grow older. A crash in between is finished by the next claim.
"""

from __future__ import annotations

import filecmp
from dataclasses import dataclass
from pathlib import Path

from batchscore.settings.paths import is_same_file
from batchscore.system.disk import link, move

_REPLACED = 0
"""The age of the output that is about to be replaced, or was until a crash."""


@dataclass(frozen=True)
class PreviousOutputs:
    """Kept outputs of the output called `name`; age 1 is the one before the published."""

    state: Path
    name: str

    def path(self, age: int) -> Path:
        """The output `age` publications ago."""
        return self.state / f"{self.name}.previous-{age}"

    def report_path(self, age: int) -> Path:
        """Its report."""
        return self.state / f"{self.name}.previous-{age}.report.json"

    def prepare(self, output: Path, report: Path | None) -> None:
        """Before the commit point: give the published `output` and its `report`, if it has one, a second name."""
        self.report_path(_REPLACED).unlink(missing_ok=True)
        link(output, self.path(_REPLACED))
        if report is not None:
            link(report, self.report_path(_REPLACED))

    def finish(self, output: Path) -> None:
        """After the commit point, or a crash around it: what `output` has replaced becomes age 1.

        If `output` has not been replaced, or by the same bytes, the second name is given up: it keeps nothing that
        is not published, and must not push out what is older.
        """
        replaced = self.path(_REPLACED)
        if not replaced.exists() or _is_copy(replaced, output):
            replaced.unlink(missing_ok=True)
            self.report_path(_REPLACED).unlink(missing_ok=True)
            return
        ages = self.ages()
        free = next(age for age in range(1, len(ages) + 2) if age not in ages)
        for age in range(free, _REPLACED, -1):
            self._rename(age - 1, age)

    def keep_at_most(self, count: int) -> None:
        """Forget what is older than the `count` newest."""
        for age in self.ages()[count:]:
            self.path(age).unlink()
            self.report_path(age).unlink(missing_ok=True)

    def newest_other(self, output: Path) -> int | None:
        """Age of the newest kept output whose bytes are not those of `output`; None if there is none."""
        return next((age for age in self.ages() if not _is_copy(self.path(age), output)), None)

    def ages(self) -> list[int]:
        """Ages of all kept outputs, ascending."""
        prefix = f"{self.name}.previous-"
        suffixes = (path.name.removeprefix(prefix) for path in self.state.iterdir() if path.name.startswith(prefix))
        return sorted(int(suffix) for suffix in suffixes if suffix.isdecimal() and int(suffix) != _REPLACED)

    def drop(self, age: int) -> None:
        """Forget the kept output `age`; older ones move up."""
        older = [other for other in self.ages() if other > age]
        self.path(age).unlink()
        self.report_path(age).unlink(missing_ok=True)
        for other in older:
            self._rename(other, other - 1)

    def _rename(self, age: int, new_age: int) -> None:
        self.report_path(new_age).unlink(missing_ok=True)  # a crash may lose a report, never mix two up
        self.path(age).replace(self.path(new_age))
        move(self.report_path(age), self.report_path(new_age))


def _is_copy(one: Path, other: Path) -> bool:
    try:
        return is_same_file(one, other) or filecmp.cmp(one, other, shallow=False)
    except FileNotFoundError:
        return False
