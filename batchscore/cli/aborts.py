"""Libraries that abort the process if memory runs out: told as E-MEMORY, exit 7, not a death by SIGABRT.

TensorFlow, XLA and polars call `abort` if they cannot allocate. Python's own handlers come too late for that:
the process ends as soon as they return. So if the address space is limited, the C library's `sleep` is the
handler: it is given the number of the signal, and sleeps for 6 seconds. Meanwhile the thread that watches for
signals finds the sleeping one, cleans up and leaves. If it cannot, the process ends by SIGABRT as it would have.
"""

from __future__ import annotations

import ctypes
import mmap
import resource
import signal
import sys
from pathlib import Path

from batchscore.errors import OutOfMemoryError, format_address_space

POLL_SECONDS = 0.25

_BALLAST_BYTES = 16 * 2**20
_THREADS = Path("/proc/self/task")


class Aborts:
    """Looks for threads that are aborting, if the address space is limited; otherwise it does nothing."""

    def __init__(self) -> None:
        self._ballast: mmap.mmap | None = None
        limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
        self.held = limited and sys.platform == "linux" and _THREADS.is_dir()
        if self.held:
            self._ballast = mmap.mmap(-1, _BALLAST_BYTES)
            library = ctypes.CDLL(None)
            library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
            library.signal.restype = ctypes.c_void_p
            library.signal(signal.SIGABRT, ctypes.cast(library.sleep, ctypes.c_void_p))

    def find(self) -> OutOfMemoryError | None:
        """The error of a thread that is aborting now, and memory to tell it in; None if none is."""
        if not self.held or not any(map(_is_aborting, _THREADS.iterdir())):
            return None
        if self._ballast is not None:
            self._ballast.close()
        return OutOfMemoryError(
            "E-MEMORY",
            "memory ran out, and a library aborted the process",
            found=format_address_space(),
            next_step="raise the limit, or split the input by users into several runs; the library's own "
            "message is above",
        )


def _is_aborting(thread: Path) -> bool:
    """Whether the handler runs in the thread: SIGABRT is blocked, and not because all signals are."""
    try:
        lines = (thread / "status").read_text(encoding="ascii").splitlines()
    except OSError:  # it has ended
        return False
    blocked = next((int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:")), 0)
    return bool(blocked >> (signal.SIGABRT - 1) & 1) and not blocked >> (signal.SIGTERM - 1) & 1
