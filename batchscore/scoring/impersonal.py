"""How many lists could have been made without knowing the user."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import polars as pl

_LEAST_USERS = 10
_SAMPLED_USERS = 20_000


@dataclass(frozen=True)
class Impersonal:
    """`count` of the `compared` users have an impersonal list; `examples` are some of them."""

    compared: int
    count: int
    examples: list[str | int]


def count_impersonal(lists: pl.DataFrame) -> Impersonal | None:
    """Count the users whose list a model that ignores the user would have made too.

    `lists` has columns `user`, `candidate`, `score`, `rank`, rows by user, then rank. Candidates differ from user
    to user, so lists as a whole may differ although nobody looked at the user. What tells is the score: a user is
    compared if some of the list's candidates stand in lists of others, and the list is impersonal if each of these
    has there, at least once, the very same score (bit for bit).

    Where scores are coarse (fewer than half as many scores as candidates), equal scores mean little; then only a
    list that is the most common one as a whole (candidates and scores, in order) is impersonal.

    At most 20,000 users, evenly spread, are looked at. None where fewer than 10 can be compared: a handful of lists
    may be equal by chance.
    """
    rows = _sample(lists).with_columns(
        in_lists=pl.len().over("candidate"), with_score=pl.len().over("candidate", "score")
    )
    comparable = rows.filter(pl.col("in_lists") > 1)
    users = comparable.group_by("user", maintain_order=True).agg(impersonal=(pl.col("with_score") > 1).all())
    if users.height < _LEAST_USERS:
        return None
    if comparable["score"].n_unique() * 2 < comparable["candidate"].n_unique():
        found = _with_most_common_list(rows)
    else:
        found = users.filter(pl.col("impersonal"))["user"].to_list()
    return Impersonal(users.height, len(found), found)


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
