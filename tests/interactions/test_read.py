from __future__ import annotations

import decimal
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import InputError, TryLaterError
from batchscore.interactions import input_files, prepared
from batchscore.settings.train import TrainSettings

GOOD = {"user_id": ["a", "b"], "movie_id": ["x", "y"], "user_rating": [1.0, 2.0]}


@pytest.fixture
def refuse(read):
    def _refuse(settings):
        with pytest.raises(InputError) as caught:
            read(settings)
        assert caught.value.exit_code == 3
        return caught.value

    return _refuse


def feature(kind, role="context", **more):
    return {"kind": kind, "role": role, **more}


def sampled(**more):
    return {"clicked": {"kind": "click", "label": "clicked", "negatives": 2}} | more


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
def test_ids_are_kept_as_text_or_whole_numbers(write, read, ids, expected):
    rows = read(write(GOOD | {"user_id": ids})).rows
    assert rows["user_id"].combine_chunks().equals(expected)


@pytest.mark.parametrize(
    "ratings",
    [
        pa.array([1, 0], pa.int8()),
        pa.array([1.0, 0.0], pa.float64()),
        pa.array([True, False]),
        pa.array([decimal.Decimal("1.00"), decimal.Decimal("0.00")]),
    ],
)
def test_ratings_of_any_number_type_become_float32(write, read, ratings):
    label = read(write(GOOD | {"user_rating": ratings})).rows["user_rating"]
    assert label.type == pa.float32()
    assert label.to_pylist() == [1.0, 0.0]


def test_only_the_named_columns_are_read_in_the_order_features_labels_moment(write, read):
    settings = write(
        {
            "when": [9, 8, 7], "stars": [5, 1, 2], "other": [None, None, "?"],
            "what": ["x", "y", "z"], "age": [1, 2, 3], "who": [3, 4, 3],
        },
        user_column="who", candidate_column="what", rating_column="stars", timestamp_column="when",
        features={"age": feature("number", "user")},
    )  # fmt: skip
    rows = read(settings).rows
    assert rows.schema == pa.schema(
        [
            ("who", pa.int64()), ("what", pa.large_string()), ("age", pa.float32()),
            ("stars", pa.float32()), ("when", pa.int64()),
        ]
    )  # fmt: skip
    assert rows.to_pydict() == {
        "who": [3, 4, 3], "what": ["x", "y", "z"], "age": [1, 2, 3], "stars": [5, 1, 2], "when": [9, 8, 7],
    }  # fmt: skip


def test_a_moment_that_is_a_feature_stands_once(write, read):
    settings = write(
        GOOD | {"when": pa.array([1_999, 2_000], pa.timestamp("ms"))},
        timestamp_column="when", features={"when": feature("timestamp")},
    )  # fmt: skip
    rows = read(settings).rows
    assert rows.column_names == ["user_id", "movie_id", "when", "user_rating"]
    assert rows["when"].to_pylist() == [1, 2]


def test_a_label_of_two_tasks_stands_once(write, read):
    tasks = {
        "rating": {"kind": "rating", "label": "user_rating"},
        "order": {"kind": "pairwise", "label": "user_rating"},
        "liked": {"kind": "click", "label": "liked"},
    }
    rows = read(write(GOOD | {"liked": [True, False]}, tasks=tasks)).rows
    assert rows.column_names == ["user_id", "movie_id", "user_rating", "liked"]
    assert rows["liked"].to_pylist() == [1.0, 0.0]


def test_fills_stand_for_nulls_and_are_counted(write, read):
    columns = {
        "age": [None, 3.5],
        "city": ["Rome", None],
        "shelf": [7, None],
        "text": ["", "?"],
        "user_id": ["a", None],
    }
    features = {
        "age": feature("number", fill=-1), "city": feature("vocabulary", fill=5),
        "shelf": feature("hashed", buckets=3, fill="9"),
        "text": feature("text", fill="none"), "user_id": feature("vocabulary", "user", fill="nobody"),
    }  # fmt: skip
    interactions = read(write(GOOD | columns, features=features))
    rows = interactions.rows
    assert {name: rows[name].to_pylist() for name in columns} == {
        "age": [-1.0, 3.5], "city": ["Rome", "5"], "shelf": [7, 9], "text": ["", "?"], "user_id": ["a", "nobody"],
    }  # fmt: skip
    assert interactions.filled == {"user_id": 1, "age": 1, "city": 1, "shelf": 1}
    assert all(column.null_count == 0 for column in rows.columns)


