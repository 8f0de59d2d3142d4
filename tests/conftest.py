"""What tests share: the small models, and runs of the command line within the test process."""

from __future__ import annotations

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
