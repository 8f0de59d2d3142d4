"""What tests share: the small models, and runs of the command line within the test process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="Write what the golden cases do as what they expect."
    )


@pytest.fixture
def models() -> Path:
    return TESTS / "models"


@pytest.fixture
def echo(models) -> Path:
    return models / "echo"


@pytest.fixture(scope="session")
def exports(tmp_path_factory) -> Callable[[str], Path]:
    """The directory of the models that `make_exports.py KIND` exports, each kind once, in a process of its own."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            path = tmp_path_factory.mktemp(kind)
            done = subprocess.run(
                [sys.executable, TESTS / "models" / "make_exports.py", kind, path], capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-2000:]
            made[kind] = path
        return made[kind]

    return make
