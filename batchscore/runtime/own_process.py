"""A module of ours in a process of its own: for what loads too much for this one, or might end it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence


def run_module(
    module: str, arguments: Sequence[str] = (), *, seconds: float, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module`, which reads `given` (UTF-8) on stdin, to its end.

    Raises subprocess.TimeoutExpired after so many seconds, and OSError where no process can be started.
    """
    # the packages of this process, and nothing that happens to lie in the working directory
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(  # noqa: S603 - our own module, arguments apart
        [sys.executable, "-P", "-m", module, *arguments],
        env=environment, input=given, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds,
        check=False,
    )  # fmt: skip


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The last line that it wrote on stderr."""
    return (done.stderr.strip().splitlines() or ["no message"])[-1][:300]
