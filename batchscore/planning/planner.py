"""Making a plan in a process of its own: planning needs TensorFlow's Python, which a run does not load."""

from __future__ import annotations

import subprocess
from pathlib import Path

from batchscore.errors import ModelError
from batchscore.planning.plan import NotPlanned, Plan
from batchscore.planning.plan_file import read_plan
from batchscore.system.own_process import describe_failure, run_module

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

    Raises ModelError (E-MODEL-PLAN) if the planner fails; nothing is kept then, and the next run tries again.
    Raises OSError if no process can be started.
    """
    arguments = ["--model", str(model), "--directory", str(directory)]
    arguments += ["--signature", signature, "--score-output", score_output]
    arguments += [f"--user-input={user_input}"] if user_input else []
    arguments += [f"--candidate-input={candidate_input}"] if candidate_input else []
    try:
        done = run_module("batchscore.planning.graph", arguments, seconds=_PLANNER_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _failure(model, f"it took more than {_PLANNER_SECONDS} s") from error
    if done.returncode:
        raise _failure(model, describe_failure(done))
    plan = read_plan(directory)
    if plan is None:
        raise _failure(model, f"it wrote no plan into {directory}")
    return plan


def _failure(model: Path, found: str) -> ModelError:
    return ModelError(
        "E-MODEL-PLAN",
        "the planner failed",
        where=model,
        found=found,
        next_step="run with --plan off until it is fixed, and report it with the model's graph (saved_model.pb)",
    )
