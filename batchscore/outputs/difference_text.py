"""A difference in words and columns, for a person at three in the morning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from batchscore.columns import RANK, SCORE
from batchscore.errors import shorten
from batchscore.outputs.list_reader import CANDIDATE, USER

if TYPE_CHECKING:
    from batchscore.outputs.difference import ComparedFile, Difference


def describe_lists(row: Mapping[str, Any]) -> str:
    """What happened at a rank of a user's list; `row` is one of `compare.Changes.changed` or `near`."""
    a, b, rank = shorten(row["a"]), shorten(row["b"]), row[RANK]
    tie = " (near tie)" if row["near"] else ""
    if row["b"] is None:
        what = f"the list ends before rank {rank}; candidate {a} was there"
    elif row["a"] is None:
        what = f"candidate {b} at rank {rank} is new; the list ended before it it it"
    elif row["a_new_rank"] is not None and row["a_new_rank"] == row["b_old_rank"]:
        other = row["b_old_rank"]
        ranks = f"rank {rank}" if other == rank + 1 else f"ranks {rank} and {other}"
        gap = None if row["a_old"] is None or row["b_old"] is None else row["a_old"] - row["b_old"]
        what = f"candidates {a} and {b} swapped at {ranks}" + ("" if gap is None else f", score gap {gap:.3g}")
    elif row["a_new_rank"] is None:
        what = f"candidate {a}{_score(row['a_old'])} left rank {rank} to {b}{_score(row['b_new'])}"
    elif row["b_old_rank"] is None:
        what = f"candidate {b}{_score(row['b_new'])} came to rank {rank}, where {a} was"
    else:
        what = f"candidate {b} moved from rank {row['b_old_rank']} to {rank}, where {a} was"
    return f"user {shorten(row[USER])}: {what}{tie}"


def _score(score: float | None) -> str:
    return "" if score is None else f" (score {score:.6g})"


def describe_shift(row: Mapping[str, Any]) -> str:
    """How the score of a pair changed; `row` is one of `compare.Changes.shifted`."""
    return (
        f"user {shorten(row[USER])}: candidate {shorten(row[CANDIDATE])} had score {row[SCORE]:.6g}, "
        f"now {row[f'{SCORE}_new']:.6g} ({row['shift']:+.3g})"
    )


def percent(count: int, total: int) -> str:
    """` (1.5 %)`, or nothing if there is no total."""
    if not total:
        return ""
    share = 100 * count / total
    return f" ({share:.1f} %)" if share >= 0.1 or not count else f" ({share:.1g} %)"  # noqa: PLR2004 - a tenth


def describe_difference(difference: Difference) -> str:
    """The whole difference as text: the verdict, the files, each figure with its limit, examples."""
    return "\n".join(_lines(difference))


def _lines(difference: Difference) -> Iterator[str]:
    exceeded = sum(not limit.ok for limit in difference.limits)
    yield f"DIFFERENT: {exceeded} of {len(difference.limits)} limits exceeded" if exceeded else "SAME within limits"
    yield from _files(difference.old, difference.new)
    yield ""
    labels = {
        "max-users-lost": "users lost",
        "max-users-gained": "users gained",
        "max-changed-users": "lists changed",
        "max-changed-first": "first places",
        "min-overlap": f"overlap@{difference.top_n}",
        "max-score-shift": "score shift",
    }
    figures = {limit.name: limit.figure for limit in difference.limits}
    if difference.score_shift_mean is not None:
        figures["max-score-shift"] += f", mean {difference.score_shift_mean:+.3g}"
    width = max(map(len, figures.values()))
    for limit in difference.limits:
        mark = "" if limit.ok else "  <- exceeded"
        yield f"{labels[limit.name]:<15}{figures[limit.name]:<{width}}  limit {limit.limit}{mark}"
    yield f"{'near ties':<15}{_near_ties(difference)}"
    examples = difference.examples
    for title, items in (
        ("users lost, such as", [*map(shorten, examples.users_lost)]),
        ("users gained, such as", [*map(shorten, examples.users_gained)]),
        ("lists changed, such as", examples.changed),
        ("scores shifted, such as", examples.shifted),
        ("near ties, such as", examples.near_ties),
    ):
        if items:
            yield ""
            yield title
            yield from (f"  {shorten(item) if title.startswith('users') else item}" for item in items)


def _files(old: ComparedFile, new: ComparedFile) -> Iterator[str]:
    width = max(len(old.path), len(new.path))
    for name, file in (("OLD", old), ("NEW", new)):
        kept = f"; not compared: {', '.join(file.not_compared)}" if file.not_compared else ""
        yield f"{name}  {file.path:<{width}}  {file.users:,} users, {file.rows:,} rows{kept}"
        if not file.is_output:
            columns = ", ".join(
                f"{role} {shorten(name)}" for role, name in file.columns.items() if name is not None
            )
            yield f"     a table of lists: {columns}{'' if file.columns[SCORE] else '; no scores'}"


def _near_ties(difference: Difference) -> str:
    if not difference.scores_compared:
        return "not known without scores: every difference counts"
    if not difference.near_ties:
        return "none"
    return f"{difference.near_ties:,}, the only difference of {difference.users_near_tied:,} lists (never count)"
