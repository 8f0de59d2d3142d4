"""A plan: how a model is scored by computing each tensor once per distinct input that it depends on.

Made by `planning`, read here without TensorFlow. The plan's graph holds no weights: it is imported into the session
of the model, whose variables and look-up tables it names.

A run with a plan goes so. For each part, find the distinct tuples of the values of its inputs and run the part on
them: that gives its tables, one row a tuple. Then call the head, `call_rows` pairs at a time: feed the tables, for
each pair the number of its row in the tables of each part, and the values of the inputs that are fed pair by pair.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from batchscore.errors import ModelError
from batchscore.regular_files import read_regular

PLAN_FILE = "batchscore.plan.json"
MAX_PLAN_BYTES = 2**30
"""A plan holds no weights: its graph is far smaller."""

PLANNER_VERSION = 1
"""Goes up whenever plans change in form or in values; a plan of another version is not used."""


@dataclass(frozen=True)
class PlanInput:
    """A signature input, and the tensor to feed it to: shape [m] for rank 1, [m, 1] for rank 2."""

    name: str
    tensor: str
    dtype: str
    rank: int


@dataclass(frozen=True)
class PlanTable:
    """A table of a part: tensor `output` [m, width] of the part is fed to the head as `feed`.

    The head takes a table of any number of rows, and is compiled once for each combination of numbers of rows: keep
    them to a few sizes (rows that no pair points at may hold anything).
    """

    output: str
    feed: str
    dtype: str
    width: int


@dataclass(frozen=True)
class Part:
    """What is computed once a distinct tuple of `inputs`: all `tables` in one call, for any number m >= 1 of rows.

    `rows_feed` is the head's int32 [call_rows]: for each pair its row in the tables. `steps` say what is computed.
    """

    name: str
    inputs: tuple[PlanInput, ...]
    tables: tuple[PlanTable, ...]
    rows_feed: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Head:
    """What is computed once a pair: tensor `output` [call_rows], XLA-compiled at its first call.

    `blocks_feed`, int32 [], is the number of blocks of `block_rows` rows that hold pairs: no others are computed,
    and the scores behind them are 0. `inputs` are fed pair by pair, each [call_rows] or [call_rows, 1].
    """

    output: str
    dtype: str
    call_rows: int
    block_rows: int
    blocks_feed: str
    inputs: tuple[PlanInput, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """`graph` is a serialised GraphDef; all its names begin with `batchscore/`, its functions with `batchscore_`.

    FLOPs are those of one pair: with the signature, and with the head alone.
    """

    signature: str
    score_output: str
    parts: tuple[Part, ...]
    head: Head
    flops_before: int
    flops_after: int
    tensorflow_version: str
    graph: bytes
    planner_version: int = PLANNER_VERSION


@dataclass(frozen=True)
class NotPlanned:
    """Why the signature is run as it is: the reason names the node and the op."""

    signature: str
    score_output: str
    reason: str
    tensorflow_version: str
    planner_version: int = PLANNER_VERSION


def write_plan(directory: Path, plan: Plan | NotPlanned) -> None:
    """Write `plan` as one file into the existing `directory`; who reads sees the old plan or all of this one."""
    content: dict[str, Any] = asdict(plan)
    content["kind"] = type(plan).__name__
    if isinstance(plan, Plan):
        content["graph"] = base64.b64encode(plan.graph).decode("ascii")
    target = directory / PLAN_FILE
    temporary = directory / f"{PLAN_FILE}.{secrets.token_hex(8)}"  # hosts may share a folder, and process numbers
    try:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_plan(directory: Path) -> Plan | NotPlanned | None:
    """The plan in `directory`; None where there is none or another version of the planner made it.

    Raises ModelError (E-MODEL-PLAN) where the file is damaged.
    """
    path = directory / PLAN_FILE
    try:
        content = json.loads(read_regular(path, MAX_PLAN_BYTES))
        if content["planner_version"] != PLANNER_VERSION:
            return None
        kind = content.pop("kind")
        if kind == "NotPlanned":
            return NotPlanned(**content)
        if kind != "Plan":
            raise ValueError(f"a {kind}")
        content["parts"] = tuple(_part(part) for part in content["parts"])
        content["head"] = _head(content["head"])
        content["graph"] = base64.b64decode(content["graph"], validate=True)
        return Plan(**content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            "E-MODEL-PLAN",
            "the plan of the model cannot be read",
            where=path,
            found=f"{type(error).__name__}: {error}",
            next_step="delete the file: the next run makes it again",
        ) from error


def _part(content: dict[str, Any]) -> Part:
    return Part(
        name=content["name"],
        inputs=tuple(PlanInput(**item) for item in content["inputs"]),
        tables=tuple(PlanTable(**item) for item in content["tables"]),
        rows_feed=content["rows_feed"],
        steps=tuple(content["steps"]),
    )


def _head(content: dict[str, Any]) -> Head:
    inputs = tuple(PlanInput(**item) for item in content["inputs"])
    return Head(**{**content, "inputs": inputs, "steps": tuple(content["steps"])})
