"""A module of ours in a process of its own: for what loads too much for this one, or might end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from batchscore.system.environment import DEVICES, LOG_LEVEL

_ENDS_OF_MEMORY = ("SIGABRT", "SIGKILL", "SIGSEGV")


def run_module(
    module: str, arguments: Sequence[str] = (), *, seconds: float, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module`, which reads `given` (UTF-8) on stdin, to its end.

    Raises subprocess.TimeoutExpired after so many seconds, and OSError if no process can be started.
    """
    # the packages of this process, and nothing that happens to lie in the working directory
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment |= {LOG_LEVEL: "3", DEVICES: ""}
    return subprocess.run(  # noqa: S603 - our own module, arguments apart
        [sys.executable, "-P", "-m", module, *arguments],
        env=environment, input=given, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds,
        check=False,
    )  # fmt: skip


def describe_failure(done: subprocess.CompletedProcess[str]) -> str:
    """How a process that failed ended, with its last line on stderr; where a signal ended it, with its first.

    What aborts says why first, and then where it was.
    """
    lines = [line.strip("# ") for line in done.stderr.splitlines()]
    lines = [line[:300] for line in lines if line] or ["no message"]
    if done.returncode >= 0:
        return f"exit code {done.returncode}: {lines[-1]}"
    names = {member.value: member.name for member in signal.Signals}
    name = names.get(-done.returncode, f"signal {-done.returncode}")
    memory = " (memory may have run out)" if name in _ENDS_OF_MEMORY else ""
    return f"ended by {name}{memory}: {lines[0]}"
