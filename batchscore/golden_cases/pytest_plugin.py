"""Golden cases as pytest items: every `case.toml` below the directories of the ini option `batchscore_golden`.

An installed batchscore offers the plugin to pytest under this module's name, so that `-p` with that name loads it
once, installed or not. Without the ini option it collects nothing. Nothing heavy is imported before a case runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_CASE = "case.toml"
_DIRECTORIES = "batchscore_golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option and the flags."""
    parser.addini(_DIRECTORIES, "Directories of golden cases of batchscore.", type="paths", default=[])
    group = parser.getgroup("batchscore")
    group.addoption("--update-golden", action="store_true", help="Update golden cases to what their runs do.")
    group.addoption("--golden-model", metavar="DIR", help="Run all golden cases with this model.")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a directory without a case: nothing would be tested, and no one would know."""
    for directory in config.getini(_DIRECTORIES):
        if next(directory.rglob(_CASE), None) is None:
            raise pytest.UsageError(f"{_DIRECTORIES}: no golden case ({_CASE}) at or below {directory}")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> GoldenFile | None:
    """Collect `file_path` where it is a case below one of the directories."""
    if file_path.name != _CASE:
        return None
    if not any(file_path.is_relative_to(directory) for directory in parent.config.getini(_DIRECTORIES)):
        return None
    return GoldenFile.from_parent(parent, path=file_path)


class GoldenFile(pytest.File):
    """`case.toml`: one item."""

    def collect(self) -> Iterator[GoldenItem]:
        """The item, named after its folder."""
        yield GoldenItem.from_parent(self, name=self.path.parent.name)


class GoldenDifference(Exception):  # noqa: N818 - a difference that a test found
    """The lines in which a run differs from what its case expects."""


class GoldenItem(pytest.Item):
    """One case: it passes where the run does what is expected."""

    def runtest(self) -> None:
        """Run the case. Raises GoldenDifference, and BatchscoreError if it cannot be run."""
        from batchscore.golden_cases.cases import read_case
        from batchscore.golden_cases.runner import check_case

        model = self.config.getoption("--golden-model")
        case = read_case(self.path.parent, None if model is None else Path(model))
        result = check_case(case, self.name, update=self.config.getoption("--update-golden"))
        if result.outcome == "differs":
            raise GoldenDifference("\n".join([f"{self.name} differs:", *result.differences]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The differences, or the error's message; a traceback only for a fault."""
        from batchscore.errors import BatchscoreError

        if isinstance(excinfo.value, (GoldenDifference, BatchscoreError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """The case's folder, for the head of a failure."""
        return self.path, None, f"golden case {self.name}"
