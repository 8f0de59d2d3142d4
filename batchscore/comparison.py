"""Comparing two outputs. Near ties never count as a difference, a real swap always does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from batchscore.columns import RANK, SCORE
from batchscore.runtime.tolerance import score_tolerance


@dataclass(frozen=True)
class _Entry:
    candidate: Any
    rank: int
    score: float
    kept: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.candidate!r} (rank {self.rank}, score {self.score:.9g})"


def compare_ranked(expected: pa.Table, found: pa.Table, *, tolerance: float | None = None) -> list[str]:
    """Differences between two outputs of one schema, a line each, users ascending; empty where there are none.

    Columns are user, candidate, `score`, `rank` and the kept columns; rows of a user stand in the order of their
    rank. A score may differ by `tolerance` (default: `score_tolerance` of the expected scores). Two candidates may
    change places, and at the cut of a full list one may give way to another, where their expected scores lie
    within the tolerance. All else must be equal. The longest expected list tells how long a full list is.
    """
    user_column, candidate_column = expected.column_names[:2]
    if tolerance is None:
        tolerance = score_tolerance(expected.column(SCORE).to_numpy())
    before, after = _lists(expected), _lists(found)
    full = max(map(len, before.values()), default=0)
    differences = []
    for user in sorted(before.keys() | after.keys()):
        if user not in after:
            lines = ["is missing"]
        elif user not in before:
            lines = ["is not expected"]
        else:
            lines = list(_compare_lists(before[user], after[user], tolerance, full=len(before[user]) == full))
        differences += [f"{user_column} {user!r}: {line}" for line in lines]
    return [line.replace(": candidate ", f": {candidate_column} ") for line in differences]


def _lists(table: pa.Table) -> dict[Any, list[_Entry]]:
    lists: dict[Any, list[_Entry]] = defaultdict(list)
    score, rank = table.column_names.index(SCORE), table.column_names.index(RANK)
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        kept = tuple(value for index, value in enumerate(row) if index not in (0, 1, score, rank))
        lists[row[0]].append(_Entry(row[1], row[rank], row[score], kept))
    return lists


def _compare_lists(before: list[_Entry], after: list[_Entry], tolerance: float, *, full: bool) -> Iterator[str]:
    if [entry.rank for entry in after] != list(range(1, len(after) + 1)):
        yield f"ranks {[entry.rank for entry in after]}, expected 1, 2, 3 and so on"
    expected = {entry.candidate: entry for entry in before}
    found = {entry.candidate: entry for entry in after}
    if len(found) != len(after):
        yield "a candidate stands twice in the list"
    if len(before) != len(after):
        yield f"{len(after)} candidates, expected {len(before)}"
    cut = before[-1].score
    exchangeable = full and len(found) == len(before)
    for entry in before:
        now = found.get(entry.candidate)
        if now is not None:
            yield from _compare_entries(entry, now, tolerance)
        elif not (exchangeable and abs(entry.score - cut) <= tolerance):
            yield f"candidate {entry} is missing"
    for entry in after:
        if entry.candidate not in expected and not (exchangeable and abs(entry.score - cut) <= tolerance):
            yield f"candidate {entry} is not expected"
    yield from _swaps(expected, after, tolerance)


def _compare_entries(before: _Entry, now: _Entry, tolerance: float) -> Iterator[str]:
    difference = abs(now.score - before.score)
    if not difference <= tolerance:
        yield (
            f"candidate {before.candidate!r}: score {now.score:.9g}, expected {before.score:.9g} "
            f"(difference {difference:.3g}, tolerance {tolerance:.3g})"
        )
    if now.kept != before.kept:
        yield f"candidate {before.candidate!r}: kept {now.kept}, expected {before.kept}"


def _swaps(expected: Mapping[Any, _Entry], after: list[_Entry], tolerance: float) -> Iterator[str]:
    """Candidates that stand behind one whose expected score is lower by more than the tolerance."""
    lowest: _Entry | None = None
    for entry in (expected[item.candidate] for item in after if item.candidate in expected):
        if lowest is None or entry.score < lowest.score:
            lowest = entry
        elif entry.score - lowest.score > tolerance:
            yield (
                f"candidate {lowest.candidate!r} stands before {entry.candidate!r}, expected after it "
                f"(score gap {entry.score - lowest.score:.3g}, tolerance {tolerance:.3g})"
            )
