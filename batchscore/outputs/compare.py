"""What changed between two ranked outputs: who came and went, and which lists really differ.

Two candidates that stand at one rank in the old and in the new list are a near tie where their scores lie within
the tolerance of each other in both files; so is one that gave way to another at the cut of a full list, with
a score within the tolerance of the cut. Everything else at a rank is a real difference.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from batchscore.columns import RANK, SCORE, wide_id_type
from batchscore.errors import InputError, shorten
from batchscore.outputs.blocks import pair_blocks
from batchscore.outputs.list_reader import CANDIDATE, USER, ListReader

EXAMPLES = 5
_USER_KEY, _PAIR_KEY = "user_key", "pair_key"


@dataclass
class Changes:
    """Everything counted while two files were compared. Scores and shifts are in float64.

    `users` are those of both files. A pair is a user and a candidate that stand in both files; its shift is the new
    score minus the old. Examples are rows of the tables that `_compare_lists` makes, at most `examples` of a kind.
    """

    top_n: int
    tolerance: float
    scored: bool = True
    """Whether both files have scores; without them no difference is a near tie, and no pair has a shift."""
    examples: int = EXAMPLES
    users: int = 0
    users_lost: int = 0
    users_gained: int = 0
    users_changed: int = 0
    users_near_tied: int = 0
    first_changed: int = 0
    shared: Counter[int] = field(default_factory=Counter)
    """Candidates that a user's two lists share, summed by the length of the longer list."""
    pairs: int = 0
    pairs_shifted: int = 0
    shift_sum: float = 0.0
    shift_largest: float = 0.0
    near_ties: int = 0
    lost: list[str | int] = field(default_factory=list)
    gained: list[str | int] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    near: list[dict[str, Any]] = field(default_factory=list)
    shifted: list[dict[str, Any]] = field(default_factory=list)

    @property
    def overlap(self) -> Fraction | None:
        """Exact mean share of candidates that a user's lists share, of the longer list; None without users."""
        total = sum((Fraction(shared, length) for length, shared in self.shared.items()), Fraction(0))
        return total / self.users if self.users else None


def compare(old: ListReader, new: ListReader, examples: int = EXAMPLES) -> Changes:
    """Compare two outputs in one pass over both, in memory for a few million rows.

    The tolerance is the smaller of those of the two outputs' scores, so that neither can hide a change by scores
    that are spread widely. Raises InputError: E-RANKED-FILE, E-DIFF-COLUMNS.
    """
    _require_comparable(old, new)
    before, after = old.survey(), new.survey()
    changes = Changes(
        max(before.top_n, after.top_n),
        min(before.tolerance, after.tolerance),
        scored=old.scored and new.scored,
        examples=examples,
    )
    for old_rows, new_rows in pair_blocks(old.read(), new.read()):
        old_keyed, new_keyed = _add_keys(*_with_same_ids(old_rows, new_rows))
        _require_distinct(old, old_keyed)
        _require_distinct(new, new_keyed)
        _compare_users(changes, old_keyed, new_keyed, before.top_n, after.top_n)
    return changes


def _require_comparable(old: ListReader, new: ListReader) -> None:
    """Raise InputError (E-DIFF-COLUMNS) if users or candidates of the two files cannot mean the same."""
    found = [f"{field.name} {field.type}" for field in (new.user, new.candidate)]
    expected = [f"{field.name} {field.type}" for field in (old.user, old.candidate)]
    named = old.named | new.named
    same = all(
        (one.name == other.name or not named.isdisjoint((one.name, other.name)))
        and wide_id_type(one.type) == wide_id_type(other.type)
        for one, other in ((old.user, new.user), (old.candidate, new.candidate))
    )
    if not same:
        raise InputError(
            "E-DIFF-COLUMNS",
            "the two outputs have different user or candidate columns",
            where=new.path,
            found=", ".join(found),
            expected=f"{', '.join(expected)}, as in {old.path}",
            next_step="compare lists with the same ids; name other columns with --user-column and "
            "--candidate-column",
        )