def test_a_task_that_draws_its_negatives_needs_no_label(write, read):
    columns = {name: GOOD[name] for name in ("user_id", "movie_id")}
    assert read(write(columns, tasks=sampled())).rows.column_names == ["user_id", "movie_id"]


def test_what_its_label_would_be_must_not_be_a_column(write, refuse):
    text = str(refuse(write(GOOD | {"clicked": [1, 0]}, tasks=sampled())))
    assert "clicked: is a column of the interactions, but the task clicked counts every row as a yes" in text
    assert "set negatives = 0" in text


def test_rows_of_many_batches_keep_their_order_and_their_numbers(write, read, refuse, monkeypatch):
    monkeypatch.setattr(input_files, "BATCH_ROWS", 7)
    numbers = list(range(100))
    columns = {"user_id": [str(n) for n in numbers], "movie_id": numbers, "user_rating": numbers}
    assert read(write(columns)).rows.to_pydict() == columns
    columns["movie_id"] = [None if n in (40, 41, 77) else n for n in numbers]
    assert "movie_id: null in 3 of 100 rows, the first is row 40 (from 0)" in str(refuse(write(columns)))


def test_all_problems_are_told_at_once(write, refuse):
    error = refuse(
        write({"user_id": [1.5, 2.5, 3.5], "item": ["x", "y", "z"], "user_rating": [1.0, None, float("nan")]})
    )
    assert error.error_id == "E-INTERACTIONS"
    text = str(error)
    assert "found:    columns user_id, item, user_rating" in text
    assert "user_id: double is not a type for ids" in text
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
        ({"user_rating": ["3", "4"]}, "user_rating: string is not a type for labels; write them as numbers"),
        ({"user_rating": [1.0, float("-inf")]}, "infinite or too large for float32 in 1 of 2 rows"),
        ({"user_rating": [1.0, 1e300]}, "too large for float32 in 1 of 2 rows"),
        ({"user_rating": pa.nulls(2)}, "user_rating: null in every row"),
        ({"user_id": pa.nulls(2)}, "user_id: null in every row"),
        ({"user_id": ["a", None]}, "user_id: null in 1 of 2 rows, the first is row 1"),
        (
            {"user_id": pa.array([1, 2**64 - 1], pa.uint64())},
            "user_id: not a whole number that int64 holds in 1 of 2 rows, the first is row 1",
        ),
        ({"user_id": [True, False]}, "user_id: bool is not a type for ids"),
        ({"movie_id": [["x"], ["y"]]}, "movie_id: its values are list<"),
    ],
)
def test_rows_that_cannot_be_used(write, refuse, change, problem):
    error = refuse(write(GOOD | change))
    assert error.error_id == "E-INTERACTIONS"
    assert problem in str(error)


def test_no_rows(write, refuse):
    error = refuse(write({name: pa.array(values)[:0] for name, values in GOOD.items()}))
    assert "there are no rows" in str(error)


def test_text_that_is_not_utf8(write, refuse):
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")]
    )
    assert "user_id: not UTF-8 in 1 of 2 rows, the first is row 1" in str(refuse(write(GOOD | {"user_id": broken})))


def csv(tmp_path, text):
    path = tmp_path / "interactions.csv"
    path.write_bytes(text)
    return TrainSettings(input=path, output=tmp_path / "model")


def test_csv_ids_are_text_exactly_as_written(tmp_path, read):
    interactions = read(csv(tmp_path, b'user_id,movie_id,user_rating,x\r\n007,1,4.5,a\r\n7,"",3,b\r\n7, 1,3,\r\n'))
    assert interactions.rows.to_pydict() == {
        "user_id": ["007", "7", "7"], "movie_id": ["1", "", " 1"], "user_rating": [4.5, 3.0, 3.0],
    }  # fmt: skip


