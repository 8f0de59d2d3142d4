"""Signals of a job: stop at once before the commit point, finish after it.

A signal raises StoppedError in the main thread, which unwinds the job. Where that takes long (Python hears a signal
only between two of its own steps, and a call inside TensorFlow may last minutes) a second thread cleans up in its
place and ends the process. It does the same if a library aborts because memory ran out (see `aborts`).
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from batchscore.cli.aborts import POLL_SECONDS, Aborts
from batchscore.errors import OutOfMemoryError, StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

UNWIND_SECONDS = 1.0
"""How long the main thread may take to stop by itself."""

Abandon = Callable[[BaseException], None]
Leave = Callable[[StoppedError | OutOfMemoryError], NoReturn]


class Stop:
    """Turns a signal into StoppedError, once, until `hold` is called; `leave` ends a process that cannot unwind."""

    def __init__(self, leave: Leave) -> None:
        self._leave = leave
        self._aborts = Aborts()
        self._heeding = True
        self._committing = False
        self._deciding = threading.Lock()
        self._abandon: Abandon | None = None

    def hold(self) -> None:
        """From now on the job finishes. Never returns if the process is already ending without it."""
        self._heeding = False
        with self._deciding:
            self._committing = True

    def allow_abandoning(self, abandon: Abandon) -> None:
        """From now on the process may end without unwinding, once `abandon` has cleaned up."""
        self._abandon = abandon

    def end(self) -> None:
        """The job has ended, and no signal is heeded any more."""
        self._heeding = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._heeding:
            self._heeding = False  # a second Ctrl-C must not interrupt the cleaning up
            raise StoppedError(number)

    def watch(self, arrivals: int) -> None:
        """Read the numbers of signals from the descriptor `arrivals` as they arrive, until its other end is closed.

        UNWIND_SECONDS after the first one the process ends, unless the job is committing or cannot be abandoned. It
        also ends, unless the job is committing, if a library aborts because memory ran out.
        """
        number, deadline = 0, None
        try:
            while True:
                left = None if deadline is None else max(deadline - time.monotonic(), 0)
                if self._aborts.held:
                    left = POLL_SECONDS if left is None else min(left, POLL_SECONDS)
                if not select.select([arrivals], [], [], left)[0]:
                    shortage = self._aborts.find()
                    if shortage is not None:
                        self._end(shortage)
                    if deadline is None or time.monotonic() < deadline:
                        continue
                    break
                arrived = os.read(arrivals, 64)
                if not arrived:
                    return
                if deadline is None and (heeded := [item for item in arrived if item in SIGNALS]):
                    number, deadline = heeded[0], time.monotonic() + UNWIND_SECONDS
        finally:
            with suppress(OSError):
                os.close(arrivals)
        if self._abandon is not None:
            self._end(StoppedError(number))

    def _end(self, error: StoppedError | OutOfMemoryError) -> None:
        """Clean up and end the process, unless the job is committing."""
        with self._deciding:
            if not self._committing:
                try:
                    if self._abandon is not None:
                        self._abandon(error)
                finally:
                    self._leave(error)


@contextmanager
def stoppable(leave: Leave) -> Iterator[Stop]:
    """Within the block SIGINT, SIGTERM and SIGHUP raise StoppedError in the main thread.

    A signal that the parent has set to be ignored (nohup) stays ignored. `leave` ends the process of a job that
    could not be stopped so, from another thread.
    """
    stop = Stop(leave)
    arrivals, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    threading.Thread(target=stop.watch, args=(arrivals,), name="signals", daemon=True).start()
    woken_before = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield stop
    finally:
        stop.end()
        signal.set_wakeup_fd(woken_before)
        with suppress(OSError):  # the job has ended, and its output may be published
            os.close(wakeup)
