from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.arrays.tolerance import score_tolerance
from batchscore.errors import InputError, RefusedError, UsageError
from batchscore.outputs import blocks
from batchscore.outputs import rows as rows_of_outputs
from batchscore.outputs.diff import diff
from batchscore.outputs.difference import Difference
from batchscore.outputs.difference_text import describe_difference
from batchscore.settings.lists import DiffSettings
from batchscore.settings.resolve import resolve

TEXT = pa.string()
SCORES = {"a": 9.0, "b": 8.0, "c": 7.0, "d": 6.0, "e": 5.0}


def lists(**users: dict[str, float]) -> list[tuple]:
    """Rows of each user's candidates in the order of their scores; equal scores in the order given."""
    rows = []
    for user, scores in sorted(users.items()):
        order = sorted(scores.items(), key=lambda item: -np.float32(item[1]))
        rows += [(user, candidate, score, rank) for rank, (candidate, score) in enumerate(order, 1)]
    return rows


def save(path, rows, *, user=TEXT, candidate=TEXT, names=("user_id", "item_id"), **options):
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 4
    types = [user, candidate, pa.float32(), pa.int32()]
    arrays = [pa.array(values, type_) for values, type_ in zip(columns, types, strict=True)]
    pq.write_table(pa.table(arrays, names=[*names, "score", "rank"]), path, **options)
    return path


@pytest.fixture
def compare(tmp_path):
    def run(old, new, **limits) -> Difference:
        return diff(
            resolve(
                DiffSettings,
                "diff",
                {
                    "old": save(tmp_path / "old.parquet", old),
                    "new": save(tmp_path / "new.parquet", new),
                    **limits,
                },
            ).settings
        )

    return run


def exceeded(difference: Difference) -> list[str]:
    return [limit.name for limit in difference.limits if not limit.ok]


def swap(scores: dict[str, float], one: str, other: str) -> dict[str, float]:
    return scores | {one: scores[other], other: scores[one]}


def test_equal_outputs_are_the_same(compare):
    difference = compare(lists(u1=SCORES, u2=SCORES), lists(u1=SCORES, u2=SCORES))
    assert exceeded(difference) == []
    assert difference.exit_code == 0
    assert (difference.overlap, difference.near_ties, difference.score_shift_largest) == (1.0, 0, 0.0)
    difference.require_within_limits()


def test_a_near_tie_never_counts(compare):
    old = SCORES | {"c": 8.0 - 1e-5}
    new = SCORES | {"c": 8.0 + 1e-5}
    difference = compare(lists(u1=old, u2=SCORES), lists(u1=new, u2=SCORES))
    assert exceeded(difference) == []
    assert (difference.users_near_tied, difference.users_changed, difference.near_ties) == (1, 0, 2)
    assert difference.examples.near_ties == [
        "user u1: candidates b and c swapped at rank 2, score gap 1e-05 (near tie)"
    ]


def test_a_real_swap_counts_although_every_rank_keeps_its_score(compare):
    difference = compare(lists(u1=SCORES, u2=SCORES), lists(u1=SCORES, u2=swap(SCORES, "a", "b")))
    assert exceeded(difference) == ["max-changed-users", "max-changed-first", "max-score-shift"]
    assert difference.examples.changed == ["user u2: candidates a and b swapped at rank 1, score gap 1"]
    with pytest.raises(RefusedError) as refused:
        difference.require_within_limits()
    assert refused.value.exit_code == 6
    assert str(refused.value) == (
        "E-DIFF-USERS-CHANGED: the outputs differ: 3 of 6 limits exceeded\n"
        f"  where:    {difference.new.path} compared with {difference.old.path}\n"
        "    max-changed-users: 1 of 2 (50.0 %), limit 0\n"
        "    max-changed-first: 1 of 2 (50.0 %), limit 0\n"
        f"    max-score-shift: 1, limit tolerance ({difference.tolerance:.3g})\n"
        "  next:     check the examples; accept with --max-changed-users off --max-changed-first off "
        "--max-score-shift off"
    )


def test_a_tie_in_one_file_alone_is_a_real_swap(compare):
    old = SCORES | {"c": 8.0 - 1e-5}
    new = SCORES | {"c": 8.5}
    difference = compare(lists(u1=old), lists(u1=new), max_score_shift="off")
    assert exceeded(difference) == ["max-changed-users"]


