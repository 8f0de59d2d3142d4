"""Where plans are kept: with their model, or in a folder of the user."""

from __future__ import annotations

import hashlib
import os
from dataclasses import astuple, dataclass
from pathlib import Path

from batchscore.errors import ModelError
from batchscore.runtime.plan import PLAN_FILE, PLANNER_VERSION, NotPlanned, Plan, read_plan
from batchscore.runtime.proto import DecodeError
from batchscore.runtime.safety import find_graph_hazards


@dataclass(frozen=True)
class PlanKey:
    """What a plan is made for: a model by its fingerprint, an output of a signature, a version of TensorFlow."""

    fingerprint: str
    signature: str
    score_output: str
    tensorflow: str
    user_input: str | None
    candidate_input: str | None

    def fits(self, plan: Plan | NotPlanned) -> bool:
        """Whether a plan that lies with the model was made for this."""
        made_for = (plan.signature, plan.score_output, plan.tensorflow_version)
        return made_for == (self.signature, self.score_output, self.tensorflow)

    def folder(self, cache: Path) -> Path:
        """The folder of the plan within `cache`."""
        parts = map(str, (*astuple(self), PLANNER_VERSION))
        return cache / hashlib.sha256("\0".join(parts).encode()).hexdigest()


def default_cache() -> Path:
    """The user's cache folder. Raises FileNotFoundError for a user who has none (cron and containers know some)."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError as error:
            raise FileNotFoundError(f"there is no home folder: {error}") from error
    return base / "batchscore" / "plans"


def read_harmless_plan(folder: Path) -> Plan | NotPlanned | None:
    """The plan in `folder`, None where there is none of this version of the planner.

    A plan is a program that is loaded beside the model, so it is looked at as the model is. Raises ModelError
    (E-MODEL-PLAN) where it is damaged or would do more than compute.
    """
    plan = read_plan(folder)
    try:
        hazards = find_graph_hazards(plan.graph) if isinstance(plan, Plan) else []
    except DecodeError as error:
        raise _unusable("the plan of the model cannot be read", folder, str(error)) from error
    if hazards:
        raise _unusable("the plan would do more than compute", folder, str(hazards[0]))
    return plan


def _unusable(what: str, folder: Path, found: str) -> ModelError:
    return ModelError(
        "E-MODEL-PLAN", what, where=folder / PLAN_FILE, found=found,
        next_step="delete the file: the next run makes it again",
    )  # fmt: skip
