"""Signals of a job: stop at once before the commit point, finish after it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from batchscore.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Turns a signal into StoppedError, once, until `hold` is called."""

    def __init__(self) -> None:
        self._held = False

    def hold(self) -> None:
        """From now on the job finishes: it is committing, or it is already stopping."""
        self._held = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._held:
            self.hold()  # a second Ctrl-C must not interrupt the cleaning up
            raise StoppedError(number)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within the block SIGINT, SIGTERM and SIGHUP raise StoppedError in the main thread.

    A signal that the parent has set to be ignored (nohup) stays ignored.
    """
    stop = Stop()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield stop
    finally:
        stop.hold()