@pytest.mark.parametrize(
    ("candidate", "score", "changed"),
    [("x", 5.0, 0), ("x", 5.0001, 0), ("x", 5.1, 1), ("x", 4.9, 1)],
)
def test_at_the_cut_of_a_full_list_only_near_ties_give_way(compare, candidate, score, changed):
    new = {name: value for name, value in SCORES.items() if name != "e"} | {candidate: score}
    assert compare(lists(u1=SCORES), lists(u1=new)).users_changed == changed


def test_above_the_cut_nothing_gives_way(compare):
    new = {name: value for name, value in SCORES.items() if name != "b"} | {"x": 8.0}
    difference = compare(lists(u1=SCORES), lists(u1=new))
    assert exceeded(difference) == ["max-changed-users"]
    assert difference.examples.changed == ["user u1: candidate b (score 8) left rank 2 to x (score 8)"]
    assert difference.overlap == pytest.approx(0.8)


def test_in_a_short_list_nothing_gives_way(compare):
    short = {"a": 2.0, "b": 1.0}
    difference = compare(lists(u1=SCORES, u2=short), lists(u1=SCORES, u2={"a": 2.0, "x": 1.0}))
    assert difference.users_changed == 1


def test_a_list_that_got_shorter_is_a_real_difference(compare):
    shorter = {name: value for name, value in SCORES.items() if name != "e"}
    difference = compare(lists(u1=SCORES, u2=SCORES), lists(u1=shorter, u2=SCORES))
    assert exceeded(difference) == ["max-changed-users"]
    assert difference.examples.changed == ["user u1: the list ends before rank 5; candidate e was there"]
    back = compare(lists(u1=shorter, u2=SCORES), lists(u1=SCORES, u2=SCORES))
    assert back.examples.changed == ["user u1: candidate e at rank 5 is new; the list ended before it it it"]


def test_users_lost_and_gained(compare):
    difference = compare(lists(u1=SCORES, u2=SCORES), lists(u2=SCORES, u3=SCORES, u4=SCORES))
    assert exceeded(difference) == ["max-users-lost", "max-users-gained"]
    assert (difference.examples.users_lost, difference.examples.users_gained) == (["u1"], ["u3", "u4"])
    assert (difference.old.users, difference.new.users, difference.users_in_both) == (2, 3, 1)


def test_limits_accept_what_they_allow(compare):
    old = lists(**{f"u{number}": SCORES for number in range(4)})
    new = lists(**{f"u{number}": SCORES for number in range(3)}, u3=swap(SCORES, "a", "b"))
    assert exceeded(compare(old, new, max_changed_users="25%", max_changed_first="1", max_score_shift="1")) == []
    assert exceeded(compare(old, new, max_changed_users="24%", max_changed_first="0", max_score_shift="0.9")) == [
        "max-changed-users",
        "max-changed-first",
        "max-score-shift",
    ]


@pytest.mark.parametrize(("length", "kept", "limit"), [(20, 19, "95%"), (10, 7, "70%"), (3, 1, "33.333333333333%")])
def test_an_overlap_of_just_the_limit_keeps_it(compare, length, kept, limit):
    old = {f"c{number}": float(-number) for number in range(length)}
    new = {name if number < kept else f"new {name}": score for number, (name, score) in enumerate(old.items())}
    users = {f"u{number}": scores for number in range(3) for scores in [old]}
    found = compare(lists(**users), lists(**dict.fromkeys(users, new)), min_overlap=limit)
    assert found.overlap == pytest.approx(kept / length)
    assert "min-overlap" not in exceeded(found)


def test_overlap_has_a_limit(compare):
    new = {name: value for name, value in SCORES.items() if name != "e"} | {"x": 5.0}
    assert exceeded(compare(lists(u1=SCORES), lists(u1=new), min_overlap="80%")) == []
    assert exceeded(compare(lists(u1=SCORES), lists(u1=new), min_overlap="81%")) == ["min-overlap"]


def test_a_score_shift_counts_where_the_order_is_kept(compare):
    difference = compare(lists(u1=SCORES), lists(u1=SCORES | {"a": 9.5}))
    assert exceeded(difference) == ["max-score-shift"]
    assert difference.score_shift_largest == 0.5
    assert difference.score_shift_mean == pytest.approx(0.1)
    assert difference.examples.shifted == ["user u1: candidate a had score 9, now 9.5 (+0.5)"]


def test_scores_spread_widely_in_one_file_hide_nothing(compare):
    wide = lists(u1=SCORES, u2={"a": 1e9, "b": -1e9, "c": -2e9, "d": -3e9, "e": -4e9})
    assert compare(lists(u1=swap(SCORES, "a", "b")), wide).users_changed == 1


