"""Drawing a page in a process of its own, for what draws it may end a process (V8 does, where memory is short)."""

from __future__ import annotations

import signal
import subprocess

from batchscore.evaluation.page import TrainingPage
from batchscore.runtime.own_process import last_words, run_module

_SECONDS = 120


def render_apart(page: TrainingPage) -> str:
    """The page as HTML text, as `render_page` gives it.

    Raises ChildProcessError where the process fails, and OSError where none can be started.
    """
    try:
        done = run_module("batchscore.evaluation", seconds=_SECONDS, given=page.to_json())
    except subprocess.TimeoutExpired as error:
        raise ChildProcessError(f"the process that draws it: it took more than {_SECONDS} s") from error
    if done.returncode > 0:
        raise ChildProcessError(f"the process that draws it: exit code {done.returncode}: {last_words(done)}")
    if done.returncode < 0:
        known = {member.value: member.name for member in signal.Signals}
        name = known.get(-done.returncode, f"signal {-done.returncode}")
        raise ChildProcessError(f"the process that draws it: ended by {name}: {_first_words(done.stderr)}")
    return done.stdout


def _first_words(errors: str) -> str:
    """The first line with words: what aborts says why, and then where it was."""
    lines = (line.strip("# ") for line in errors.splitlines())
    return next((line[:300] for line in lines if line), "no message")
