"""How much memory the run may take, and whether it can do with that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from batchscore.errors import OutOfMemoryError
from batchscore.system.address_space import PLANNED_RUN_BYTES, address_space_limit

_BASE_BYTES = 512 * 2**20
"""Python, TensorFlow's library, pyarrow and polars: what a run of a thousand pairs takes without a plan."""

_MIN_PART_BYTES = 64 * 2**20
_MAX_PART_BYTES = 2**30
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def part_budget(asked: int | None, model_bytes: int) -> int:
    """Bytes for what is kept of a plan's parts, within `asked` or what the machine or its control group allows.

    Raises OutOfMemoryError (E-MEMORY) if not even the model fits. How many users the lists will have is not
    known yet: about 100 bytes for each of their pairs come on top.
    """
    available = available_bytes()
    limit = available if asked is None else min(asked, available)
    needed = _BASE_BYTES + model_bytes + _MIN_PART_BYTES
    if needed > limit:
        raise OutOfMemoryError(
            "E-MEMORY",
            "the run cannot fit into its memory",
            found=f"at least {needed / 2**20:,.0f} MiB needed, of which {model_bytes / 2**20:,.0f} for the model",
            expected=f"at most {limit / 2**20:,.0f} MiB ({'--memory' if limit == asked else 'what is available'})",
            next_step="raise --memory" if limit < available else "give the job more memory",
        )
    budget = min(_MAX_PART_BYTES, _MIN_PART_BYTES + (limit - needed) // 4)
    space = address_space_limit()
    return budget if space is None else min(budget, max(_MIN_PART_BYTES, (space - PLANNED_RUN_BYTES) // 4))


def available_bytes() -> int:
    """Memory of the machine, or of the tightest control group that the process is in."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _limit_files():
        try:
            limit = min(limit, int(path.read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return limit


def _limit_files() -> Iterator[Path]:
    """Limits of the own group and of all above it, in either version; a container sees the top alone."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        lines = []
    tops = {"": (_CGROUPS, "memory.max"), "memory": (_CGROUPS / "memory", "memory.limit_in_bytes")}
    groups = {
        controllers: own for _, controllers, own in (line.split(":", 2) for line in lines if line.count(":") > 1)
    }
    for controller, (top, name) in tops.items():
        own = next((path for found, path in groups.items() if controller in found.split(",")), "/")
        group = top / own.lstrip("/")
        while group != top and top in group.parents:
            yield group / name
            group = group.parent
        yield top / name
