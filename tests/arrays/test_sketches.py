"""Sketches: merged in any order they are that of the whole, and tell counts and overlaps."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.arrays.id_hashes import hash_texts
from batchscore.arrays.sketches import SKETCH_SIZE, BottomK, estimate_overlap

HASHES = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 30), max_size=30)


def sketch(hashes, size=SKETCH_SIZE):
    made = BottomK(size)
    made.add(np.array(hashes, np.uint64))
    return made


def users(first, end):
    return sketch(hash_texts(pa.array(range(first, end))))


@given(parts=st.lists(HASHES, max_size=4), size=st.integers(1, 12))
def test_parts_merge_to_the_whole_in_any_order(parts, size):
    whole = sorted({number for part in parts for number in part})[:size]
    for order in (parts, parts[::-1]):
        merged = BottomK(size)
        for part in order:
            merged.merge(sketch(part, size))
        assert merged.hashes.tolist() == whole
    assert BottomK.from_text(merged.to_text(), size).hashes.tolist() == whole


@pytest.mark.parametrize(("count", "exact"), [(0, True), (1, True), (4095, True), (5000, False), (300_000, False)])
def test_counts(count, exact):
    assert users(0, count).count() == (count if exact else pytest.approx(count, rel=4 / 64))


@pytest.mark.parametrize("text", ["!", "AAAA", "AAAAAAAAAAA", sketch([3]).to_text() * 2])
def test_what_is_no_sketch(text):
    with pytest.raises(ValueError, match=r".+"):
        BottomK.from_text(text, SKETCH_SIZE)


def test_the_overlap_of_small_sets_is_exact():
    found = estimate_overlap(users(0, 1000), 1000, users(250, 1250), 1000)
    assert (found.share, found.error) == (0.75, 0)
    found = estimate_overlap(users(0, 1000), 1000, users(0, 250), 250)
    assert found.share == 1
    assert estimate_overlap(users(0, 10), 10, users(10, 20), 10).share == 0
    assert estimate_overlap(users(0, 0), 0, users(0, 3), 3) is None


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ((0, 100_000), (50_000, 150_000), 0.5),
        ((0, 100_000), (100_000, 200_000), 0),
        ((0, 100_000), (0, 100_000), 1),
        ((0, 100_000), (0, 30_000), 1),
        ((0, 20_000), (17_000, 22_000), 3 / 5),
    ],
)
def test_the_overlap_of_large_sets_is_estimated_within_its_error(one, other, share):
    sizes = [end - first for first, end in (one, other)]
    found = estimate_overlap(users(*one), sizes[0], users(*other), sizes[1])
    assert found.share == pytest.approx(share, abs=4 * found.error + 0.001)
    assert found.error < 0.03
