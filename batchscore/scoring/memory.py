"""How much memory the run may take, and whether it can do with that."""

from __future__ import annotations

import os
from pathlib import Path

from batchscore.errors import OutOfMemoryError

_BASE_BYTES = 700 * 2**20
"""Python, TensorFlow's library, pyarrow and polars, and the batches under way."""

_MOST_PART_BYTES = 2**30
_LEAST_PART_BYTES = 128 * 2**20
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def part_budget(asked: int | None, model_bytes: int) -> int:
    """Bytes for what is kept of a plan's parts, within `asked` or what the machine or its control group allows.

    Raises OutOfMemoryError (E-MEMORY) where not even the model fits. How many users the lists will have is not
    known yet: about 100 bytes for each of their pairs come on top.
    """
    limit = available_bytes() if asked is None else min(asked, available_bytes())
    needed = _BASE_BYTES + model_bytes + _LEAST_PART_BYTES
    if needed > limit:
        raise OutOfMemoryError(
            "E-MEMORY",
            "the run cannot fit into its memory",
            found=f"at least {needed / 2**20:,.0f} MiB needed, {model_bytes / 2**20:,.0f} of them for the model",
            expected=f"at most {limit / 2**20:,.0f} MiB",
            next_step="give the job more memory, or raise --memory",
        )
    return min(_MOST_PART_BYTES, _LEAST_PART_BYTES + (limit - needed) // 4)


def available_bytes() -> int:
    """Memory of the machine, or of the control group that the process runs in."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUPS:
        try:
            limit = min(limit, int(path.read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return limit
