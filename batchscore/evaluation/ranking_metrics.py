"""NDCG, average precision, reciprocal rank and recall of ranked lists, by user, from the ranks as they are.

They are those of trec_eval (and so of ir-measures) on the same ranks:

    NDCG@k    sum of gain / log2(rank + 1) over the first k of the list, divided by that of the best list of the
              user's pairs in the truth
    MAP@k     mean of the average precision: precision at each relevant rank up to k, summed, divided by the
              number of all the user's relevant pairs (not by k if that is less)
    MRR       mean of 1 / rank of the first relevant candidate, 0 where the list has none
    recall@k  relevant candidates among the first k, divided by the user's relevant pairs
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from batchscore.arrays.codes import pair_keys
from batchscore.evaluation.truth import Truth


def measure_best_lists(truth: Truth, cutoffs: Sequence[int]) -> dict[int, np.ndarray]:
    """What the best list of each user's pairs gives for each k: its discounted gains, float64 `[user_count]`."""
    worth = np.flatnonzero(truth.gains > 0)
    users, gains = truth.users[worth], truth.gains[worth]
    order = np.lexsort((-gains, users))
    users, gains = users[order], gains[order]
    ranks = _count_within(users, np.ones(len(users), bool))
    best = {}
    for k in cutoffs:
        first = ranks <= k
        discounted = gains[first] / np.log2(ranks[first] + 1)
        best[k] = np.bincount(users[first], weights=discounted, minlength=truth.user_count)
    return best


def measure_lists(
    truth: Truth, best: Mapping[int, np.ndarray], found: np.ndarray, ranks: np.ndarray
) -> dict[str, np.ndarray]:
    """Each metric by user, float64 `[user_count]`: `NDCG@k`, `MAP@k`, `MRR`, `recall@k`, for each k in turn.

    `best` is what `measure_best_lists` gives, and says for which k. `found` are the positions in the truth (each at
    most once) of the listed pairs that stand there, `ranks` their ranks from 1; other listed pairs have no say but
    through the ranks that they take. A user with relevant pairs but none of them listed has 0, a user without
    relevant pairs NaN. NDCG is NaN too if no pair is worth anything (a threshold at or below 0).
    """
    users = truth.users[found]
    order = np.lexsort((ranks, users))
    users, ranks, found = users[order], ranks[order].astype(np.float64), found[order]
    relevant = truth.relevant[found]
    seen = _count_within(users, relevant)
    hit_users, hit_ranks, hit_seen = users[relevant], ranks[relevant], seen[relevant]
    counts = np.where(truth.relevant_counts > 0, truth.relevant_counts, np.nan)

    def total(of: np.ndarray, values: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.bincount(of, weights=values, minlength=truth.user_count)
        return sums

    measured: dict[str, np.ndarray] = {}
    for k, ideal in best.items():
        discounted = np.where(ranks <= k, truth.gains[found] / np.log2(ranks + 1), 0)
        with np.errstate(invalid="ignore"):
            ndcg = total(users, discounted) / ideal
        measured[f"NDCG@{k}"] = np.where(np.isnan(counts), np.nan, ndcg)
    for k in best:
        measured[f"MAP@{k}"] = total(hit_users, np.where(hit_ranks <= k, hit_seen / hit_ranks, 0)) / counts
    measured["MRR"] = np.where(
        np.isnan(counts), np.nan, total(hit_users, np.where(hit_seen == 1, 1 / hit_ranks, 0))
    )
    for k in best:
        measured[f"recall@{k}"] = total(hit_users, (hit_ranks <= k).astype(np.float64)) / counts
    return measured


def _count_within(users: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """How many rows of the same user were counted up to and with each row; a user's rows stand together."""
    if not len(users):
        return np.empty(0, np.int64)
    running = np.cumsum(counted)
    first = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]]))
    before = running[first] - counted[first]
    within: np.ndarray = running - np.repeat(before, np.diff(np.append(first, len(users))))
    return within


def rank_pairs(users: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order in which `batchscore run` would list pairs: positions of rows, and their ranks (int32, from 1).

    Ordered by user, then score descending, then candidate ascending, so the codes of candidates must be in the
    order of their ids (`codes.order_of`). Of several rows of a pair the one with the highest score is listed.
    Raises ValueError if a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    order = np.lexsort((candidates, -scores, users))
    keys = pair_keys(users[order], candidates[order])
    if len(np.unique(keys)) < len(keys):
        first = np.zeros(len(keys), bool)
        first[np.unique(keys, return_index=True)[1]] = True  # the first of equals, which has the highest score
        order = order[first]
    return order, _count_within(users[order], np.ones(len(order), bool)).astype(np.int32)
