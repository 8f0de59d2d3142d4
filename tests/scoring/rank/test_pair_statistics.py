"""Figures of the ranked pairs: what they are, and that parts of the pairs in any order give the same."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.rank import pair_sample, statistics
from batchscore.scoring.rank.statistics import Statistics, sketch_users


def scored(rows, *, as_=lambda ids: ids, dtype=np.float32):
    """(user, candidate, score) as a scored batch of a model that is fed both ids."""
    users, candidates = (as_(pa.array([row[at] for row in rows], pa.string())) for at in (0, 1))
    pairs = ScorablePairs(
        "f", np.arange(len(rows)), users, candidates, [], {"user_id": users, "item_id": candidates}, {}
    )
    return ScoredPairs(pairs, np.array([row[2] for row in rows], dtype))


def count(batches):
    found = Statistics("item_id")
    for batch in batches:
        found.add(batch)
    return found


def state(found):
    return found.candidates.hashes.tolist(), found.by_candidate.rows.tolist(), found.scores.count


def draw_rows(count, users=30, candidates=12, seed=1):
    draw = np.random.default_rng(seed)
    return [
        (f"u{user}", f"c{candidate}", float(user % 7 + candidate))
        for user, candidate in zip(
            draw.integers(users, size=count), draw.integers(candidates, size=count), strict=True
        )
    ]


@pytest.fixture(autouse=True)
def small_samples(monkeypatch):
    """Samples that a few rows overflow."""
    monkeypatch.setattr(statistics, "_SAMPLED_CANDIDATES", 5)
    monkeypatch.setattr(statistics, "_SAMPLED_PAIRS", 3)
    monkeypatch.setattr(pair_sample, "_CHUNK_ROWS", 11)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 200), max_size=5), merged=st.booleans())
def test_order_batches_and_parts_decide_nothing(seed, cuts, merged):
    rows = draw_rows(200)
    expected = state(count([scored(rows)]))
    shuffled = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]
    edges = [0, *sorted(cuts), len(rows)]
    encodings = (lambda ids: ids, pa.Array.dictionary_encode)
    batches = [
        scored(shuffled[start:end], as_=encodings[number % 2])
        for number, (start, end) in enumerate(pairwise(edges))
    ]
    if not merged:
        assert state(count(batches)) == expected
        return
    whole = Statistics("item_id")
    for batch in batches:
        whole.merge(count([batch]))
    assert state(whole) == expected


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9), min_size=1, max_size=5))
def test_score_figures_are_those_of_all_pairs(parts):
    batches = [scored([("u", "c", score) for score in part]) for part in parts]
    values = np.concatenate([np.array(part, np.float32) for part in parts]).astype(np.float64)
    merged = Statistics(None)
    for batch in batches:
        merged.merge(count([batch]))
    for found in (count(batches).figures(), merged.figures()):
        assert (found.minimum, found.maximum) == (values.min(), values.max())
        assert found.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-9)
        assert found.spread == pytest.approx(values.std(), rel=1e-6, abs=1e-6)


def test_no_pairs_have_no_figures():
    found = count([scored([])])
    assert (found.figures().mean, found.duplicate_share, found.candidates.count()) == (None, None, 0)


def test_whole_scores_keep_their_digits():
    found = count([scored([("u", "c", 2**60 + 1), ("u", "d", 2**60 + 3)], dtype=np.int64)]).figures()
    assert (found.minimum, found.maximum) == (2**60 + 1, 2**60 + 3)


def test_candidates_that_a_dictionary_only_mentions_are_not_counted():
    codes, values = pa.array([1, 1, 3], pa.int32()), pa.array(["a", "b", "c", "d"])
    ids = pa.DictionaryArray.from_arrays(codes, values)
    batch = scored([("u", "", 1.0)] * 3)
    pairs = ScorablePairs("f", np.arange(3), batch.pairs.user, ids, [], {"item_id": ids}, {})
    assert count([ScoredPairs(pairs, batch.scores)]).candidates.count() == 2


@pytest.mark.parametrize("times", [1, 2, 3])
def test_repeated_pairs_are_counted(times):
    rows = [(f"u{user}", f"c{candidate}", 1.0) for user in range(50) for candidate in range(20)]
    assert count([scored(rows)] * times).duplicate_share == 1 - 1 / times


def test_users_have_one_sketch_whatever_type_their_ids_have():
    numbers = pa.array(range(10_000))
    expected = sketch_users(numbers).to_text()
    assert sketch_users(numbers.cast(pa.int32())).to_text() == expected
    assert sketch_users(numbers.cast(pa.string())).to_text() == expected
    assert len(expected) == 43_692
