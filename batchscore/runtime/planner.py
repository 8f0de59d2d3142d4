"""Making a plan in a process of its own: planning needs TensorFlow's Python, which a run does not load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from batchscore.errors import ModelError
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

    Raises ModelError (E-MODEL-PLAN) where the planner fails; nothing is kept then, and the next run tries again.
    Raises OSError where no process can be started.
    """
    command = [sys.executable, "-P", "-m", "batchscore.planning", "--model", str(model)]
    command += ["--directory", str(directory), "--signature", signature, "--score-output", score_output]
    command += [f"--user-input={user_input}"] if user_input else []
    command += [f"--candidate-input={candidate_input}"] if candidate_input else []
    # the packages of this process, and nothing that happens to lie in the working directory
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(  # noqa: S603 - our own module, arguments apart
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_PLANNER_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _failure(model, f"it took more than {_PLANNER_SECONDS} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise _failure(model, f"exit code {done.returncode}: {last[:300]}")
    plan = read_plan(directory)
    if plan is None:
        raise _failure(model, f"it left no plan in {directory}")
    return plan


def _failure(model: Path, found: str) -> ModelError:
    return ModelError(
        "E-MODEL-PLAN",
        "the planner failed",
        where=model,
        found=found,
        next_step="run with --plan off until it is mended, and report it with the model's graph (saved_model.pb)",
    )
