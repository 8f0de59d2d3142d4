from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import InputError, TryLaterError
from batchscore.interactions import input_files

ROWS = {"user_id": ["a", "b", "a"], "movie_id": [10, 20, 30], "user_rating": [1.0, 2.0, 3.0]}
USERS = {"user_id": ["b", "a", "z"], "age": [30, 40, None]}
CANDIDATES = {"movie_id": [30, 10, 20], "genres": ["C", "A|B", "B"], "year": [1930, 1910, 1920]}
FEATURES = {
    "age": {"kind": "number", "role": "user"},
    "genres": {"kind": "list", "role": "candidate"},
    "year": {"kind": "vocabulary", "role": "candidate"},
}


@pytest.fixture
def write_all(write, tmp_path):
    """Settings for interactions with both side tables, each a table of columns or the text of a CSV file."""

    def _write_all(rows=ROWS, users=USERS, candidates=CANDIDATES, features=FEATURES, **more):
        paths = {}
        for name, content in (("users", users), ("candidates", candidates)):
            if isinstance(content, str):
                paths[name] = tmp_path / f"{name}.csv"
                paths[name].write_text(content)
            elif content is not None:
                paths[name] = tmp_path / f"{name}.parquet"
                pq.write_table(pa.table(content), paths[name])
        settings = write(ROWS if isinstance(rows, str) else rows, features=features, **paths, **more)
        if isinstance(rows, str):
            path = tmp_path / "rows.csv"
            path.write_text(rows)
            settings = settings.model_copy(update={"input": path})
        return settings

    return _write_all


@pytest.fixture
def problems(read):
    """The lines of the error that say what is wrong."""

    def _problems(settings):
        with pytest.raises(InputError) as caught:
            read(settings)
        assert caught.value.error_id == "E-INTERACTIONS"
        return [line.strip() for line in str(caught.value).splitlines() if line.startswith("    ")]

    return _problems


def test_each_row_gets_the_features_of_its_user_and_of_its_candidate(write_all, read):
    rows = read(write_all()).rows
    assert rows.column_names == ["user_id", "movie_id", "age", "genres", "year", "user_rating"]
    assert rows.to_pydict() == ROWS | {"age": [40, 30, 40], "genres": ["A|B", "B", "C"], "year": [1910, 1920, 1930]}
    assert [str(rows[name].type) for name in FEATURES] == ["float", "large_string", "int64"]


def test_it_is_joined_the_same_in_small_batches_and_from_dictionaries(write_all, read, monkeypatch):
    encoded = {name: pa.array(values).dictionary_encode() for name, values in CANDIDATES.items()}
    rows = ROWS | {"movie_id": pa.array(ROWS["movie_id"]).dictionary_encode()}
    expected = read(write_all()).rows
    monkeypatch.setattr(input_files, "BATCH_ROWS", 1)
    assert read(write_all(rows=rows, candidates=encoded)).rows.equals(expected)


CSV_ROWS = "user_id,movie_id,user_rating\na,10,1\nb,20,2\na,30,3\n"
CSV_CANDIDATES = "movie_id,genres,year\n30,C,1930\n10,A|B,1910\n20,B,1920\n"


@pytest.mark.parametrize(
    ("given", "year"),
    [
        ({"candidates": CSV_CANDIDATES}, "1910"),
        ({"rows": CSV_ROWS}, 1910),
        ({"rows": CSV_ROWS, "candidates": CSV_CANDIDATES}, "1910"),
    ],
)
def test_in_csv_an_id_is_whatever_it_is_in_the_other_file(write_all, read, given, year):
    rows = read(write_all(**given)).rows
    assert rows["genres"].to_pylist() == ["A|B", "B", "C"]
    assert rows["year"][0].as_py() == year


def test_whole_numbers_in_csv_are_joined_only_as_they_print(write_all, problems):
    padded = CSV_CANDIDATES.replace("\n10,", "\n010,")
    assert problems(write_all(candidates=padded)) == [
        "movie_id: 1 of 3 rows have no row in candidates.csv, the first is row 0 (from 0) with 10"
    ]


def test_ids_of_two_types_in_typed_files(write_all, problems):
    text = CANDIDATES | {"movie_id": ["30", "10", "20"]}
    assert problems(write_all(candidates=text)) == [
        "movie_id: whole numbers in the interactions, text in candidates.parquet; write one type"
    ]


DOUBLES = "list<element: double>"
ADVICE = (
    "write a list as one text with the separator between its values (Drama|War), and of a struct or map only the "
    "value that counts"
)


