from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from batchscore.errors import InputError
from batchscore.interactions import prepared
from batchscore.interactions.read import Interactions
from batchscore.interactions.splits import split_interactions
from batchscore.settings.train import TrainSettings

NOWHERE = Path("/nowhere/at/all")


def interactions(users, moments=None, work=NOWHERE, chunk_rows=7):
    """Row n has the label n, by which it is told; the rows come in several chunks."""
    columns = {
        "user_id": pa.array(users, pa.large_string() if users and isinstance(users[0], str) else pa.int64()),
        "movie_id": pa.array(range(len(users)), pa.int64()),
        "user_rating": pa.array(range(len(users)), pa.float32()),
    }
    if moments is not None:
        columns["at"] = pa.array(moments, pa.int64())
    table = pa.table(columns)
    return Interactions(pa.Table.from_batches(table.to_batches(max_chunksize=chunk_rows), table.schema), work)


def train_settings(moments=None, **more):
    timestamp = {} if moments is None else {"timestamp_column": "at"}
    return TrainSettings(input=Path("rows.parquet"), output=Path("model"), **timestamp, **more)


def parts_of(split):
    """The row numbers of the three parts."""
    return tuple(
        list(map(int, part["user_rating"].to_pylist()))
        for part in (split.training, split.validation, split.held_out)
    )


def split(users, moments=None, **more):
    return parts_of(split_interactions(interactions(users, moments), train_settings(moments, **more)))


ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=1, max_size=60)
SHARE = st.floats(0.02, 0.9)
CHOSEN = st.one_of(
    st.fixed_dictionaries({"split": st.sampled_from(["random", "time"]), "held_out": SHARE}),
    st.fixed_dictionaries({"split": st.just("last"), "last": st.integers(1, 4)}),
)
STOPPED = st.one_of(st.just({"patience": 0}), st.fixed_dictionaries({"patience": st.just(1), "validation": SHARE}))
HOW = st.builds(lambda chosen, stopped, seed: chosen | stopped | {"seed": seed}, CHOSEN, STOPPED, st.integers(0, 3))


@given(ROWS, HOW)
@settings(max_examples=150)
def test_no_row_is_lost_or_in_two_parts_and_none_of_the_future_in_an_earlier_part(rows, how):
    users, moments = map(list, zip(*rows, strict=True))
    given_moments = None if how["split"] == "random" else moments
    assume(not is_refused(users, given_moments, **how))
    training, validation, held_out = split(users, given_moments, **how)
    assert sorted(training + validation + held_out) == list(range(len(rows)))
    for part in (training, validation, held_out):
        assert part == sorted(part)
    assert training
    assert held_out
    assert bool(validation) == bool(how["patience"])
    chain = [part for part in (training, validation, held_out) if part]
    for earlier, later in pairwise(chain):
        if how["split"] == "time":
            assert max(moments[row] for row in earlier) < min(moments[row] for row in later)
        elif how["split"] == "last":
            newest, oldest = defaultdict(lambda: (-1, -1)), {}
            for row in earlier:
                newest[users[row]] = max(newest[users[row]], (moments[row], row))
            for row in later:
                oldest[users[row]] = min(oldest.get(users[row], (99, 0)), (moments[row], row))
            assert all(newest[user] < oldest[user] for user in oldest)


def is_refused(*rows, **how):
    try:
        split(*rows, **how)
    except InputError as error:
        return error.error_id == "E-INTERACTIONS"
    return False


@given(ROWS, st.integers(1, 4), st.integers(0, 1), SHARE)
def test_a_split_is_refused_only_where_it_cannot_be_made(rows, last, patience, share):
    users, moments = map(list, zip(*rows, strict=True))
    enough = max(Counter(users).values()) > last * (1 + patience)
    assert is_refused(users, moments, split="last", last=last, patience=patience) == (not enough)
    assert is_refused(users, moments, split="time", held_out=share) == (len(set(moments)) < 2)


def test_at_random_about_the_share_is_held_out_and_the_seed_decides_which():
    users = list(range(4000))
    training, validation, held_out = split(users, seed=3)
    assert validation == []
    assert len(held_out) == pytest.approx(800, abs=100)
    assert len(set(held_out) & set(split(users, seed=4)[2])) == pytest.approx(160, abs=60)
    training, validation, also_held_out = split(users, seed=3, patience=2, validation=0.25)
    assert also_held_out == held_out
    assert len(validation) == pytest.approx(800, abs=100)
    assert sorted(training + validation + held_out) == users


@pytest.mark.parametrize("kind", [int, "u{}".format])
def test_a_pair_keeps_its_part_whatever_is_added_before_and_behind_it(kind):
    users = [kind(number % 7) for number in range(300)]
    few = interactions(users)
    more = few.rows.slice(120)
    grown = Interactions(
        pa.concat_tables([more, interactions([kind(9)] * 500).rows.slice(301), few.rows.slice(0, 120)]), NOWHERE
    )
    chosen = train_settings(seed=5, patience=1)
    before, after = (split_interactions(rows, chosen) for rows in (few, grown))
    for part in ("training", "validation", "held_out"):
        pairs = [set(zip(rows["user_id"].to_pylist(), rows["movie_id"].to_pylist(), strict=True))
                 for rows in (getattr(before, part), getattr(after, part))]  # fmt: skip
        assert pairs[0] <= pairs[1]


