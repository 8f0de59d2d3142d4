"""What a job needs of a limited address space, asked before anything is loaded."""

from __future__ import annotations

import resource

import pytest

from batchscore.errors import OutOfMemoryError
from batchscore.runtime.address_space import address_space_limit, require_address_space

MIB = 2**20


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
