"""How many lists could have been made without knowing the user."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import polars as pl

from batchscore.config import RunSettings
from batchscore.scoring.guard.verdict import EXAMPLES, Refusal, Verdict, format_limit, format_share
from batchscore.scoring.topn import RankedLists

_LEAST_USERS = 10
_SAMPLED_USERS = 20_000


def check_identical_lists(lists: RankedLists, settings: RunSettings) -> Verdict:
    """Whether the model looked at the user at all. E-IDENTICAL-LISTS."""
    limit = settings.max_identical_lists
    found = count_non_personalized(lists.frame.select("user", "candidate", "score", "rank"))
    if found is None:
        return Verdict("max_identical_lists", None, str(limit))
    share = found.count / found.compared
    refusal = Refusal(
        "E-IDENTICAL-LISTS",
        f"{found.count:,} of {found.compared:,} users have a list that ignores the user "
        f"({format_share(share)}, limit {format_limit(limit)}).",
        where=settings.input,
        found="the same scores for the same candidates, whoever the user is",
        examples=lambda: [f"user {user!r}: {_format_list(lists, user)}" for user in found.examples[:EXAMPLES]],
        advice="check that the user column feeds the model (bindings in the report) and that the model was trained "
        "on it",
        accept="--max-identical-lists off",
    )
    refused = limit.exceeded(found.count, found.compared)
    return Verdict("max_identical_lists", share, str(limit), refusal=refusal if refused else None)


def _format_list(lists: RankedLists, user: str | int) -> str:
    rows = lists.frame.filter(lists.frame["user"] == user).head(EXAMPLES).rows(named=True)
    return ", ".join(f"{row['candidate']!r} {row['score']:.6g}" for row in rows)


@dataclass(frozen=True)
class NonPersonalizedLists:
    """`count` of the `compared` users have a non-personalized list; `examples` are some of them."""

    compared: int
    count: int
    examples: list[str | int]


def count_non_personalized(lists: pl.DataFrame) -> NonPersonalizedLists | None:
    """Count the users whose list a model that ignores the user would have made too.

    `lists` has columns `user`, `candidate`, `score`, `rank`, rows by user, then rank. Candidates differ from user
    to user, so lists as a whole may differ although nobody looked at the user. What tells is the score: a user is
    compared if some of the list's candidates stand in lists of others, and the list is non-personalized if each of
    these has there, at least once, the very same score (bit for bit).

    Where scores are coarse (fewer than half as many scores as candidates), equal scores mean little; then only a
    list that is the most common one as a whole (candidates and scores, in order) is non-personalized.

    At most 20,000 users, evenly spread, are looked at. None where fewer than 10 can be compared: a handful of lists
    may be equal by chance.
    """
    rows = _sample(lists).with_columns(
        in_lists=pl.len().over("candidate"), with_score=pl.len().over("candidate", "score")
    )
    comparable = rows.filter(pl.col("in_lists") > 1)
    users = comparable.group_by("user", maintain_order=True).agg(non_personalized=(pl.col("with_score") > 1).all())
    if users.height < _LEAST_USERS:
        return None
    if comparable["score"].n_unique() * 2 < comparable["candidate"].n_unique():
        found = _with_most_common_list(rows)
    else:
        found = users.filter(pl.col("non_personalized"))["user"].to_list()
    return NonPersonalizedLists(users.height, len(found), found)


def _sample(lists: pl.DataFrame) -> pl.DataFrame:
    number = (lists["rank"] == 1).cum_sum()
    users = int(number[-1]) if len(number) else 0
    step = -(-users // _SAMPLED_USERS)
    return lists.filter(number % step == 0) if step > 1 else lists


def _with_most_common_list(rows: pl.DataFrame) -> list[str | int]:
    lists = rows.group_by("user", maintain_order=True).agg("candidate", "score")
    keys = [
        tuple(map(tuple, pair)) for pair in zip(lists["candidate"].to_list(), lists["score"].to_list(), strict=True)
    ]
    common, count = Counter(keys).most_common(1)[0]
    if count == 1:
        return []
    return [user for user, key in zip(lists["user"].to_list(), keys, strict=True) if key == common]