def test_empty_outputs_are_the_same(compare):
    difference = compare([], [])
    assert exceeded(difference) == []
    assert (difference.overlap, difference.score_shift_mean) == (None, None)
    assert "SAME within limits" in describe_difference(difference)


def test_blocks_decide_nothing(compare, monkeypatch):
    draw = random.Random(7)  # noqa: S311 - a fixed seed

    def output(chance: float) -> list[tuple]:
        users = {}
        for number in range(120):
            if draw.random() < 0.9:
                scores = {f"c{item}": round(draw.random() * 3) + number for item in range(draw.randint(1, 8))}
                users[f"u{number:03}"] = {name: score + (draw.random() < chance) for name, score in scores.items()}
        return lists(**users)

    old, new = output(0.0), output(0.3)
    whole = compare(old, new)
    assert whole.users_changed > 10
    for rows in (1, 2, 7, 50):
        monkeypatch.setattr(blocks, "BLOCK_ROWS", rows)
        monkeypatch.setattr(rows_of_outputs, "_BATCH_ROWS", 3)
        found = compare(old, new)
        assert found.overlap == pytest.approx(whole.overlap)
        assert found.score_shift_mean == pytest.approx(whole.score_shift_mean)
        sums = {"overlap": whole.overlap, "score_shift_mean": whole.score_shift_mean, "limits": whole.limits}
        assert found.model_copy(update=sums) == whole


def test_integer_users_are_ordered_by_value(tmp_path):
    rows = [(user, 2**53 + 1, 1.0, 1) for user in (-3, 9, 10)]
    one = save(tmp_path / "one.parquet", rows, user=pa.int64(), candidate=pa.int64())
    other = save(tmp_path / "other.parquet", rows[:2], user=pa.int64(), candidate=pa.int64())
    difference = diff(DiffSettings(old=one, new=other))
    assert difference.examples.users_lost == [10]
    assert json.loads(difference.to_json())["examples"]["users_lost"] == [10]


def test_the_text_reads_at_a_glance(compare):
    tied = SCORES | {"d": 5.00001}, SCORES | {"d": 4.99999}
    difference = compare(
        lists(u1=SCORES, u2=SCORES, u3=tied[0]), lists(u1=swap(SCORES, "a", "b"), u3=tied[1]), max_users_lost="50%"
    )
    old, new = difference.old.path, difference.new.path
    expected = f"""\
DIFFERENT: 3 of 6 limits exceeded
OLD  {old}  3 users, 15 rows
NEW  {new}  2 users, 10 rows

users lost     1 of 3 (33.3 %)  limit 50%
users gained   0 of 3 (0.0 %)   limit 0
lists changed  1 of 2 (50.0 %)  limit 0  <- exceeded
first places   1 of 2 (50.0 %)  limit 0  <- exceeded
overlap@5      100.00 %         limit 0%
score shift    1, mean -2e-06   limit tolerance ({difference.tolerance:.3g})  <- exceeded
near ties      2, the only difference of 1 lists (never count)

users lost, such as
  u2

lists changed, such as
  user u1: candidates a and b swapped at rank 1, score gap 1

scores shifted, such as
  user u1: candidate a had score 9, now 8 (-1)
  user u1: candidate b had score 8, now 9 (+1)

near ties, such as
  user u3: candidates d and e swapped at rank 4, score gap 1e-05 (near tie)"""
    assert describe_difference(difference) == expected


@pytest.mark.parametrize(
    ("rows", "law"),
    [
        ([("u1", "a", 1.0, 2)], "ranks count 1, 2, 3 within each user"),
        ([("u1", "a", 1.0, 1), ("u1", "b", 0.0, 3)], "ranks count 1, 2, 3 within each user"),
        ([("u1", "a", 1.0, 1), ("u1", "b", 2.0, 2)], "scores do not rise within a list"),
        ([("u2", "a", 1.0, 1), ("u1", "b", 2.0, 1)], "users stand in ascending order"),
        ([("u1", "a", float("nan"), 1)], "scores are finite numbers"),
        ([("u1", "a", 1.0, 1), ("u1", "a", 1.0, 2)], "a candidate once in each list"),
        ([(None, "a", 1.0, 1)], "no null in the first four columns"),
    ],
)
def test_what_no_run_publishes_is_refused(compare, rows, law):
    with pytest.raises(InputError) as refused:
        compare(lists(u1=SCORES), rows)
    assert refused.value.error_id == "E-RANKED-FILE"
    assert f"expected: {law}\n" in str(refused.value)


