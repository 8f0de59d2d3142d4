"""Any table of ranked lists, against plain Python: the order of rows, files, types and names decide nothing."""

from __future__ import annotations

import decimal
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.columns import ListColumns, WantedColumns
from batchscore.errors import InputError, TryLaterError
from batchscore.outputs import table_lists as table_module
from batchscore.outputs.find_columns import find_columns
from batchscore.outputs.open_lists import open_lists

IDS = {
    pa.string(): ["a", "B", "b", "ä", "", "10", "9"],
    pa.large_string(): ["a", "aa", "\U0001f600"],
    pa.dictionary(pa.int8(), pa.string()): ["x", "y", "z"],
    pa.int32(): [-1, 0, 9, 10],
    pa.uint64(): [0, 2**63, 2**64 - 1],
}


def open_one(path, **wanted):
    (lists,) = open_lists(WantedColumns(**wanted), path)
    return lists


def rows_of(lists):
    return [row for frame in lists.read() for row in frame.rows()]


def refusal(path, **wanted):
    with pytest.raises(InputError) as refused:
        rows_of(open_one(path, **wanted))
    assert refused.value.error_id == "E-RANKED-FILE"
    return str(refused.value)


def bytewise(value):
    return value.encode() if isinstance(value, str) else value


@st.composite
def tables(draw):
    user_type, candidate_type = draw(st.sampled_from(list(IDS))), draw(st.sampled_from(list(IDS)))
    pairs = st.tuples(st.sampled_from(IDS[user_type]), st.sampled_from(IDS[candidate_type]))
    pairs = draw(st.lists(pairs, unique=True, min_size=1, max_size=15))
    ranks = draw(st.lists(st.integers(-50, 50), unique=True, min_size=len(pairs), max_size=len(pairs)))
    scores = draw(st.lists(st.sampled_from([-1, 0, 2**53, 2**53 + 1]), min_size=len(pairs), max_size=len(pairs)))
    return user_type, candidate_type, [(*pair, *rest) for pair, *rest in zip(pairs, ranks, scores, strict=True)]


@settings(max_examples=150, deadline=None)
@given(drawn=tables(), data=st.data(), by=st.sampled_from(["rank", "score", "both"]))
def test_lists_are_those_of_plain_python(tmp_path_factory, drawn, data, by):
    user_type, candidate_type, rows = drawn
    folder = tmp_path_factory.mktemp("table")
    types = {"member": user_type, "film": candidate_type, "place": pa.int64(), "points": pa.int64()}
    left_out = {"rank": "points", "score": "place"}.get(by)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=2)))
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        columns = {
            name: pa.array([row[index] for row in rows[start:end]], type_)
            for index, (name, type_) in enumerate(types.items())
        }
        pq.write_table(pa.table(columns).drop_columns([left_out] if left_out else []), folder / f"{number}.parquet")
    lists = open_one(
        folder, user="member", candidate="film", rank=None if by == "score" else "place",
        score=None if by == "rank" else "points",
    )  # fmt: skip
    expected = []
    for user in sorted({row[0] for row in rows}, key=bytewise):
        of_user = [row for row in rows if row[0] == user]
        of_user.sort(key=(lambda row: (-row[3], bytewise(row[1]))) if by == "score" else lambda row: row[2])
        expected += [(user, row[1], None if by == "rank" else row[3], rank) for rank, row in enumerate(of_user, 1)]
    assert rows_of(lists) == expected
    assert (lists.rows, lists.scored) == (len(rows), by != "rank")
    assert lists.survey().top_n == max(row[3] for row in expected)


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


LOG = {"uid": ["u", "u", "v"], "item": ["a", "b", "a"], "position": [2, 1, 1]}


def test_frames_are_cut_anywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(table_module, "_FRAME_ROWS", 2)
    lists = open_one(write(tmp_path / "log.parquet", **LOG), rank="position")
    assert [frame.height for frame in lists.read()] == [2, 1]
    assert rows_of(lists) == [("u", "b", None, 1), ("u", "a", None, 2), ("v", "a", None, 1)]