def test_a_csv_column_may_look_like_another_type_further_down(tmp_path, read):
    """Arrow would guess the types from the first block of some megabytes."""
    rows = 300_000
    lines = [f"u{n % 3},m{n % 5},{n % 5},{n}\n" for n in range(rows)]
    lines[-1] = "u1,m1,4.5,2001-02-03T04:05:06Z\n"
    settings = csv(tmp_path, ("user_id,movie_id,user_rating,when\n" + "".join(lines)).encode())
    read_back = read(settings.model_copy(update={"timestamp_column": "when"})).rows
    assert read_back.num_rows == rows
    assert read_back["user_rating"][rows - 2 :].to_pylist() == [(rows - 2) % 5, 4.5]
    assert read_back["when"][rows - 2 :].to_pylist() == [rows - 2, 981_173_106]


def test_a_text_of_several_lines_in_csv(tmp_path, read):
    settings = csv(tmp_path, b'user_id,movie_id,user_rating\na,"x\ny",1\nb,z,2\n')
    assert read(settings).rows["movie_id"].to_pylist() == ["x\ny", "z"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"user_id,movie_id,user_rating\na,x,1\nb,y,\n", "user_rating: null in 1 of 2 rows"),
        (b"user_id,movie_id,user_rating\n,x,1\nb,y,2\n", "user_id: null in 1 of 2 rows"),
        (
            b"user_id,movie_id,user_rating\na,x,good\nb,y,2\n",
            "user_rating: not a number in 1 of 2 rows, the first is row 0",
        ),
        (b'user_id,movie_id,user_rating\na,x,1\nb,y,""\n', "user_rating: not a number in 1 of 2 rows"),
        (b"user_id,movie_id,user_rating\na,x,1\nb,\xff,2\n", "invalid UTF8"),
        (b"user_id,movie_id,user_rating\na,x,1\nb,y\n", "Expected 3 columns, got 2"),
        (b"user_id,movie_id,user_rating\na,x,nan\nb,y,2\n", "user_rating: NaN"),
        (b"user_id,movie_id,user_rating\n", "there are no rows"),
        (b"", "Empty CSV file"),
    ],
)
def test_csv_that_cannot_be_used(tmp_path, refuse, text, problem):
    error = refuse(csv(tmp_path, text))
    assert error.error_id == "E-INTERACTIONS"
    assert problem in str(error)


def test_files_that_cannot_be_read(tmp_path, read, refuse):
    def settings(name):
        return TrainSettings(input=tmp_path / name, output=tmp_path / "model")

    with pytest.raises(TryLaterError, match="E-INPUT-MISSING"):
        read(settings("none.parquet"))
    (tmp_path / "folder.parquet").mkdir()
    assert refuse(settings("folder.parquet")).error_id == "E-INPUT-NOT-A-FILE"
    os.mkfifo(tmp_path / "pipe.parquet")
    assert refuse(settings("pipe.parquet")).error_id == "E-INPUT-NOT-A-FILE"
    (tmp_path / "text.parquet").write_text("user_id,movie_id\n")
    assert refuse(settings("text.parquet")).error_id == "E-INPUT-NOT-PARQUET"
    (tmp_path / "empty.parquet").touch()
    assert refuse(settings("empty.parquet")).error_id == "E-INPUT-NOT-PARQUET"


