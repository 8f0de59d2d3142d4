"""Drawing a page in a process of its own, for what draws it may end a process (V8 does, if memory is short)."""

from __future__ import annotations

import subprocess

from batchscore.reports.training_page import TrainingPage
from batchscore.system.own_process import describe_failure, run_module

_SECONDS = 120


def render_apart(page: TrainingPage) -> str:
    """The page as HTML text, as `render_page` gives it.

    Raises ChildProcessError if the process fails, and OSError if none can be started.
    """
    try:
        done = run_module("batchscore.reports", seconds=_SECONDS, given=page.to_json())
    except subprocess.TimeoutExpired as error:
        raise ChildProcessError(f"the process that draws it: it took more than {_SECONDS} s") from error
    if done.returncode:
        raise ChildProcessError(f"the process that draws it: {describe_failure(done)}")
    return done.stdout