def test_an_output_is_read_as_one_and_as_a_table_if_a_flag_names_its_column(tmp_path):
    schema = pa.schema([("u", pa.string()), ("c", pa.string()), ("score", pa.float32()), ("rank", pa.int32())])
    path = tmp_path / "ranked.parquet"
    pq.write_table(pa.table([["b", "a"], ["x", "x"], [1.0, 2.0], [1, 1]], schema=schema), path)
    assert "users stand in ascending order" in refusal(path)
    lists = open_one(path, rank="rank")
    assert (lists.is_output, lists.named) == (False, {"rank"})
    assert rows_of(lists) == [("a", "x", 2.0, 1), ("b", "x", 1.0, 1)]


@pytest.mark.parametrize("scores", [
    pa.array([0.1, 2.5], pa.float64()), pa.array([0.5, 2.5], pa.float32()), pa.array([0.5, 2.5], pa.float16()),
    pa.array([1, 2], pa.uint8()), pa.array([decimal.Decimal("0.10"), decimal.Decimal("2.50")]),
], ids=lambda array: str(array.type))  # fmt: skip
def test_scores_of_every_type(tmp_path, scores):
    path = write(tmp_path / "log.parquet", user_id=["u", "u"], item=["a", "b"], score=scores)
    expected = [float(value) for value in scores.to_pylist()]
    assert rows_of(open_one(path)) == [("u", "b", expected[1], 1), ("u", "a", expected[0], 2)]


@pytest.mark.parametrize(("names", "wanted", "expected"), [
    ("user_id item_id rank", {}, "user_id item_id rank -"),
    ("rank item_id user_id score", {}, "user_id item_id rank score"),
    ("member film rank", {}, "member film rank -"),
    ("member film rank day", {}, "member film rank -"),
    ("day member film rank", {"user": "member", "candidate": "film"}, "member film rank -"),
    ("user_id item_id score", {"rank": "elsewhere", "user": "no such"}, "user_id item_id - score"),
    ("user_id item_id rank score", {"score": "off"}, "user_id item_id rank -"),
    ("item_id user_id rank", {}, "user_id item_id rank -"),
    ("rank user_id place", {"rank": "place", "candidate": "rank"}, "user_id rank place -"),
])  # fmt: skip
def test_columns_are_found(tmp_path, names, wanted, expected):
    found = find_columns(
        tmp_path, pa.schema([(name, pa.int64()) for name in names.split()]), WantedColumns(**wanted)
    )
    assert found == ListColumns(*(None if name == "-" else name for name in expected.split()))


@pytest.mark.parametrize(("columns", "wanted", "said"), [
    ({"day": [1], "user_id": [1], "item_id": [1], "rank": [1]}, {}, "which column is the candidate?"),
    ({"price": [1.5], "member": [1], "film": [1], "rank": [1]}, {}, "which column is the user?"),
    ({"user_id": [1], "rank": [1]}, {}, "which column is the candidate?"),
    ({"user_id": [1], "item_id": [1]}, {}, "there is neither a rank nor a score to order the lists by"),
    ({"user_id": [1.0], "item_id": [1], "rank": [1]}, {"user": "user_id"}, "user_id is double: ids are text"),
    ({"user_id": [1], "item_id": [1], "rank": [1.0]}, {}, "rank is double: ranks are integers"),
    ({"user_id": [1], "item_id": [1], "score": ["x"]}, {}, "score is string: scores are numbers"),
    ({"user_id": [1], "item_id": [1], "rank": [1]}, {"rank": "place"}, "there is no column place"),
])  # fmt: skip
def test_columns_that_cannot_be_told_are_asked_for(tmp_path, columns, wanted, said):
    message = refusal(write(tmp_path / "log.parquet", **columns), **wanted)
    assert said in message
    assert "--rank-column" in message


def test_a_column_that_stands_there_twice_is_not_chosen(tmp_path):
    table = pa.table([["u"], ["a"], [1], [2]], names=["user_id", "item", "rank", "rank"])
    pq.write_table(table, tmp_path / "log.parquet")
    assert "there is more than one column rank" in refusal(tmp_path / "log.parquet")


LONG = "x" * 500_000


