"""Tables of lists that users saw, compared with outputs and with one another, against plain Python."""

from __future__ import annotations

from fractions import Fraction

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.errors import InputError, UsageError
from batchscore.outputs.diff import diff
from batchscore.outputs.difference_text import describe_difference
from batchscore.settings.lists import DiffSettings
from batchscore.settings.resolve import resolve

INT32 = pa.int32()
LISTS = st.dictionaries(
    st.integers(0, 5), st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=5), max_size=5
)


def save_output(path, lists, *, ids=INT32):
    """`{user: [candidate, ...]}` as a run publishes it, the scores 9, 8, 7 and so on."""
    rows = [(user, candidate, 10.0 - rank, rank)
            for user, listed in sorted(lists.items()) for rank, candidate in enumerate(listed, 1)]  # fmt: skip
    types = {"user_id": ids, "item_id": pa.string(), "score": pa.float32(), "rank": pa.int32()}
    columns = list(zip(*rows, strict=True)) or [[]] * 4
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types.values(), strict=True)]
    pq.write_table(pa.table(arrays, names=list(types)), path)
    return path


def save_log(path, lists, order=None, *, scores=False):
    """The same as a log: bigint users, other names, positions from 0 in steps of 10, rows in any order."""
    rows = [(candidate, 10 * position, user, 9.0 - position)
            for user, listed in lists.items() for position, candidate in enumerate(listed)]  # fmt: skip
    rows = rows if order is None else [rows[index] for index in order(len(rows))]
    types = {"film": pa.large_string(), "position": pa.int16(), "uid": pa.int64(), "points": pa.float64()}
    columns = list(zip(*rows, strict=True)) or [[]] * 4
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types.values(), strict=True)]
    table = pa.table(arrays, names=list(types))
    pq.write_table(table if scores else table.drop_columns(["points"]), path)
    return path


NAMES = {"user_column": "uid", "candidate_column": "film", "rank_column": "position", "score_column": "points"}
UNSCORED = {name: column for name, column in NAMES.items() if name != "score_column"}


def compare(old, new, **wanted):
    return diff(resolve(DiffSettings, "diff", {"old": old, "new": new, **wanted}).settings)


def figures(old, new):
    """What a comparison without scores counts."""
    both = sorted(set(old) & set(new))
    changed = [user for user in both if old[user] != new[user]]
    overlaps = [
        Fraction(len(set(old[user]) & set(new[user])), max(len(old[user]), len(new[user]))) for user in both
    ]
    return {
        "users_lost": len(set(old) - set(new)),
        "users_gained": len(set(new) - set(old)),
        "users_in_both": len(both),
        "users_changed": len(changed),
        "first_places_changed": sum(old[user][0] != new[user][0] for user in both),
        "overlap": float(sum(overlaps) / len(both)) if both else None,
        "pairs_in_both": sum(len(set(old[user]) & set(new[user])) for user in both),
        "top_n": max(map(len, [*old.values(), *new.values()]), default=0),
    }


@settings(max_examples=60, deadline=None)
@given(old=LISTS, new=LISTS, data=st.data(), both_logs=st.booleans())
def test_figures_without_scores_are_those_of_plain_python(tmp_path_factory, old, new, data, both_logs):
    folder = tmp_path_factory.getbasetemp()

    def order(rows):
        return data.draw(st.permutations(range(rows)))

    one = save_log(folder / "old.parquet", old, order) if both_logs else save_output(folder / "old.parquet", old)
    found = compare(one, save_log(folder / "new.parquet", new, order), **UNSCORED)
    expected = figures(old, new)
    assert {name: getattr(found, name) for name in expected} == expected
    assert (found.scores_compared, found.near_ties, found.users_near_tied, found.pairs_shifted) == (False, 0, 0, 0)
    assert found.score_shift_mean is found.score_shift_largest is None
    assert (found.old.is_output, found.new.is_output) == (not both_logs, False)


def test_with_scores_in_both_a_table_is_compared_as_an_output_is(tmp_path):
    old, new = {1: ["a", "b"], 2: ["c", "d"]}, {1: ["a", "b"], 2: ["d", "c"]}
    one, other = save_output(tmp_path / "old.parquet", old), save_output(tmp_path / "new.parquet", new)
    log = save_log(tmp_path / "log.parquet", new, reversed_order, scores=True)
    outputs, table = compare(one, other).model_dump(), compare(one, log, **NAMES).model_dump()
    assert (outputs["users_changed"], outputs["pairs_shifted"]) == (1, 2)
    assert table | {"new": None} == outputs | {"new": None}


def reversed_order(rows):
    return list(range(rows))[::-1]


def test_the_text_says_what_was_read_and_that_scores_were_not_compared(tmp_path):
    old = save_output(tmp_path / "old.parquet", {1: ["a", "b", "c"], 2: ["a"], 3: ["b"]})
    new = save_log(tmp_path / "new.parquet", {1: ["b", "a", "d"], 2: ["a"], 4: ["z" * 1000]})
    text = describe_difference(compare(old, new, **UNSCORED)).replace(str(tmp_path), "<folder>")
    assert (
        text
        == """\
DIFFERENT: 4 of 6 limits exceeded
OLD  <folder>/old.parquet  3 users, 5 rows
NEW  <folder>/new.parquet  3 users, 5 rows
     a table of lists: user uid, candidate film, rank position; no scores

users lost     1 of 3 (33.3 %)          limit 0  <- exceeded
users gained   1 of 3 (33.3 %)          limit 0  <- exceeded
lists changed  1 of 2 (50.0 %)          limit 0  <- exceeded
first places   1 of 2 (50.0 %)          limit 0  <- exceeded
overlap@3      83.33 %                  limit 0%
score shift    not compared: no scores  limit tolerance
near ties      not known without scores: every difference counts

users lost, such as
  3

users gained, such as
  4

lists changed, such as
  user 1: candidates a and b swapped at rank 1, score gap 1"""
    )


def test_a_limit_on_scores_that_cannot_be_compared_is_exceeded(tmp_path):
    lists = {1: ["a"]}
    old, new = save_output(tmp_path / "old.parquet", lists), save_log(tmp_path / "new.parquet", lists)
    for most, ok in (("tolerance", True), ("off", True), ("0.5", False)):
        found = compare(old, new, max_score_shift=most, **UNSCORED)
        assert {limit.name: limit.ok for limit in found.limits}["max-score-shift"] == ok


def test_columns_of_other_names_must_be_named(tmp_path):
    lists = {1: ["a"]}
    old, new = save_output(tmp_path / "old.parquet", lists), save_output(tmp_path / "new.parquet", lists)
    pq.write_table(pq.read_table(new).rename_columns(["who", "what", "score", "rank"]), new)
    with pytest.raises(InputError) as refused:
        compare(old, new)
    assert refused.value.error_id == "E-DIFF-COLUMNS"
    assert "--user-column" in str(refused.value)
    assert compare(old, new, user_column="who", candidate_column="what").exit_code == 0


def test_text_is_not_compared_with_numbers(tmp_path):
    old = save_output(tmp_path / "old.parquet", {"1": ["a"]}, ids=pa.string())
    with pytest.raises(InputError) as refused:
        compare(old, save_log(tmp_path / "new.parquet", {1: ["a"]}), **UNSCORED)
    assert refused.value.error_id == "E-DIFF-COLUMNS"
    assert "uid int64" in str(refused.value)


def test_one_column_is_not_named_twice():
    with pytest.raises(UsageError, match="'x' is named as more than one of user, candidate, rank and score"):
        compare("old", "new", rank_column="x", score_column="x")
