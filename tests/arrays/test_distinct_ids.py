"""Sets of ids: each once, whatever the batches, encodings and parts."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.arrays import distinct_ids
from batchscore.arrays.distinct_ids import DistinctIds

TEXT = st.text(max_size=3)
TYPES = {pa.string(): TEXT, pa.large_string(): TEXT, pa.uint64(): st.integers(0, 2**64 - 1)}


@pytest.fixture(autouse=True)
def soon_joined(monkeypatch):
    monkeypatch.setattr(distinct_ids, "_MIN_PENDING", 3)


@given(st.data())
def test_each_id_is_there_once_whatever_the_batches_and_parts(data):
    type_ = data.draw(st.sampled_from(list(TYPES)))
    batches = data.draw(st.lists(st.lists(TYPES[type_] | st.none(), max_size=8), max_size=6))
    parts = [DistinctIds() for _ in range(data.draw(st.integers(1, 3)))]
    for number, batch in enumerate(batches):
        array = pa.array(batch, type_)
        parts[number % len(parts)].add(array.dictionary_encode() if data.draw(st.booleans()) else array)
    whole, *others = parts
    for other in others:
        whole.merge(other)
    expected = {item for batch in batches for item in batch if item is not None}
    found = whole.values()
    assert len(whole) == len(expected)
    assert (set() if found is None else set(found.to_pylist())) == expected
