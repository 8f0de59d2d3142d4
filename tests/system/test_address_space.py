"""What a job needs of a limited address space, asked before anything is loaded."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest

from batchscore.errors import OutOfMemoryError
from batchscore.system.address_space import (
    PLANNED_RUN_BYTES,
    RUN_BYTES,
    TRAINING_BYTES,
    address_space_limit,
    require_address_space,
)

MIB = 2**20
SPEED_PAGE = Path(__file__).parents[2] / "batchscore" / "docs" / "speed.md"


@pytest.fixture
def limit(monkeypatch):
    return lambda bytes_: monkeypatch.setattr(resource, "getrlimit", lambda _: (bytes_, resource.RLIM_INFINITY))


def test_too_small_a_limit_is_named_with_what_is_needed(limit):
    limit(3_000 * MIB)
    assert address_space_limit() == 3_000 * MIB
    with pytest.raises(OutOfMemoryError) as caught:
        require_address_space(3_001 * MIB, "a run")
    assert str(caught.value).splitlines()[:3] == [
        "E-MEMORY: the address space of the process is too small for a run",
        "  found:    a limit of 3,000 MiB (ulimit -v)",
        "  expected: at least 3,001 MiB",
    ]


def test_enough_is_enough_and_no_limit_is_none(limit):
    limit(3_000 * MIB)
    require_address_space(3_000 * MIB, "a run")
    limit(resource.RLIM_INFINITY)
    assert address_space_limit() is None
    require_address_space(2**60, "a run")


def test_whoever_gives_what_the_manual_says_is_not_refused(limit):
    said = re.search(
        r"A run needs ([\d.]+) GiB of address space, a training ([\d.]+):.*?A plan needs ([\d.]+) GiB:",
        SPEED_PAGE.read_text("utf-8"),
        re.DOTALL,
    )
    assert said is not None
    for gib, needed in zip(said.groups(), (RUN_BYTES, TRAINING_BYTES, PLANNED_RUN_BYTES), strict=True):
        limit(int(float(gib) * 2**30))
        require_address_space(needed, "a job")
        assert float(gib) * 2**30 - needed < 0.1 * 2**30


def test_what_was_too_little_for_three_million_pairs_is_refused(limit):
    limit(3_860 * MIB)
    with pytest.raises(OutOfMemoryError):
        require_address_space(RUN_BYTES, "a run")
