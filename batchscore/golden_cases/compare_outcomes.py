"""Comparing what a run did with what is expected of it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from batchscore.arrays.tolerance import score_tolerance
from batchscore.errors import InputError, format_value, shorten
from batchscore.golden_cases.cases import EXPECTED, EXPECTED_ROWS, invalid_case
from batchscore.golden_cases.outcome import Outcome
from batchscore.golden_cases.text import csv_lines, toml_text
from batchscore.outputs.compare import compare
from batchscore.outputs.difference_text import describe_lists, describe_shift
from batchscore.outputs.rows import ranked_table

EXAMPLES = 10
"""Differences of one kind that are told; of the others only how many there are."""


def compare_outcomes(
    expected: Outcome, found: Outcome, scores: Literal["exact", "close"], rows_path: Path
) -> list[str]:
    """Differences as the lines of a diff, or as `compare_ranked` says them where scores need only be close.

    Ties at the cut are not compared then: whether two scores are equal depends on their last bits. `rows_path` is
    the file of the expected rows. Raises UsageError (E-GOLDEN) as `compare_ranked` does.
    """
    skipped = {"ties_at_cut"} if scores == "close" else set()
    before, after = (
        toml_text({name: fact for name, fact in outcome.facts.items() if name not in skipped}).splitlines(True)
        for outcome in (expected, found)
    )
    differences = _diff(EXPECTED, before, after)
    if expected.rows is None or found.rows is None or expected.rows.schema.names != found.rows.schema.names:
        return differences
    if scores == "close":
        return differences + compare_ranked(expected.rows, found.rows, rows_path, found.computed)
    return differences + _diff(EXPECTED_ROWS, csv_lines(expected.rows), csv_lines(found.rows))


def compare_ranked(
    expected: pa.Table, found: pa.Table, rows_path: Path, computed: Collection[str] = ()
) -> list[str]:
    """Differences between two outputs of one schema, a line each; empty if there are none.

    Users, ranks and scores are compared as `batchscore diff` does by default: near ties never count, everything
    else does. Kept columns of pairs in both outputs must be equal; those named in `computed` come from the model,
    and floats in them may differ by `score_tolerance` of what is expected. Raises UsageError (E-GOLDEN) if what
    is expected is no output that a run publishes.
    """
    try:
        changes = compare(ranked_table(expected, rows_path), ranked_table(found, rows_path), EXAMPLES)
    except InputError as error:
        raise invalid_case(rows_path, *(line.strip() for line in str(error).splitlines()[2:-1])) from error
    lost = [f"user {shorten(user)} is missing" for user in changes.lost]
    gained = [f"user {shorten(user)} is not expected" for user in changes.gained]
    changed = [describe_lists(row) for row in changes.changed]
    shifted = [f"{describe_shift(row)}, tolerance {changes.tolerance:.3g}" for row in changes.shifted]
    return [
        *_told(lost, changes.users_lost, "users are missing"),
        *_told(gained, changes.users_gained, "users are not expected"),
        *_told(changed, changes.users_changed, "lists differ"),
        *_told(shifted, changes.pairs_shifted, "scores differ"),
        *_compare_kept(expected, found, computed),
    ]


def _told(lines: Sequence[str], total: int, what: str) -> Iterator[str]:
    yield from lines
    if total > len(lines):
        yield f"and {total - len(lines):,} more {what}"


def _compare_kept(expected: pa.Table, found: pa.Table, computed: Collection[str]) -> Iterator[str]:
    for name in expected.column_names[4:]:
        before, after = _by_pair(expected, name), _by_pair(found, name)
        floats = name in computed and pa.types.is_floating(expected.schema.field(name).type)
        tolerance = score_tolerance(expected.column(name).drop_null().to_numpy()) if floats else 0.0
        lines = [
            f"user {shorten(user)}: candidate {shorten(candidate)} has {name} "
            f"{format_value(after[user, candidate])}, expected {format_value(value)}"
            for (user, candidate), value in before.items()
            if (user, candidate) in after and not _same(value, after[user, candidate], tolerance)
        ]
        yield from _told(lines[:EXAMPLES], len(lines), f"values of {name} differ")


def _by_pair(table: pa.Table, name: str) -> dict[tuple[Any, Any], Any]:
    users, candidates, values = (table.column(column).to_pylist() for column in (0, 1, name))
    return dict(zip(zip(users, candidates, strict=True), values, strict=True))


def _same(expected: Any, found: Any, tolerance: float) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        both_nan = math.isnan(expected) and math.isnan(found)
        return both_nan or expected == found or abs(expected - found) <= tolerance
    return bool(expected == found)


def _diff(name: str, expected: Sequence[str], found: Sequence[str]) -> list[str]:
    lines = difflib.unified_diff(expected, found, f"{name} (expected)", f"{name} (found)", n=2)
    return [line.rstrip("\n") for line in lines]
