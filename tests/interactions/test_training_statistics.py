from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pyarrow as pa
import pytest

from batchscore.errors import InputError
from batchscore.interactions import training_statistics as module
from batchscore.interactions.training_statistics import (
    Boundaries,
    Scaling,
    Span,
    TrainingStatistics,
    Values,
    learn_statistics,
)
from batchscore.settings.train import TrainSettings


def texts(values):
    return pa.array(values, pa.large_string())


def learn(columns, features=None, chunks=1, **settings):
    columns = {
        "user_id": texts(["b", "a", "b", "c"]),
        "movie_id": pa.array([7, -1, 7, 3], pa.int64()),
        "user_rating": pa.array([1, 2, 3, 6], pa.float32()),
    } | columns  # fmt: skip
    table = pa.table(columns)
    cuts = np.linspace(0, len(table), chunks + 1).astype(int)
    rows = pa.concat_tables(table.slice(low, high - low) for low, high in itertools.pairwise(cuts))
    return learn_statistics(rows, TrainSettings(input="x.parquet", output="m", features=features or {}, **settings))


@pytest.mark.parametrize("chunks", [1, 3])
def test_vocabularies_ascend_and_features_come_in_the_model_s_order(chunks):
    known = learn({"zip": texts(["9", "", "9", "9"])}, {"zip": {"kind": "vocabulary", "role": "user"}}, chunks)
    assert list(known.features) == known.schema.names == ["user_id", "movie_id", "zip"]
    assert known.features["user_id"] == Values(texts(["a", "b", "c"]))
    assert known.features["movie_id"] == Values(pa.array([-1, 3, 7], pa.int64()))
    assert known.features["zip"] == Values(texts(["", "9"]))
    assert (known.rows, known.label_means, known.candidates) == (4, {"user_rating": 3.0}, None)


def test_rare_values_have_no_embedding_of_their_own():
    features = {
        "user_id": {"kind": "vocabulary", "role": "user", "min_count": 2},
        "genres": {"kind": "list", "role": "candidate", "min_count": 2, "separator": "||"},
    }
    known = learn({"genres": texts(["x||y", "y", "|x||", ""])}, features)
    assert known.features["user_id"] == Values(texts(["b"]))
    assert known.features["genres"] == Values(texts(["y"]))


def test_numbers_and_moments():
    features = {
        "age": {"kind": "number", "role": "user"}, "raw": {"kind": "number", "role": "user", "normalise": False},
        "flat": {"kind": "number", "role": "user"}, "when": {"kind": "timestamp", "role": "context"},
    }  # fmt: skip
    columns = {name: pa.array([2, 4, 4, 6], pa.float32()) for name in ("age", "raw")}
    columns |= {"flat": pa.array([5] * 4, pa.float32()), "when": pa.array([10, 30, 20, 20], pa.int64())}
    known = learn(columns, features, chunks=2)
    assert known.features["age"] == Scaling(4.0, pytest.approx(math.sqrt(2)))
    assert known.features["raw"] is None
    assert known.features["flat"] == Scaling(5.0, 1.0)
    assert known.features["when"] == Span(10, 30, Scaling(20.0, pytest.approx(math.sqrt(50))))


def test_intervals_of_a_length_count_from_the_epoch_over_all_chunks():
    moments = pa.array([-1, 899, 0, 1800], pa.int64())
    when = {"kind": "timestamp", "role": "context", "bucket_seconds": 900}
    learned = learn({"when": moments}, {"when": when}, chunks=2).features["when"]
    assert learned.intervals == pa.array([-1, 0, 2], pa.int64())
    frequent = learn({"when": moments}, {"when": when | {"min_count": 2}}, chunks=2).features["when"]
    assert frequent.intervals == pa.array([0], pa.int64())