def _with_same_ids(old: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both frames with integer ids of one width."""
    widened = [pl.col(name).cast(pl.Int64) for name in (USER, CANDIDATE) if old.schema[name] != new.schema[name]]
    return (old.with_columns(widened), new.with_columns(widened)) if widened else (old, new)


def _add_keys(old: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both frames with _USER_KEY and _PAIR_KEY: integers, equal where ids are equal, and fast to join on."""
    ids = pa.table({name: pl.concat([old[name], new[name]]).to_arrow() for name in (USER, CANDIDATE)})
    users, candidates = (
        column.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64) for column in ids.columns
    )
    keys = pl.DataFrame({_USER_KEY: users, _PAIR_KEY: users << 32 | candidates})
    return old.hstack(keys.head(old.height)), new.hstack(keys.slice(old.height))


def _require_distinct(file: ListReader, rows: pl.DataFrame) -> None:
    if rows[_PAIR_KEY].n_unique() == rows.height:
        return
    user, candidate, *_ = rows.filter(pl.col(_PAIR_KEY).is_duplicated()).row(0)
    raise InputError(
        "E-RANKED-FILE", "this is not an output of batchscore", where=file.path,
        found=f"candidate {shorten(candidate)} occurs more than once in the list of user {shorten(user)}",
        expected="a candidate once in each list",
        next_step="give a file that `batchscore run` published",
    )  # fmt: skip


def _compare_users(changes: Changes, old: pl.DataFrame, new: pl.DataFrame, old_top_n: int, new_top_n: int) -> None:
    """Count users, overlap and shifts of a block, and hand the lists that are not the same on."""
    users = _lists(old, "old").join(_lists(new, "new"), on=[_USER_KEY, USER], how="full", coalesce=True)
    lost = users.filter(pl.col("new_rows").is_null())[USER].sort()
    gained = users.filter(pl.col("old_rows").is_null())[USER].sort()
    users = users.drop_nulls(["old_rows", "new_rows"]).with_columns(
        old_full=pl.col("old_rows") == old_top_n, new_full=pl.col("new_rows") == new_top_n
    )
    changes.users += users.height
    changes.users_lost += len(lost)
    changes.users_gained += len(gained)
    changes.lost += lost.head(changes.examples - len(changes.lost)).to_list()
    changes.gained += gained.head(changes.examples - len(changes.gained)).to_list()

    other = new.select(_PAIR_KEY, pl.col(SCORE, RANK).name.suffix("_new"))
    pairs = old.join(other, on=_PAIR_KEY, how="inner")
    _count_shifts(changes, pairs)
    shared = pairs.group_by(_USER_KEY).agg(shared=pl.len(), in_place=(pl.col(RANK) == pl.col(f"{RANK}_new")).sum())
    users = users.join(shared, on=_USER_KEY, how="left").with_columns(pl.col("shared", "in_place").fill_null(0))
    longer = pl.max_horizontal("old_rows", "new_rows")
    changes.shared.update(dict(users.group_by(longer.alias("length")).agg(pl.col("shared").sum()).iter_rows()))
    differing = users.filter(pl.col("in_place") < longer).drop(USER)
    if differing.height:
        old, new, pairs = (rows.join(differing, on=_USER_KEY, how="semi") for rows in (old, new, pairs))
        _compare_lists(changes, old, new, pairs, differing)


