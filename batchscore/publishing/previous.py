"""The outputs before the published one, kept in the state folder with their reports."""

from __future__ import annotations

import filecmp
from dataclasses import dataclass
from pathlib import Path

from batchscore.paths import is_same_file
from batchscore.publishing.disk import link, move


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

    def keep(self, output: Path, report: Path | None, count: int) -> None:
        """Keep the published `output` and its `report` (None: it has none) as age 1, and at most `count` in all."""
        # a run that was killed right before its commit point has kept the output already
        if not is_same_file(self.path(1), output):
            for age in range(count, 1, -1):
                self._rename(age - 1, age)
            self.report_path(1).unlink(missing_ok=True)
            link(output, self.path(1))
        self.report_path(1).unlink(missing_ok=True)
        if report is not None:
            link(report, self.report_path(1))

    def newest_other(self, output: Path) -> int | None:
        """Age of the newest kept output whose bytes are not those of `output`; None where there is none."""
        return next((age for age in self.ages() if not _is_copy(self.path(age), output)), None)

    def ages(self) -> list[int]:
        """Ages of all kept outputs, ascending."""
        prefix = f"{self.name}.previous-"
        suffixes = (path.name.removeprefix(prefix) for path in self.state.iterdir() if path.name.startswith(prefix))
        return sorted(int(suffix) for suffix in suffixes if suffix.isdecimal())

    def drop(self, age: int) -> None:
        """Forget the kept output `age`; older ones move up."""
        older = [other for other in self.ages() if other > age]
        self.path(age).unlink()
        self.report_path(age).unlink(missing_ok=True)
        for other in older:
            self._rename(other, other - 1)

    def _rename(self, age: int, new_age: int) -> None:
        if self.path(age).exists():
            self.report_path(new_age).unlink(missing_ok=True)  # a crash may lose a report, never mix two up
            self.path(age).replace(self.path(new_age))
            move(self.report_path(age), self.report_path(new_age))


def _is_copy(one: Path, other: Path) -> bool:
    try:
        return is_same_file(one, other) or filecmp.cmp(one, other, shallow=False)
    except FileNotFoundError:
        return False
