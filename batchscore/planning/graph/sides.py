"""Which inputs belong together: those that meet before any input of the other side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from batchscore.planning.graph.compiled import is_compiled
from batchscore.planning.graph.draft import Draft


@dataclass(frozen=True)
class Sides:
    """Inputs (placeholder names) in groups, each computed once per distinct tuple; the rest are fed by pair."""

    groups: tuple[frozenset[str], ...]
    direct: frozenset[str]

    def home(self, inputs: frozenset[str]) -> int | None:
        """The group that all of `inputs` belong to; None if they meet only in the head, or are none."""
        return next((i for i, group in enumerate(self.groups) if inputs and inputs <= group), None)


def group_inputs(
    draft: Draft, score: str, inputs: Iterable[str], user_inputs: frozenset[str], candidate_inputs: frozenset[str]
) -> Sides:
    """Group the inputs of `score` in the order in which the graph joins them.

    `user_inputs` and `candidate_inputs` are each one group from the start and never join. Inputs that meet both
    sides at once stay alone: a group of their own, or `direct` where XLA compiles all that is made of them alone.
    """
    closure = draft.closure(score)
    used = [name for name in inputs if name in set(closure)]
    groups = _Groups(used)
    for side in (user_inputs, candidate_inputs):
        groups.join({name for name in used if name in side})
    for name in closure:
        met = draft.inputs_of(draft.nodes[name])
        roots = groups.roots(met)
        if len(roots) > 1 and not (
            roots & groups.roots(user_inputs & set(used)) and roots & groups.roots(candidate_inputs & set(used))
        ):
            groups.join(met)
    found = groups.members()
    named = user_inputs | candidate_inputs
    direct = [group for group in found if not group & named and _is_compiled(draft, closure, group)]
    return Sides(
        tuple(group for group in found if group not in direct),
        frozenset().union(*direct) if direct else frozenset(),
    )


def _is_compiled(draft: Draft, closure: list[str], group: frozenset[str]) -> bool:
    alone = [n for n in closure if (i := draft.facts[f"{n}:0"].inputs) and i <= group and n not in group]
    return bool(alone) and all(is_compiled(draft, name) for name in alone)


class _Groups:
    def __init__(self, names: list[str]) -> None:
        self._root = {name: name for name in names}

    def roots(self, names: Iterable[str]) -> set[str]:
        return {self._root[name] for name in names}

    def join(self, names: Iterable[str]) -> None:
        roots = self.roots(names)
        if roots:
            chosen = min(roots)
            self._root = {name: chosen if root in roots else root for name, root in self._root.items()}

    def members(self) -> list[frozenset[str]]:
        found: dict[str, set[str]] = {}
        for name, root in self._root.items():
            found.setdefault(root, set()).add(name)
        return [frozenset(group) for group in found.values()]