def test_buckets_are_given_or_hold_equal_shares(monkeypatch):
    rows = 1000
    many = {"user_id": texts(list("ab") * 500), "movie_id": texts(list("abcd") * 250)}
    many["user_rating"] = pa.array(range(rows), pa.float32())
    many |= {"n": pa.array(range(rows), pa.float32()), "m": pa.array([0] * 900 + [1] * 100, pa.float32())}
    features = {
        "n": {"kind": "buckets", "role": "user", "count": 4},
        "m": {"kind": "buckets", "role": "user", "count": 4},
    }
    known = learn(many, features)
    assert known.features["n"] == Boundaries((249.75, 499.5, 749.25))
    assert known.features["m"] == Boundaries((0.0,))
    given = learn(many, {"n": {"kind": "buckets", "role": "user", "boundaries": [0.5]}})
    assert given.features["n"] == Boundaries((0.5,))
    monkeypatch.setattr(module, "SAMPLE_ROWS", 200)
    sampled = learn(many, features, chunks=7)
    assert sampled == learn(many, features)
    assert sampled.features["n"].boundaries == pytest.approx(known.features["n"].boundaries, abs=100)
    assert sampled.features["n"] != known.features["n"]


def test_words_come_by_frequency_and_rare_ones_are_left_out():
    features = {"title": {"kind": "text", "role": "candidate", "max_tokens": 3}}
    known = learn({"title": texts(["The b, B!", "the (a)", "c-d the", ""])}, features, chunks=4)
    assert known.features["title"] == Values(texts(["the", "b", "a"]))


def test_each_candidate_that_negatives_are_drawn_from_is_known_by_its_last_row():
    known = learn(
        {"genre": texts(["old", "x", "new", "y"]), "hour": pa.array([1, 2, 3, 4], pa.int64())},
        {"genre": {"kind": "vocabulary", "role": "candidate"}, "hour": {"kind": "vocabulary", "role": "context"}},
        chunks=4,
        tasks={"click": {"kind": "click", "label": "clicked", "negatives": 1}},
    )
    assert known.candidates.to_pydict() == {"movie_id": [-1, 3, 7], "genre": ["x", "y", "new"]}
    assert known.label_means == {}


def test_it_is_plain_data():
    known = learn({"title": texts(["a", "b", "c", "d"])}, {"title": {"kind": "text", "role": "candidate"}})
    again = pickle.loads(pickle.dumps(known))  # noqa: S301 - our own
    assert isinstance(again, TrainingStatistics)
    assert again == known


def test_features_without_a_value_are_all_named():
    features = {
        "user_id": {"kind": "vocabulary", "role": "user", "min_count": 3},
        "genres": {"kind": "list", "role": "candidate"},
        "title": {"kind": "text", "role": "candidate"},
    }
    with pytest.raises(InputError) as caught:
        learn({"genres": texts(["", "|", "", ""]), "title": texts(["!", "", " ", "?"])}, features)
    assert caught.value.error_id == "E-INTERACTIONS"
    text = str(caught.value)
    assert "user_id: no value in it occurs in 3 training rows (min_count)" in text
    assert "genres: no value in it" in text
    assert "title: no word in it" in text


@pytest.mark.parametrize(
    ("movies", "negatives", "found"),
    [
        ("xxxx", 1, "1 negative per row, 0 other candidates in the training rows"),
        ("xyzx", 3, "3 negatives per row, 2 other candidates in the training rows"),
        ("xyzx", 100_000, "100,000 negatives per row, 2 other candidates in the training rows"),
    ],
)
def test_negatives_are_no_more_than_the_other_candidates(movies, negatives, found):
    def learn_with(count):
        tasks = {"click": {"kind": "click", "label": "clicked", "negatives": count}}
        return learn({"movie_id": texts(list(movies))}, tasks=tasks)

    with pytest.raises(InputError) as caught:
        learn_with(negatives)
    assert caught.value.error_id == "E-INTERACTIONS"
    message = str(caught.value)
    assert "the click task of clicked draws more negatives" in message
    assert f"  found:    {found}" in message
    others = len(set(movies)) - 1
    assert (f"next:     lower negatives to {others} at most" in message) == (others > 0)
    if others:
        assert learn_with(others).candidates.num_rows == others + 1


def test_a_list_whose_texts_hold_another_separator_is_refused():
    feature = {"genres": {"kind": "list", "role": "candidate"}}
    with pytest.raises(InputError) as caught:
        learn({"genres": texts(["a,b", "c", "d,e", ""])}, feature, chunks=2)
    assert "genres: no text holds the separator '|', and most hold ','" in str(caught.value)
    assert "set separator = ','" in str(caught.value)
    known = learn({"genres": texts(["a,b", "c", "d,e", ""])}, {"genres": feature["genres"] | {"separator": ","}})
    assert known.features["genres"] == Values(texts(["a", "b", "c", "d", "e"]))