def test_rows_of_one_pair_stay_together_at_random():
    rows = interactions(["a", "b"] * 100)
    same = rows.rows.set_column(1, "movie_id", pa.array([n // 4 for n in range(200)], pa.int64()))
    divided = split_interactions(Interactions(same, NOWHERE), train_settings())
    pairs = [set(zip(part["user_id"].to_pylist(), part["movie_id"].to_pylist(), strict=True))
             for part in (divided.training, divided.held_out)]  # fmt: skip
    assert all(pairs)
    assert not pairs[0] & pairs[1]


def test_with_a_moment_the_latest_rows_are_held_out_by_default():
    assert split([1] * 10, [9, 0, 8, 1, 7, 2, 6, 3, 5, 4], patience=1, validation=0.25) == (
        [1, 3, 5, 7, 8, 9], [4, 6], [0, 2],
    )  # fmt: skip
    assert split([1] * 10, [9, 0, 8, 1, 7, 2, 6, 3, 5, 4], split="random", seed=3)[2] != [0, 2]


@pytest.mark.parametrize(
    ("moments", "share", "held_out"),
    [
        ([1, 1, 1, 1, 1, 1, 1, 2, 2, 2], 0.2, 3),
        ([1, 1, 1, 1, 1, 1, 1, 2, 2, 3], 0.2, 3),
        ([1, 1, 1, 1, 2, 2, 2, 2, 2, 3], 0.2, 1),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 2], 0.5, 1),
        ([1, 2, 2, 2, 2, 2, 2, 2, 2, 2], 0.1, 9),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.01, 1),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.99, 9),
        ([-5, -5, -4, -4], 0.5, 2),
    ],
)
def test_the_cut_falls_where_the_moment_changes_nearest_to_the_share(moments, share, held_out):
    training, _, latest = split([1] * len(moments), moments, held_out=share)
    assert (len(training), len(latest)) == (len(moments) - held_out, held_out)


def test_the_last_rows_of_each_user_are_held_out_and_the_ones_before_validate():
    users = list("aabacbabd")
    moments = [5, 1, 9, 3, 1, 2, 4, 3, 7]
    # by moment: a has rows 1, 3, 6, 0; b has 5, 7, 2; c and d have one each
    assert split(users, moments, split="last") == ([1, 3, 4, 5, 6, 7, 8], [], [0, 2])
    assert split(users, moments, split="last", patience=1) == ([1, 3, 4, 5, 8], [6, 7], [0, 2])
    assert split(users, moments, split="last", last=3) == ([1, 2, 4, 5, 7, 8], [], [0, 3, 6])
    # without moments the file's order counts
    assert split(users, split="last") == ([0, 1, 2, 3, 4, 5, 8], [], [6, 7])


def test_that_the_order_of_the_file_counts_is_told(caplog):
    split([1, 1, 2, 2], split="last")
    assert "no timestamp_column: a user's newest rows are those that come last in the file" in caplog.text
    caplog.clear()
    split([1, 1, 2, 2], [0, 1, 0, 1], split="last")
    assert caplog.text == ""


def test_the_order_of_the_file_counts_in_long_lists_too():
    users = np.random.default_rng(5).integers(3, size=2_000)
    newest = sorted(int(np.flatnonzero(users == user)[-1]) for user in range(3))
    assert split(users.tolist(), split="last")[2] == newest


def test_of_one_moment_the_row_later_in_the_file_is_newer():
    assert split(list("aaab"), [1, 1, 1, 1], split="last") == ([0, 1, 3], [], [2])


@pytest.mark.parametrize(
    ("users", "moments", "how", "found"),
    [
        ([1, 2], None, {"held_out": 0.001}, "2 rows, 0 of them drawn with held_out 0.001"),
        ([1, 2], None, {"held_out": 0.999}, "2 rows, 2 of them drawn with held_out 0.999"),
        ([1] * 40, None, {"patience": 1, "validation": 0.001}, "0 of them drawn with validation 0.001"),
        ([1] * 9, [3] * 9, {}, "9 rows with the same timestamp, to be divided with held_out 0.2"),
        (
            [1] * 9,
            [1] * 5 + [2] * 4,
            {"patience": 1},
            "5 rows with the same timestamp, to be divided with validation 0.1",
        ),
        ([1, 2, 3], None, {"split": "last"}, "no user with more than 1 row(s) to take the last from"),
        ([1, 1, 1], None, {"split": "last", "last": 2, "patience": 1}, "no user with more than 2 row(s)"),
    ],
)
def test_too_few_rows_to_hold_some_out(users, moments, how, found):
    with pytest.raises(InputError) as caught:
        split(users, moments, **how)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-INTERACTIONS", 3)
    assert found in str(caught.value)


@pytest.mark.parametrize("how", ["random", "time", "last"])
def test_parts_in_files_have_the_rows_of_parts_in_memory(tmp_path, monkeypatch, how):
    random = np.random.default_rng(1)
    users, moments = random.integers(9, size=500).tolist(), random.integers(200, size=500).tolist()
    chosen = train_settings(moments, split=how, patience=1)
    in_memory = split_interactions(interactions(users, moments), chosen)
    assert not NOWHERE.exists()
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", 0)
    mapped = split_interactions(interactions(users, moments, tmp_path / "work", chunk_rows=100), chosen)
    assert {path.stem for path in (tmp_path / "work").iterdir()} == {"training", "validation", "held_out"}
    for name in ("training", "validation", "held_out"):
        assert getattr(mapped, name).equals(getattr(in_memory, name))


def test_the_description_is_that_of_the_training_rows():
    divided = split_interactions(interactions(list("aabbbbbbcd")), train_settings(split="last"))
    assert divided.describe() == {
        "training_rows": 8, "held_out_rows": 2, "users": 4, "candidates": 8, "validation_rows": 0,
    }  # fmt: skip
