from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.interactions.training_statistics import count_words, learn_statistics
from batchscore.settings.train import TrainSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]


@pytest.fixture
def make(tf):
    """The layer of a feature learned from `values`, as a function of raw values that gives a numpy array."""

    def _make(values, kind, **feature):
        embedding_l2 = feature.pop("embedding_l2", 0.0)
        column = values if isinstance(values, pa.Array) else pa.array(values, pa.large_string())
        ids = pa.array([f"{row % 2}" for row in range(len(column))], pa.large_string())
        rows = pa.table(
            {"user_id": ids, "movie_id": ids, "x": column, "user_rating": pa.array([1.0] * len(column))}
        )
        declared = TrainSettings(
            input="x.parquet",
            output="m",
            embedding_dimension=3,
            features={"x": {"kind": kind, "role": "context", **feature}},
            model={"embedding_l2": embedding_l2},
        )
        from batchscore.networks.feature_layers import make_feature_layer
        from batchscore.networks.training_batches import to_dtype

        layer = make_feature_layer("x", learn_statistics(rows, declared), declared)

        def call(raw):
            found = layer(tf.constant(raw, to_dtype(column.type))).numpy()
            assert found.shape == (len(raw), layer.width)
            assert found.dtype == np.float32
            return found

        call.layer = layer
        return call

    return _make


def table_of(call):
    return call.layer.embedding.embeddings.numpy()


@pytest.mark.parametrize("oov_buckets", [1, 3])
@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        (["[UNK]", "", "ü", "a"], ["[unk]", "u", "x", "y", "z"]),
        (pa.array([-1, 0, 2**53 + 1], pa.int64()), [2**53, 1, -2, 5, -(2**63)]),
    ],
)
def test_known_values_have_their_own_embedding_and_no_token_is_magic(make, values, unknown, oov_buckets):
    call = make(values, "vocabulary", oov_buckets=oov_buckets)
    known = sorted(values.to_pylist() if isinstance(values, pa.Array) else values)
    call(known)
    table = table_of(call)
    assert len(table) == len(known) + oov_buckets
    assert np.array_equal(call(known), table[oov_buckets:])
    found = call(unknown)
    assert {tuple(row) for row in found} <= {tuple(row) for row in table[:oov_buckets]}
    assert (len(np.unique(found, axis=0)) > 1) == (oov_buckets > 1)


@pytest.mark.parametrize("values", [["a", "b"], pa.array([1, 2], pa.int64())])
def test_a_hash_knows_every_value(make, values):
    call = make(values, "hashed", buckets=4, dimension=2)
    probe = [str(n) for n in range(40)] if isinstance(values, list) else range(-20, 20)
    found = call(list(probe))
    assert np.array_equal(found, call(list(probe)))
    assert len(np.unique(found, axis=0)) == 4


def test_a_number_is_normalised_or_taken_as_it_is(make):
    numbers = pa.array([2, 4, 4, 6], pa.float32())
    assert make(numbers, "number")([4, 6, -4]).ravel() == pytest.approx([0, 2**0.5, -8 / 2**0.5])
    assert make(numbers, "number", normalise=False)([4, -1.5]).ravel().tolist() == [4, -1.5]
    assert make(pa.array([5, 5], pa.float32()), "number")([5, 6]).ravel().tolist() == [0, 1]


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1e25])
def test_numbers_of_any_magnitude_are_normalised(make, unit):
    call = make(pa.array(np.array([2, 4, 4, 6]) * unit, pa.float32()), "number")
    assert call([4 * unit, 6 * unit, 2 * unit]).ravel() == pytest.approx([0, 2**0.5, -(2**0.5)], abs=1e-5)


def test_a_boundary_begins_its_bucket(make):
    call = make(pa.array([1, 2], pa.float32()), "buckets", boundaries=[0.0, 10.0])
    found = call([-1, 0, 9.5, 10, 1e30])
    assert np.array_equal(found, table_of(call)[[0, 1, 1, 2, 2]])


