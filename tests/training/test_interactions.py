from __future__ import annotations

import decimal
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.config import TrainSettings
from batchscore.errors import InputError, TryLaterError
from batchscore.training.interactions import read_interactions

GOOD = {"user_id": ["a", "b"], "movie_id": ["x", "y"], "user_rating": [1.0, 2.0]}


def refuse(settings):
    with pytest.raises(InputError) as caught:
        read_interactions(settings)
    assert caught.value.exit_code == 3
    return caught.value


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array(["", "ü"]), pa.array(["", "ü"], pa.large_string())),
        (pa.array(["a", "b"], pa.large_string()), pa.array(["a", "b"], pa.large_string())),
        (pa.array(["a", "b"], pa.string_view()), pa.array(["a", "b"], pa.large_string())),
        (pa.array(["b", "a"]).dictionary_encode(), pa.array(["b", "a"], pa.large_string())),
        (pa.array([2**53 + 1, -1], pa.int64()), pa.array([2**53 + 1, -1], pa.int64())),
        (pa.array([7, 9], pa.int32()), pa.array([7, 9], pa.int64())),
        (pa.array([7, 2**63 - 1], pa.uint64()), pa.array([7, 2**63 - 1], pa.int64())),
    ],
)
def test_ids_are_kept_as_text_or_whole_numbers(write, ids, expected):
    interactions = read_interactions(write(GOOD | {"user_id": ids}))
    assert interactions.user_ids.equals(expected)


@pytest.mark.parametrize(
    "ratings",
    [
        pa.array([1, 0], pa.int8()),
        pa.array([1.0, 0.0], pa.float64()),
        pa.array([True, False]),
        pa.array([decimal.Decimal("1.00"), decimal.Decimal("0.00")]),
    ],
)
def test_ratings_of_any_number_type_become_float32(write, ratings):
    read = read_interactions(write(GOOD | {"user_rating": ratings})).ratings
    assert read.dtype == np.float32
    assert read.tolist() == [1.0, 0.0]


def test_only_the_named_columns_are_needed_and_kept_together(write):
    settings = write(
        {"who": [3, 4, 3], "what": ["x", "y", "z"], "stars": [5, 1, 2], "other": [None, None, "?"]},
        user_column="who", candidate_column="what", rating_column="stars",
    )  # fmt: skip
    interactions = read_interactions(settings)
    assert interactions.features["who"].to_pylist() == [3, 4, 3]
    assert interactions.features["what"].to_pylist() == ["x", "y", "z"]
    taken = interactions.take(np.array([2, 0]))
    assert (taken.user_ids.to_pylist(), taken.candidate_ids.to_pylist()) == ([3, 3], ["z", "x"])
    assert taken.ratings.tolist() == [2.0, 5.0]


def test_all_problems_are_told_at_once(write):
    error = refuse(
        write({"user_id": [1.5, 2.5, 3.5], "item": ["x", "y", "z"], "user_rating": [1.0, None, float("nan")]})
    )
    assert error.error_id == "E-INTERACTIONS"
    text = str(error)
    assert "found:    columns user_id, item, user_rating" in text
    assert "user_id: double is no type for ids" in text
    assert "movie_id: there is no such column" in text
    assert "user_rating: null in 1 of 3 rows, the first is row 1 (from 0)" in text
    assert "user_rating: NaN, infinite or too large for float32 in 1 of 3 rows, the first is row 2" in text
    assert "--candidate-column" in text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"user_id": ["a", "a"]}, "user_id: 'a' in every row"),
        ({"movie_id": [7, 7]}, "movie_id: 7 in every row"),
        ({"user_rating": [3.0, 3.0]}, "user_rating: 3 in every row; there is nothing to learn"),
        ({"user_rating": ["3", "4"]}, "user_rating: string is no type for ratings"),
        ({"user_rating": [1.0, float("-inf")]}, "infinite or too large for float32 in 1 of 2 rows"),
        ({"user_rating": [1.0, 1e300]}, "too large for float32 in 1 of 2 rows"),
        ({"user_rating": pa.nulls(2)}, "user_rating: null in every row"),
        ({"user_id": pa.nulls(2)}, "user_id: null in every row"),
        ({"user_id": ["a", None]}, "user_id: null in 1 of 2 rows, the first is row 1"),
        ({"user_id": pa.array([1, 2**64 - 1], pa.uint64())}, "user_id: Integer value 18446744073709551615"),
        ({"user_id": [True, False]}, "user_id: bool is no type for ids"),
        ({"movie_id": [["x"], ["y"]]}, "movie_id: list<"),
    ],
)
def test_rows_that_cannot_be_used(write, change, problem):
    error = refuse(write(GOOD | change))
    assert error.error_id == "E-INTERACTIONS"
    assert problem in str(error)