def test_everything_that_is_wrong_with_the_side_tables_is_told_at_once(write_all, problems):
    rows = {
        "user_id": ["a", "b", "c", "a", "c"],
        "movie_id": [10, 20, 30, 40, 20],
        "user_rating": [1, 2, 3, 4, 5],
        "year": [1, 2, 3, 4, 5],
    }
    users = {"user_id": ["a", "b", "a", None, "b", None], "age": [None, 1, 2, 3, 4, 5], "city": [[0.5]] * 6}
    features = FEATURES | {
        "city": {"kind": "list", "role": "user"},
        "job": {"kind": "text", "role": "user"},
        "hour": {"kind": "number", "role": "context"},
    }
    assert problems(write_all(rows, users, features=features)) == [
        "user_id: null in 2 of 6 rows, the first is row 3 (from 0) of users.parquet",
        "user_id: 2 of 6 rows of users.parquet repeat an id, the first is row 2 (from 0); write one row per id",
        "user_id: 2 of 5 rows have no row in users.parquet, the first is row 2 (from 0) with 'c'",
        "movie_id: 1 of 5 rows have no row in candidates.parquet, the first is row 3 (from 0) with 40",
        "age: null in 2 of 5 rows, the first is row 0 (from 0), joined from users.parquet by user_id 'a'",
        "year: is a column of the interactions and of candidates.parquet; leave it out of one of them",
        f"city in users.parquet: its values are {DOUBLES}, and a column has one value per row; {ADVICE}",
        "job: there is no such column, and none in users.parquet",
        "hour: there is no such column",
    ]


def test_a_null_that_no_interaction_meets_is_no_problem_and_a_fill_stands_for_the_others(write_all, read):
    assert read(write_all()).filled == {}
    features = FEATURES | {"age": {"kind": "number", "role": "user", "fill": 33}}
    users = {"user_id": ["a", "b"], "age": [None, 30]}
    interactions = read(write_all(users=users, features=features))
    assert interactions.rows["age"].to_pylist() == [33, 30, 33]
    assert interactions.filled == {"age": 2}


def test_a_feature_of_a_side_table_that_is_null_everywhere(write_all, problems):
    users = {"user_id": ["a", "b", "c"], "age": pa.array([None, None, 3.0])}
    assert problems(write_all(users=users)) == ["age: null in every row, joined from users.parquet by user_id"]


@pytest.mark.parametrize("users", [{"user_id": pa.array([], pa.string()), "age": pa.array([], pa.float32())}])
def test_a_side_table_without_rows(write_all, problems, users):
    assert problems(write_all(users=users)) == [
        "user_id: 3 of 3 rows have no row in users.parquet, the first is row 0 (from 0) with 'a'"
    ]


def test_a_side_table_without_its_id(write_all, problems):
    assert problems(write_all(users={"user": ["a"], "age": [1]})) == ["user_id: users.parquet has no such column"]


def test_interactions_with_none_of_the_columns(write_all, problems):
    assert problems(write_all(rows={"x": [1, 2]})) == [
        "user_id: there is no such column",
        "movie_id: there is no such column",
        "user_rating: there is no such column",
    ]


def test_ids_of_a_side_table_of_the_wrong_type(write_all, problems):
    users = {"user_id": [1.5, 2.5], "age": [1, 2]}
    assert problems(write_all(users=users)) == [
        "user_id in users.parquet: double is not a type for ids; write them as text or whole numbers"
    ]


def test_side_tables_that_cannot_be_opened(write_all, read, tmp_path):
    settings = write_all()
    (tmp_path / "users.parquet").unlink()
    with pytest.raises(TryLaterError) as caught:
        read(settings)
    assert "the users do not exist" in str(caught.value)
    assert "check --users" in str(caught.value)
    (tmp_path / "users.parquet").write_text("nothing")
    with pytest.raises(InputError, match="E-INPUT-NOT-PARQUET: the users are not a Parquet file"):
        read(settings)


def test_a_side_table_that_gives_nothing_is_a_warning(write_all, read, caplog):
    features = {name: FEATURES[name] for name in ("genres", "year")}
    assert "age" not in read(write_all(features=features)).rows.column_names
    assert caplog.messages == ["users.parquet gives no feature: every user feature comes from elsewhere"]


def test_a_list_column_of_a_side_table_is_told_and_nothing_else(write_all, problems, caplog):
    rows = {"user_id": ["a", "b"], "movie_id": [1, 2], "user_rating": [1, 2]}
    users = {"user_id": ["a", "b"], "city": [[0.5, 1.5], []]}
    found = problems(write_all(rows, users, None, features={"city": {"kind": "list", "role": "user"}}))
    assert found == [
        f"city in users.parquet: its values are list<element: double>, and a column has one value per row; {ADVICE}"
    ]
    assert caplog.messages == []
