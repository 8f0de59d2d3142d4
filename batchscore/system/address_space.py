"""What a start is known to map, for processes whose address space is limited (`ulimit -v`).

TensorFlow's library, XLA, polars and the dynamic linker end the process where a mapping fails, some without a
signal. So a job that cannot fit is refused before any of them is loaded. The figures are measured with
TensorFlow 2.21 on two cores and a small model, those of a run with 3 million pairs and a margin (3,860 MiB were too
few without a plan, 3,950 enough; 4,310 enough with one); more of anything needs more. A library that holds Python's
lock while it aborts cannot be told as out of memory (see `cli.aborts`), so a run that passes must not come to it.
"""

from __future__ import annotations

import resource

from batchscore.errors import OutOfMemoryError

RUN_BYTES = 4_190 * 2**20
"""A run without a plan."""

PLANNED_RUN_BYTES = 4_500 * 2**20
"""A run by a plan: XLA compiles its head."""

ADOPTION_BYTES = 2_740 * 2**20
TRAINING_BYTES = 3_850 * 2**20


def address_space_limit() -> int | None:
    """The limit in bytes, None if there is none."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def require_address_space(needed: int, what: str) -> None:
    """Raise OutOfMemoryError (E-MEMORY) if the process may map fewer than the `needed` bytes of `what`."""
    limit = address_space_limit()
    if limit is not None and limit < needed:
        raise OutOfMemoryError(
            "E-MEMORY",
            f"the address space of the process is too small for {what}",
            found=f"a limit of {limit / 2**20:,.0f} MiB (ulimit -v)",
            expected=f"at least {needed / 2**20:,.0f} MiB",
            next_step="raise the limit, or take it away and limit memory with a control group (MemoryMax): an "
            "address space is several times the memory that is used",
        )
