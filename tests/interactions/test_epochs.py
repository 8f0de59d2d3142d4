from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.interactions.epochs import TrainingLists, draw_generator, draw_others, shuffle_rows
from batchscore.interactions.table_rows import TableRows


def rows_of(windows):
    return [window.rows[batch.places] for window in windows for batch in window.batches]


@given(st.integers(1, 400), st.integers(1, 300), st.integers(1, 50))
def test_every_row_comes_once_in_full_batches(rows, window_rows, batch_rows):
    windows = list(shuffle_rows(rows, window_rows, batch_rows, draw_generator(1, 0)))
    batches = rows_of(windows)
    assert sorted(np.concatenate(batches)) == list(range(rows))
    assert {len(batch) for batch in batches[:-1]} <= {batch_rows}
    assert 0 < len(batches[-1]) <= batch_rows
    assert max(len(window.rows) for window in windows) <= max(2 * window_rows, 2 * batch_rows)


def test_the_seed_and_the_number_of_the_epoch_decide_the_order():
    def order(seed, epoch):
        return np.concatenate(rows_of(shuffle_rows(1000, 300, 10, draw_generator(seed, epoch)))).tolist()

    assert order(1, 3) == order(1, 3)
    assert len({tuple(order(seed, epoch)) for seed, epoch in itertools.product((1, 2), (0, 1))}) == 4


def test_a_window_of_a_long_table_has_rows_from_all_over_it():
    first = next(shuffle_rows(1_000_000, 12_800, 100, draw_generator(0, 0)))
    assert len(first.rows) == 12_800
    assert np.histogram(first.rows, bins=4, range=(0, 1_000_000))[0].min() > 1_000
    assert len(np.unique(first.rows // 100)) <= 128


USERS = pa.chunked_array([["a", "b", "a"], ["c", "a", "b", "a", "a", "a"], []], pa.large_string())


@given(st.integers(1, 12), st.integers(1, 12), st.integers(2, 5), st.integers(0, 3))
def test_every_row_comes_once_in_lists_of_one_user(window_rows, batch_rows, list_length, epoch):
    users = USERS.to_pylist()
    seen = []
    for window in TrainingLists(USERS, list_length).shuffle(window_rows, batch_rows, draw_generator(1, epoch)):
        for batch in window.batches:
            rows = window.rows[batch.places]
            assert batch.lists[0] == 0
            assert set(np.diff(batch.lists)) <= {0, 1}
            for _, members in itertools.groupby(zip(batch.lists, rows, strict=True), key=lambda pair: pair[0]):
                chosen = [row for _, row in members]
                assert len({users[row] for row in chosen}) == 1
                assert len(chosen) <= list_length
            assert len(rows) < batch_rows + list_length
            seen += rows.tolist()
    assert sorted(seen) == list(range(len(users)))


def test_lists_are_cut_anew_in_each_epoch_and_evenly():
    users = pa.chunked_array([["a"] * 33 + ["b"] * 20], pa.large_string())
    lists = TrainingLists(users, 32)

    def cut(epoch):
        (window,) = lists.shuffle(100, 100, draw_generator(1, epoch))
        (batch,) = window.batches
        return [sorted(window.rows[batch.places[batch.lists == n]].tolist()) for n in range(batch.lists[-1] + 1)]

    assert sorted(map(len, cut(0))) == [16, 17, 20]
    assert cut(0) == cut(0)
    assert sorted(cut(0)) != sorted(cut(1))


def test_others_are_drawn_evenly_and_never_a_row_s_own():
    own = np.repeat([0, 2, 4], 2000)
    drawn = draw_others(own, 5, 3, np.random.default_rng(0))
    assert drawn.shape == (6000, 3)
    assert not (drawn == own[:, None]).any()
    counts = np.bincount(drawn[:2000].ravel(), minlength=5)
    assert counts[0] == 0
    assert counts[1:] == pytest.approx(1500, rel=0.1)


def test_for_a_row_whose_own_is_not_among_them_all_are_drawn_evenly():
    own = np.array([5, 0] * 2000)
    drawn = draw_others(own, 5, 3, np.random.default_rng(0))
    assert np.bincount(drawn[own == 5].ravel(), minlength=5) == pytest.approx(np.full(5, 1200), rel=0.1)
    known = draw_others(np.zeros(4000, int), 5, 3, np.random.default_rng(0))
    assert np.array_equal(drawn[own == 0], known[own == 0])


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 10))
def test_rows_are_picked_from_any_chunks(rows, chunk_rows):
    table = pa.table({"n": pa.array(range(10), pa.int64()), "t": pa.array(map(str, range(10)), pa.large_string())})
    chunked = pa.Table.from_batches(table.to_batches(max_chunksize=chunk_rows))
    found = TableRows(chunked).take(np.array(rows, np.int64))
    assert found.to_pydict() == {"n": rows, "t": [str(row) for row in rows]}