def test_a_flipped_bit_is_refused(tmp_path, refuse):
    path = tmp_path / "flipped.parquet"
    pq.write_table(pa.table(GOOD), path, write_page_checksum=True, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[data.index(np.array([1.0, 2.0]).tobytes())] ^= 1
    path.write_bytes(data)
    assert refuse(TrainSettings(input=path, output=tmp_path / "model")).error_id == "E-INPUT-CORRUPT"


def test_a_column_that_stands_twice(tmp_path, refuse):
    path = tmp_path / "twice.parquet"
    pq.write_table(pa.table([pa.array(["a", "b"])] * 2, names=["user_id", "user_id"]), path)
    error = refuse(TrainSettings(input=path, output=tmp_path / "model"))
    assert error.error_id == "E-INPUT-COLUMNS"
    assert "user_id" in str(error)


@pytest.mark.parametrize(
    ("column", "declared", "problem"),
    [
        ([None, None], feature("number", fill=3), "x: null in every row"),
        (pa.nulls(2), feature("text", fill="?"), "x: null in every row"),
        ([None, 1.0], feature("number"), "x: null in 1 of 2 rows, the first is row 0 (from 0)"),
        ([1.0, float("nan")], feature("number", fill=3), "x: NaN, infinite or too large for float32 in 1 of 2"),
        ([1, 2**24 + 1], feature("number"), "x: not exact as float32 (write the column as double) in 1 of 2 rows"),
        ([1.5, 2.5], feature("vocabulary"), "x: double is not a type for a vocabulary"),
        ([1, 2], feature("text"), "x: int64 is not a type for text"),
        (
            [[1.5], [2.5]],
            feature("list"),
            "x: its values are list<element: double>, and a column has one value per row; write a list as one text",
        ),
        (
            ["a", "b"],
            feature("timestamp"),
            "x: string is not a type for moments; write them as whole epoch seconds",
        ),
        ([1.0, 2.0], feature("timestamp"), "x: double is not a type for moments"),
        ([1, 2], feature("vocabulary", fill="many"), "x: the fill 'many' is not a whole number that int64 holds"),
        ([1, 2], feature("timestamp", fill=2**63), "x: the fill 9223372036854775808 is not a whole number"),
        ([1.0, 2.0], feature("number", fill=float("nan")), "x: the fill nan is NaN"),
    ],
)
def test_features_that_cannot_be_used(write, refuse, column, declared, problem):
    assert problem in str(refuse(write(GOOD | {"x": column}, features={"x": declared})))


@pytest.mark.parametrize(
    ("clicks", "problem"),
    [
        ([0, 2], "liked: neither 0 nor 1 in 1 of 2 rows, the first is row 1 (from 0)"),
        ([1, 1], "liked: 1 in every row; there is nothing to learn"),
        ([0.0, float("nan")], "liked: NaN"),
        ([True, None], "liked: null in 1 of 2 rows"),
    ],
)
def test_clicks_that_cannot_be_used(write, refuse, clicks, problem):
    tasks = {"liked": {"kind": "click", "label": "liked"}}
    assert problem in str(refuse(write(GOOD | {"liked": clicks}, tasks=tasks)))


def test_a_dictionary_that_a_row_points_beyond(tmp_path, refuse, monkeypatch):
    broken = pa.DictionaryArray.from_arrays(pa.array([0, 5]), pa.array(["a", "b"]), safe=False)
    path = tmp_path / "broken.parquet"
    pq.write_table(pa.table(GOOD), path)

    def iter_batches(*_, **__):
        yield pa.record_batch([broken, ["x", "y"], [1.0, 2.0]], names=list(GOOD))

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    error = refuse(TrainSettings(input=path, output=tmp_path / "model"))
    assert error.error_id == "E-INPUT-CORRUPT"
    assert "entry 5 of a dictionary of 2" in str(error)


def test_nothing_is_left_of_rows_that_cannot_be_used(write, refuse, tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(input_files, "BATCH_ROWS", 2)
    monkeypatch.setattr(prepared, "BATCH_ROWS", 2)
    seen = []
    write_batches = prepared._RowFile.write
    monkeypatch.setattr(
        prepared._RowFile, "write", lambda self, batches: (seen.append(len(batches)), write_batches(self, batches))
    )
    refuse(write({"user_id": list("abcdef"), "movie_id": list("uvwxyz"), "user_rating": [1, 2, 3, 4, 5, None]}))
    assert seen == [1, 1]
    assert list((tmp_path / "work").iterdir()) == []
