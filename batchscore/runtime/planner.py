"""Making a plan in a process of its own: planning needs TensorFlow's Python, which a run does not load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from batchscore.runtime.plan import NotPlanned, Plan, read_plan

_PLANNER_SECONDS = 600


def make_plan(
    model: Path,
    signature: str,
    score_output: str,
    directory: Path,
    *,
    user_input: str | None,
    candidate_input: str | None,
) -> Plan | NotPlanned:
    """Write the plan, or the reason why there is none, into `directory`, and return it.

    A planner that fails is a reason too, but one that is not kept: the next run tries again. Raises OSError where
    no process can be started or `directory` cannot be read.
    """
    command = [sys.executable, "-m", "batchscore.planning", "--model", str(model), "--directory", str(directory)]
    command += ["--signature", signature, "--score-output", score_output]
    command += [f"--user-input={user_input}"] if user_input else []
    command += [f"--candidate-input={candidate_input}"] if candidate_input else []
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(  # noqa: S603 - our own module, arguments apart
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_PLANNER_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return _failed(signature, score_output, f"the planner took more than {_PLANNER_SECONDS} s")
    plan = read_plan(directory)
    if plan is None:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        reason = f"the planner ended with exit code {done.returncode}: {last[:300]}"
        return _failed(signature, score_output, reason)
    return plan


def _failed(signature: str, score_output: str, reason: str) -> NotPlanned:
    return NotPlanned(signature, score_output, reason, "")