@pytest.mark.parametrize(("columns", "said"), [
    (LOG | {"uid": ["u", None, "v"]}, "row 1: uid is null"),
    (LOG | {"item": ["u", "a", None]}, "row 2: item is null"),
    (LOG | {"position": [1, 2, None]}, "row 2: position is null"),
    (LOG | {"score": [1.0, float("nan"), 2.0]}, "row 1: score is nan"),
    (LOG | {"score": [1.0, 2.0, float("-inf")]}, "row 2: score is -inf"),
    (LOG | {"score": [None, 2.0, 1.0]}, "row 0: score is null"),
    (LOG | {"position": [2, 2, 1]}, "user u has rank 2 more than once"),
    (LOG | {"item": ["a", "a", "a"]}, "candidate a occurs more than once in the list of user u"),
    (LOG | {"uid": [LONG, LONG, "v"], "position": [2, 2, 1]}, "xxx... has rank 2 more than once"),
    (LOG | {"uid": [LONG, LONG, "v"], "item": [LONG] * 3}, "xxx... occurs more than once in the list of user xxx"),
])  # fmt: skip
def test_tables_that_are_no_lists_are_refused(tmp_path, columns, said):
    message = refusal(write(tmp_path / "log.parquet", **columns), rank="position")
    assert "E-RANKED-FILE: this is not a table of ranked lists\n" in message
    assert said in message
    assert len(message) < 1_000


@pytest.mark.parametrize("ranked", [True, False])
def test_scores_are_left_out_only_where_a_rank_orders_the_lists(tmp_path, ranked):
    table = LOG | {"score": [1.0, None, 2.0]}
    if not ranked:
        del table["position"]
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    wanted = {"user": "uid", "candidate": "item", "score": "score"} | ({"rank": "position"} if ranked else {})
    assert ("--score-column off" in refusal(tmp_path / "t.parquet", **wanted)) == ranked


def test_scores_that_are_not_read_may_be_null(tmp_path):
    path = write(tmp_path / "log.parquet", **LOG, score=[None, 2.0, 1.0])
    assert not open_one(path, rank="position", score="off").scored


def test_no_rows_are_no_lists(tmp_path):
    path = write(tmp_path / "log.parquet", **{name: pa.array([], pa.int64()) for name in LOG})
    lists = open_one(path, rank="position")
    assert (rows_of(lists), lists.rows, lists.survey().top_n) == ([], 0, 0)


def test_a_folder_is_its_parquet_files(tmp_path):
    (tmp_path / "day=1").mkdir()
    for name in ("_hidden.parquet", ".part.parquet", "notes.txt"):
        (tmp_path / name).write_bytes(b"nothing")
    write(tmp_path / "day=1" / "a.parquet", **LOG)
    write(tmp_path / "b.parquet", uid=["w"], item=["z"], position=[7])
    assert [row[:2] for row in rows_of(open_one(tmp_path, rank="position"))][-1] == ("w", "z")
    write(tmp_path / "c.parquet", uid=[1], item=["z"], position=[7])
    assert "the files of the folder have different columns" in refusal(tmp_path, rank="position")


def test_what_is_no_table_is_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "nothing.parquet")
    (tmp_path / "empty").mkdir()
    assert "the folder has no Parquet file" in refusal(tmp_path / "empty")
    os.mkfifo(tmp_path / "pipe.parquet")
    assert "it is a named pipe" in refusal(tmp_path / "pipe.parquet")
    path = write(tmp_path / "log.parquet", **LOG)
    path.write_bytes(path.read_bytes()[:-9])
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize("name", ["_temporary/0", "day=1/b.parquet.tmp", "day=1/.spark-staging-1/a.parquet"])
def test_a_folder_in_which_somebody_is_writing_is_no_table_yet(tmp_path, name):
    write(tmp_path / "log" / "day=1" / "a.parquet", **LOG)
    (tmp_path / "log" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "log" / name).touch()
    with pytest.raises(TryLaterError) as caught:
        open_one(tmp_path / "log", rank="position")
    assert caught.value.error_id == "E-INPUT-NOT-COMPLETE"


def test_a_link_into_a_table_with_a_log_is_refused(tmp_path):
    write(tmp_path / "table" / "a.parquet", **LOG)
    (tmp_path / "table" / "_delta_log").mkdir()
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a.parquet").symlink_to(tmp_path / "table" / "a.parquet")
    with pytest.raises(InputError, match="E-INPUT-TABLE"):
        open_one(tmp_path / "log", rank="position")


def test_text_that_is_no_utf8_is_refused(tmp_path):
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    )
    path = write(tmp_path / "log.parquet", uid=text, item=["a"], position=[1])
    assert "cannot be read" in refusal(path, rank="position")
