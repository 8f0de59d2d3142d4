"""A plan in the session of its model: added to the graph, and every tensor that it names looked up."""

from __future__ import annotations

from dataclasses import dataclass

from batchscore.runtime.plan import Plan
from batchscore.runtime.session import Call, Session


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

    Raises ModelError (E-MODEL-LOAD) where it does not fit.
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