def test_the_first_wrong_row_is_named(compare, monkeypatch):
    monkeypatch.setattr(rows_of_outputs, "_BATCH_ROWS", 2)
    rows = [("u1", "a", 3.0, 1), ("u1", "b", 2.0, 2), ("u1", "c", 1.0, 3), ("u1", "d", 0.5, 5)]
    with pytest.raises(InputError, match=r"found:    row 3: user u1, candidate d, score 0.5, rank 5\n"):
        compare(rows, rows)


def test_ids_of_any_length_leave_messages_short(compare):
    long = "x" * 500_000
    with pytest.raises(InputError) as refused:
        compare([(long, long, 3.0, 1)], [(long, long, 3.0, 2)])
    assert len(str(refused.value)) < 1_000
    with pytest.raises(InputError) as refused:
        compare([(long, long, 3.0, 1), (long, long, 2.0, 2)], [])
    assert "more than once" in str(refused.value)
    assert len(str(refused.value)) < 1_000
    old, new = lists(**{long: {long: 9.0, "b": 1.0}}, lost=SCORES), lists(**{long: {"b": 9.0, f"{long}y": 1.0}})
    assert len(describe_difference(compare(old, new))) < 3_000


def test_other_columns_are_refused(tmp_path):
    rows = lists(u1=SCORES)
    one = save(tmp_path / "one.parquet", rows)
    other = save(tmp_path / "other.parquet", rows, names=("uid", "item_id"))
    with pytest.raises(InputError) as refused:
        diff(DiffSettings(old=one, new=other))
    assert str(refused.value).startswith(
        "E-DIFF-COLUMNS: the two outputs have different user or candidate columns\n"
        f"  where:    {other}\n  found:    uid string, item_id string\n"
        f"  expected: user_id string, item_id string, as in {one}\n"
    )


def test_text_layout_and_dictionaries_do_not_matter(tmp_path):
    rows = lists(u1=SCORES)
    one = save(tmp_path / "one.parquet", rows)
    other = save(
        tmp_path / "other.parquet", rows, user=pa.large_string(), candidate=pa.dictionary(pa.int32(), pa.string())
    )
    assert exceeded(diff(DiffSettings(old=one, new=other))) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "No such file"), (b"", "0 bytes"), (b"user,candidate\n", "Parquet"), (b"PAR1" + b"x" * 99, "Parquet")],
)
def test_no_parquet_is_refused(tmp_path, content, found):
    good = save(tmp_path / "good.parquet", lists(u1=SCORES))
    path = tmp_path / "bad.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        diff(DiffSettings(old=path, new=good))
    assert refused.value.error_id == "E-RANKED-FILE"
    assert str(path) in str(refused.value)
    assert found in str(refused.value)


def test_pairs_are_no_output(tmp_path):
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"user_id": ["u1"], "movie_id": ["a"]}), path)
    with pytest.raises(InputError, match="found:    user_id string, movie_id string\n"):
        diff(DiffSettings(old=path, new=path))


def test_a_flipped_bit_is_found(tmp_path):
    rows = lists(**{f"u{number:03}": SCORES for number in range(200)})
    good = save(tmp_path / "good.parquet", rows, write_page_checksum=True)
    data = bytearray(good.read_bytes())
    data[200] ^= 1
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(data)
    with pytest.raises(InputError) as refused:
        diff(DiffSettings(old=good, new=bad))
    assert refused.value.error_id == "E-RANKED-FILE"


@pytest.mark.parametrize(
    "limits", [{"min_overlap": "3"}, {"max_score_shift": "-1"}, {"max_score_shift": "nan"}, {"max_users_lost": "x"}]
)
def test_limits_that_are_none_are_refused(compare, limits):
    with pytest.raises(UsageError):
        compare([], [], **limits)


@pytest.mark.parametrize("batch_rows", [1, 3, 1000])
def test_the_tolerance_is_that_of_all_scores(tmp_path, monkeypatch, batch_rows):
    monkeypatch.setattr(rows_of_outputs, "_BATCH_ROWS", batch_rows)
    draw = np.random.default_rng(5)
    scores = np.sort(draw.normal(1e4, 3, 200).astype(np.float32))[::-1]
    path = save(tmp_path / "a.parquet", [("u", number, score, number + 1) for number, score in enumerate(scores)],
                candidate=pa.int64())  # fmt: skip
    assert rows_of_outputs.open_ranked(path).survey().tolerance == pytest.approx(score_tolerance(scores), rel=1e-9)