def _lists(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    return rows.group_by(_USER_KEY).agg(
        pl.col(USER).first(), pl.len().alias(f"{name}_rows"), pl.col(SCORE).min().alias(f"{name}_cut")
    )


def _count_shifts(changes: Changes, pairs: pl.DataFrame) -> None:
    changes.pairs += pairs.height
    if not pairs.height or not changes.scored:
        return
    shifts = pairs.with_columns(shift=pl.col(f"{SCORE}_new").cast(pl.Float64) - pl.col(SCORE).cast(pl.Float64))
    size = pl.col("shift").abs()
    total, largest, beyond = shifts.select(
        pl.col("shift").sum(), size.max().alias("largest"), (size > changes.tolerance).sum().alias("beyond")
    ).row(0)
    changes.shift_sum += total
    changes.shift_largest = max(changes.shift_largest, largest)
    changes.pairs_shifted += beyond
    if beyond:
        keys = [size, pl.col(USER), pl.col(CANDIDATE)]
        found = shifts.filter(size > changes.tolerance)
        found = found.top_k(changes.examples, by=keys, reverse=[False, True, True])
        changes.shifted.extend(found.to_dicts())
        changes.shifted.sort(key=lambda row: (-abs(row["shift"]), row[USER], row[CANDIDATE]))
        del changes.shifted[changes.examples :]


def _compare_lists(
    changes: Changes, old: pl.DataFrame, new: pl.DataFrame, pairs: pl.DataFrame, differing: pl.DataFrame
) -> None:
    """Judge each rank at which old and new list hold different candidates.

    At a rank stands candidate `a` of the old list and `b` of the new one; `a_new`, `a_new_rank`, `b_old`,
    `b_old_rank` say where they stand in the other list, null if they do not.
    """
    of_a = pairs.select(_PAIR_KEY, a_new=f"{SCORE}_new", a_new_rank=f"{RANK}_new")
    of_b = pairs.select(_PAIR_KEY, b_old=SCORE, b_old_rank=RANK)
    a = old.join(of_a, on=_PAIR_KEY, how="left").rename({CANDIDATE: "a", SCORE: "a_old"})
    b = new.join(of_b, on=_PAIR_KEY, how="left").rename({CANDIDATE: "b", SCORE: "b_new"})
    ranks = a.join(b.drop(_PAIR_KEY), on=[_USER_KEY, USER, RANK], how="full", coalesce=True)
    ranks = ranks.filter(pl.col("a").ne_missing(pl.col("b"))).join(differing, on=_USER_KEY)
    ranks = ranks.with_columns(near=_near(changes.tolerance) if changes.scored else pl.lit(value=False))
    near = ranks.group_by(_USER_KEY).agg(near=pl.col("near").all())["near"]
    changes.users_changed += int((~near).sum())
    changes.users_near_tied += int(near.sum())
    changes.near_ties += int(ranks["near"].sum())
    changes.first_changed += ranks.filter(~pl.col("near") & (pl.col(RANK) == 1)).height
    for examples, wanted in ((changes.changed, ~pl.col("near")), (changes.near, pl.col("near"))):
        rows = ranks.filter(wanted).bottom_k(changes.examples * (changes.top_n + 1), by=[USER, RANK])
        rows = rows.sort(USER, RANK).unique(USER, keep="first", maintain_order=True)
        examples.extend(rows.head(changes.examples - len(examples)).to_dicts())


def _near(tolerance: float) -> pl.Expr:
    """Whether `a` and `b` may stand for one another at a rank."""

    def close(one: str, other: str) -> pl.Expr:
        return (pl.col(one).cast(pl.Float64) - pl.col(other).cast(pl.Float64)).abs() <= tolerance

    a_gone, b_came = pl.col("a_new").is_null(), pl.col("b_old").is_null()
    same_length = pl.col("a").is_not_null() & pl.col("b").is_not_null()
    at_old_cut = b_came & pl.col("old_full") & close("b_new", "old_cut")
    at_new_cut = a_gone & pl.col("new_full") & close("a_old", "new_cut")
    tied_in_old = at_old_cut | (~b_came & close("a_old", "b_old"))
    tied_in_new = at_new_cut | (~a_gone & close("a_new", "b_new"))
    return (same_length & tied_in_old & tied_in_new).fill_null(value=False)
