"""Hashes of ids: the same for good, since reports of earlier nights hold them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batchscore.arrays import id_hashes
from batchscore.arrays.id_hashes import hash_texts, hash_values

TEXTS = ["", "a", "ab", "abcdefgh", "abcdefghi", "é" * 20, "42", "x" * 70_000]


def test_hashes_never_change():
    assert hash_texts(pa.array(TEXTS[:5])).tolist() == [
        16294208416658607535,
        6774081908283191102,
        1160739144276709854,
        9245128965073422038,
        14690935847201975099,
    ]
    assert hash_values(pa.array([1, 2])).tolist() == [10451216379200822465, 10905525725756348110]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()])
def test_texts_of_every_layout_have_one_hash(type_):
    expected = hash_values(pa.array(TEXTS, pa.large_string()))
    assert len(set(expected.tolist())) == len(TEXTS)
    assert (hash_values(pa.array(TEXTS, type_)) == expected).all()
    assert (hash_values(pa.array(["skipped", *TEXTS], type_).slice(1)) == expected).all()
    if type_ != pa.string_view():
        assert (hash_values(pa.array(TEXTS, type_).dictionary_encode()) == expected).all()


def test_whole_numbers_have_the_hash_of_their_text_where_ids_are_told_by_it():
    numbers = [0, -7, 42, 2**63 - 1]
    assert (hash_texts(pa.array(numbers)) == hash_texts(pa.array([str(number) for number in numbers]))).all()


def test_slices_are_put_together(monkeypatch):
    texts = pa.array([f"user {number}" for number in range(100)])
    expected = hash_texts(texts)
    monkeypatch.setattr(id_hashes, "_SLICE_ROWS", 7)
    assert (hash_texts(texts) == expected).all()
    assert len(hash_texts(texts.slice(0, 0))) == 0


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True, False]),
        pa.array([1.5, -1.5], pa.float32()),
        pa.array([1.5, -1.5], pa.float16()),
        pa.array([1, -1], pa.int8()),
        pa.array([[1, 2], [2, 1]]),
    ],
    ids=lambda values: str(values.type),
)
def test_features_of_every_kind_have_a_hash(values):
    one, other = hash_values(values)
    assert one != other


def test_hashes_spread_evenly():
    shares = hash_texts(pa.array(range(100_000))).astype(np.float64) / 2**64
    assert np.histogram(shares, 10, (0, 1))[0] == pytest.approx(10_000, rel=0.05)