def test_no_rows(write):
    error = refuse(write({name: pa.array(values)[:0] for name, values in GOOD.items()}))
    assert "there are no rows" in str(error)


def test_text_that_is_not_utf8(write):
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")]
    )
    assert "user_id: Invalid UTF8" in str(refuse(write(GOOD | {"user_id": broken})))


def csv(tmp_path, text):
    path = tmp_path / "interactions.csv"
    path.write_bytes(text)
    return TrainSettings(input=path, output=tmp_path / "model")


def test_csv_ids_are_text_exactly_as_written(tmp_path):
    interactions = read_interactions(
        csv(tmp_path, b'user_id,movie_id,user_rating,x\r\n007,1,4.5,a\r\n7,"",3,b\r\n7, 1,3,\r\n')
    )
    assert interactions.user_ids.to_pylist() == ["007", "7", "7"]
    assert interactions.candidate_ids.to_pylist() == ["1", "", " 1"]
    assert interactions.ratings.tolist() == [4.5, 3.0, 3.0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"user_id,movie_id,user_rating\na,x,1\nb,y,\n", "user_rating: null in 1 of 2 rows"),
        (b"user_id,movie_id,user_rating\n,x,1\nb,y,2\n", "user_id: null in 1 of 2 rows"),
        (b"user_id,movie_id,user_rating\na,x,good\nb,y,2\n", "user_rating: string is no type for ratings"),
        (b"user_id,movie_id,user_rating\na,x,1\nb,y\n", "Expected 3 columns, got 2"),
        (b"user_id,movie_id,user_rating\na,x,nan\nb,y,2\n", "user_rating: NaN"),
        (b"user_id,movie_id,user_rating\n", "there are no rows"),
        (b"", "Empty CSV file"),
    ],
)
def test_csv_that_cannot_be_used(tmp_path, text, problem):
    error = refuse(csv(tmp_path, text))
    assert error.error_id == "E-INTERACTIONS"
    assert problem in str(error)


def test_files_that_cannot_be_read(tmp_path):
    def settings(name):
        return TrainSettings(input=tmp_path / name, output=tmp_path / "model")

    with pytest.raises(TryLaterError, match="E-INPUT-MISSING"):
        read_interactions(settings("none.parquet"))
    (tmp_path / "folder.parquet").mkdir()
    assert refuse(settings("folder.parquet")).error_id == "E-INPUT-NOT-A-FILE"
    os.mkfifo(tmp_path / "pipe.parquet")
    assert refuse(settings("pipe.parquet")).error_id == "E-INPUT-NOT-A-FILE"
    (tmp_path / "text.parquet").write_text("user_id,movie_id\n")
    assert refuse(settings("text.parquet")).error_id == "E-INPUT-NOT-PARQUET"
    (tmp_path / "empty.parquet").touch()
    assert refuse(settings("empty.parquet")).error_id == "E-INPUT-NOT-PARQUET"


def test_a_flipped_bit_is_refused(tmp_path):
    path = tmp_path / "flipped.parquet"
    pq.write_table(pa.table(GOOD), path, write_page_checksum=True, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[data.index(np.array([1.0, 2.0]).tobytes())] ^= 1
    path.write_bytes(data)
    assert refuse(TrainSettings(input=path, output=tmp_path / "model")).error_id == "E-INPUT-CORRUPT"


def test_a_column_that_stands_twice(tmp_path):
    path = tmp_path / "twice.parquet"
    pq.write_table(pa.table([pa.array(["a", "b"])] * 2, names=["user_id", "user_id"]), path)
    error = refuse(TrainSettings(input=path, output=tmp_path / "model"))
    assert error.error_id == "E-INPUT-COLUMNS"
    assert "user_id" in str(error)
