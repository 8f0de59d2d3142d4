"""Whether the scores say anything about the user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from batchscore.errors import format_value
from batchscore.report_parts import KnownIds
from batchscore.scoring.guard.verdict import EXAMPLES, Refusal, Verdict, format_limit, format_share
from batchscore.scoring.rank.lists import RankedLists
from batchscore.scoring.rank.pair_sample import find_starts
from batchscore.settings.run import RunSettings

_MIN_USERS = 10


@dataclass(frozen=True)
class NonPersonalizedLists:
    """`one_score` of the `compared` candidates have one score, the caller that of their users it is for."""

    compared: int
    one_score: int


def check_personalization(
    sample: np.ndarray, lists: RankedLists, known_users: KnownIds, settings: RunSettings
) -> Verdict:
    """Whether the model looked at the user at all, by the pairs of some candidates. E-IDENTICAL-LISTS."""
    name, limit = "max_identical_lists", settings.max_identical_lists
    found = compare_users(sample)
    if found is None:
        return Verdict(name, None, str(limit), reason=f"fewer than {_MIN_USERS} users share candidates")
    share = found.one_score / found.compared
    refusal = Refusal(
        "E-IDENTICAL-LISTS",
        f"the scores ignore the user: {found.one_score:,} of {found.compared:,} candidates have the same "
        "score for all "
        f"their users ({format_share(share)}, limit {format_limit(limit)}).",
        where=settings.input,
        found="no user is known to the model" if known_users.unknown_share == 1 else None,
        examples=lambda: _find_examples(lists),
        advice="check that the user column feeds the model (bindings in the report) and that the model was trained "
        "on it",
        accept="--max-identical-lists off",
    )
    return Verdict(name, share, str(limit), refusal=refusal if limit.exceeded_by(share) else None)


def compare_users(sample: np.ndarray) -> NonPersonalizedLists | None:
    """Compare the scores that each candidate of a `PairSample`'s rows has for its users.

    A candidate is compared if the model was fed something else for one of its users than for another. It has one
    score if they are equal bit for bit: whatever depends on the user, be it by a segment alone, gives some of its
    candidates several. None if fewer than 10 users can be compared: their scores may be equal by chance.
    """
    starts = find_starts(sample["group"])
    if not len(starts):
        return None
    compared = _varies(sample["fed"], starts)
    users = np.repeat(compared, np.diff(starts, append=len(sample)))
    if len(np.unique(sample["member"][users])) < _MIN_USERS:
        return None
    one_score = compared & ~_varies(sample["score"], starts)
    return NonPersonalizedLists(int(compared.sum()), int(one_score.sum()))


def _varies(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    varies: np.ndarray = np.minimum.reduceat(values, starts) != np.maximum.reduceat(values, starts)
    return varies


def _find_examples(lists: RankedLists) -> list[str]:
    """Candidates that stand in several lists with one score."""
    found = (
        lists.frame.lazy()
        .group_by("candidate")
        .agg(pl.len().alias("users"), pl.col("score").n_unique().alias("scores"), pl.col("score").first())
        .filter(pl.col("users") > 1, pl.col("scores") == 1)
        .sort(["users", "candidate"], descending=[True, False])
        .head(EXAMPLES)
        .collect()
    )
    return [f"candidate {format_value(row['candidate'])}: {row['score']:.6g} for {row['users']:,} users"
            for row in found.rows(named=True)]  # fmt: skip
