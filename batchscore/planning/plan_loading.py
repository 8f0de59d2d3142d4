"""A plan in the session of its model: added to the graph, and every tensor that it names looked up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from batchscore.engine.session import Call, Session
from batchscore.errors import ModelError
from batchscore.planning.plan import NotPlanned, Plan
from batchscore.planning.plan_file import write_plan


@dataclass(frozen=True)
class LoadedPlan:
    """What a run calls.

    `parts` are in the order of the plan: each takes its inputs and gives its tables. `head` takes the number of
    blocks, the row numbers and then the tables of all parts, and last its own inputs.
    """

    plan: Plan
    parts: tuple[Call, ...]
    head: Call


def load_plan(session: Session, plan: Plan) -> LoadedPlan:
    """Add `plan` to the model in `session`, once a session.

    Raises ModelError (E-MODEL-LOAD) if it does not fit.
    """
    session.import_graph(plan.graph, "")
    parts = tuple(
        session.prepare(
            [item.tensor for item in part.inputs],
            [item.output for item in part.tables],
            label=f"part {part.name!r}",
        )
        for part in plan.parts
    )
    head = plan.head
    feeds = [head.blocks_feed, *(part.rows_feed for part in plan.parts)]
    feeds += [table.feed for part in plan.parts for table in part.tables]
    feeds += [item.tensor for item in head.inputs]
    return LoadedPlan(plan, parts, session.prepare(feeds, [head.output], label="the head of the plan"))


def keep_if_it_loads(session: Session, plan: Plan | NotPlanned, folder: Path) -> Plan | NotPlanned:
    """`plan`, which lies in `folder`, if it loads; otherwise the reason takes its place: no run tries again."""
    if isinstance(plan, NotPlanned):
        return plan
    try:
        load_plan(session, plan)
    except ModelError as error:
        refused = NotPlanned(plan.signature, plan.score_output, error.in_one_line(), plan.tensorflow_version)
        write_plan(folder, refused)
        return refused
    return plan
