"""A plan as a file: written whole, with a checksum of its own, and believed in nothing when it is read.

    {"planner_version": 2, "sha256": "...", "plan": {...}}          or "not_planned" in place of "plan"

`sha256` is that of the plan (`Plan.sha256`), so that a damaged file is never taken for another plan.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, ValidationError
from pydantic_core import from_json

from batchscore.errors import ModelError, reason_of
from batchscore.planning.plan import PLANNER_VERSION, NotPlanned, Plan
from batchscore.system.durable import unique_temporary_beside, write_whole
from batchscore.system.json_document import JsonDocument
from batchscore.system.regular_files import read_regular

PLAN_FILE = "batchscore.plan.json"
MAX_PLAN_BYTES = 48 * 2**20
"""More than a plan's file has with the largest graph."""

_MODE = 0o644


class _PlanFile(JsonDocument):
    model_config = ConfigDict(strict=True)

    planner_version: int
    sha256: str
    plan: Plan | None = None
    not_planned: NotPlanned | None = None


def write_plan(directory: Path, plan: Plan | NotPlanned) -> None:
    """Write `plan` as one file into the existing `directory`; who reads sees the old plan or all of this one.

    Nobody but its owner may write to it, whatever the umask.
    """
    content = _PlanFile(
        planner_version=PLANNER_VERSION,
        sha256=plan.sha256,
        plan=plan if isinstance(plan, Plan) else None,
        not_planned=plan if isinstance(plan, NotPlanned) else None,
    )
    target = directory / PLAN_FILE
    text = content.model_dump_json(indent=1, exclude_none=True) + "\n"
    write_whole(target, text, temporary=unique_temporary_beside(target), mode=_MODE)  # hosts may share a folder


def read_plan(directory: Path) -> Plan | NotPlanned | None:
    """The plan in `directory`; None if there is none or another version of the planner made it.

    Raises ModelError (E-MODEL-PLAN) if the file is damaged or is not a plan.
    """
    path = directory / PLAN_FILE
    try:
        content = read_regular(path, MAX_PLAN_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable_plan(path, reason_of(error)) from error
    return parse_plan(content, path)


def parse_plan(content: bytes, path: Path) -> Plan | NotPlanned | None:
    """The plan that the file `path` holds, as `read_plan` gives it."""
    try:
        raw = from_json(content)
        version = raw.get("planner_version") if isinstance(raw, dict) else None
        if isinstance(version, int) and version != PLANNER_VERSION:
            return None
        file = _PlanFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise unreadable_plan(path, f"{place}: {first['msg']}" if place else first["msg"]) from error
    except ValueError as error:
        raise unreadable_plan(path, str(error)) from error
    plan = file.plan if file.plan is not None else file.not_planned
    if plan is None or (file.plan is not None and file.not_planned is not None):
        raise unreadable_plan(path, "not one of plan and not_planned")
    if plan.sha256 != file.sha256:
        raise unreadable_plan(path, f"SHA-256 {plan.sha256[:16]}, expected {file.sha256[:16]}: it is damaged")
    return plan


def unreadable_plan(path: Path, found: str) -> ModelError:
    """The error of a plan file that cannot be used."""
    return ModelError(
        "E-MODEL-PLAN",
        "the plan of the model cannot be read",
        where=path,
        found=found,
        next_step="delete the file: the next run makes it again",
    )