def test_a_moment_is_an_interval_and_a_number(make):
    call = make(pa.array([1_500_000_000, 1_500_000_100], pa.int64()), "timestamp", buckets=10)
    found = call([1_500_000_000, 1_500_000_009, 1_500_000_010, 1_500_000_100, 0, 2**40])
    assert np.array_equal(found[:, :3], table_of(call)[[0, 0, 1, 9, 0, 9]])
    assert found[:4, 3] == pytest.approx([-1, -0.82, -0.8, 1])
    one = make(pa.array([7, 7], pa.int64()), "timestamp", buckets=2)
    assert one([7, 8])[:, 3].tolist() == [0, 1]


def test_intervals_of_a_length_have_an_embedding_where_there_are_enough_rows(make):
    moments = pa.array([900, 1799, 1800, 1801, 3599, 9000, -1, -900], pa.int64())
    call = make(moments, "timestamp", bucket_seconds=900, min_count=2)
    found = call([900, 1799, 1800, 2699, -1, -900, 2700, 9000, -901, 2**40])
    assert len(table_of(call)) == 4
    assert np.array_equal(found[:, :3], table_of(call)[[2, 2, 3, 3, 1, 1, 0, 0, 0, 0]])
    every = make(moments, "timestamp", bucket_seconds=900)
    assert len(np.unique(every([900, 1800, 3599, 9000, -1, 5000])[:, :3], axis=0)) == len(table_of(every)) == 6


def test_where_no_interval_has_enough_rows_the_moment_is_a_number(make):
    call = make(pa.array([0, 1000], pa.int64()), "timestamp", bucket_seconds=900, min_count=2)
    found = call([0, 1000])
    assert np.array_equal(found[:, :3], table_of(call)[[0, 0]])
    assert found[:, 3].tolist() == [-1, 1]


def test_without_either_there_are_a_thousand_intervals(make):
    call = make(pa.array([0, 10_000], pa.int64()), "timestamp")
    found = call([0, 9, 10, 10_000])
    assert len(table_of(call)) == 1000
    assert np.array_equal(found[:, :3], table_of(call)[[0, 0, 1, 999]])


def test_a_list_is_the_mean_of_its_labels_and_nothing_of_its_neighbours(make):
    call = make(["a.b.c", "b", ""], "list", separator=".")
    rows = ["a", "a.c", "", "b.?", "..", "a.b.c.a"]
    found = call(rows)
    unknown, a, b, c = table_of(call)[1:]
    expected = [a, (a + c) / 2, 0 * a, (b + unknown) / 2, 0 * a, (a + b + c + a) / 4]
    assert found == pytest.approx(np.array(expected), rel=1e-6)
    assert np.array_equal(found, np.concatenate([call([row]) for row in rows]))


def test_labels_outside_the_vocabulary_share_buckets(make):
    call = make(["a|a"], "list", oov_buckets=4, min_count=2)
    found = call([f"unknown {n}" for n in range(20)] + ["a"])
    table = table_of(call)
    assert len(table) == 1 + 4 + 1
    assert np.array_equal(found[-1], table[5])
    assert {tuple(row) for row in found[:-1]} <= {tuple(row) for row in table[1:5]}
    assert len(np.unique(found[:-1], axis=0)) > 1


def test_a_text_is_the_mean_of_its_words(make):
    call = make(["Good, day good", "day good", "odd"], "text", max_tokens=2)
    found = call(["GOOD", "day... good?", "", " !", "odd good"])
    unknown, good, day = table_of(call)[1:]
    expected = [good, (good + day) / 2, 0 * good, 0 * good, (unknown + good) / 2]
    assert found == pytest.approx(np.array(expected), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(max_codepoint=0x2FF)), min_size=1, max_size=4))
def test_words_are_those_of_the_layer(tf, texts):
    counts = count_words(pa.chunked_array([pa.array(texts, pa.large_string())])).to_pydict()
    layer = tf.keras.layers.TextVectorization(output_mode=None)
    found = [word for row in layer(tf.constant(texts)).to_list() for word in row]
    expected = {word: found.count(word) for word in found}
    assert dict(zip((v.encode() for v in counts["values"]), counts["counts"], strict=True)) == expected


def test_the_penalty_is_of_what_a_batch_looks_up(make):
    call = make(["a|b", "b"], "list", embedding_l2=0.5)
    found = call(["a|b", "", "b", "b"])
    table = table_of(call)
    squares = np.square(table[2]).sum() + 3 * np.square(table[3]).sum()
    assert found.shape == (4, 3)
    assert float(call.layer.losses[0]) == pytest.approx(0.5 * squares / 4)
