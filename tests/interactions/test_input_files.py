from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import InputError
from batchscore.interactions.input_files import open_table_file


def read(path, names=("a",)):
    with open_table_file(path, "users", "--users") as file:
        return [batch.to_pydict() for batch in file.batches(names)]


def refuse(path):
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return caught.value


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "users.parquet"
    pq.write_table(pa.table({"a": range(100), "b": ["x"] * 100}), path)
    return path


def test_columns_come_in_the_order_asked_for_and_others_may_stand_twice(tmp_path):
    csv = tmp_path / "users.csv"
    csv.write_bytes(b"\xef\xbb\xbfa,b,c,c\r\n1,,x,\r\n\r\n4,5,,")
    assert read(csv, ("b", "a")) == [{"b": [None, "5"], "a": ["1", "4"]}]
    table = pa.table([pa.array([n]) for n in range(4)], names=["a", "b", "c", "c"])
    pq.write_table(table, tmp_path / "users.parquet")
    assert read(tmp_path / "users.parquet", ("b", "a")) == [{"b": [1], "a": [0]}]


def test_a_damaged_footer(parquet):
    data = bytearray(parquet.read_bytes())
    footer = int.from_bytes(data[-8:-4], "little")
    data[-8 - footer : -8] = b"\xff" * footer
    parquet.write_bytes(data)
    assert refuse(parquet).error_id == "E-INPUT-NOT-PARQUET"


def test_a_damaged_page(parquet):
    data = bytearray(parquet.read_bytes())
    data[4:24] = b"\xff" * 20
    parquet.write_bytes(data)
    error = refuse(parquet)
    assert error.error_id == "E-INPUT-CORRUPT"
    assert "the users are a damaged Parquet file" in str(error)


def test_fewer_rows_than_the_footer_says(parquet, monkeypatch):
    iter_batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda *given, **named: [b[:7] for b in iter_batches(*given, **named)]
    )
    error = refuse(parquet)
    assert error.error_id == "E-INPUT-CORRUPT"
    assert "7 rows decoded, the footer says 100" in str(error)


@pytest.mark.parametrize("text", ["a,b\n" + "x" * 2_100_000 + ",1\n", 'a,b\n"never closed\n' + "1,2\n" * 600_000])
def test_a_csv_row_without_an_end(tmp_path, text):
    path = tmp_path / "users.csv"
    path.write_text(text)
    error = refuse(path)
    assert error.error_id == "E-INTERACTIONS"
    assert "a row has more than 1,048,576 bytes, or a quote is never closed" in str(error)


@pytest.mark.parametrize(
    ("failure", "error_id"),
    [(OSError(5, "Input/output error"), "E-INPUT-UNREADABLE"), (OSError("Corrupt snappy"), "E-INPUT-CORRUPT")],
)
def test_the_system_s_errors_are_not_taken_for_damage(parquet, monkeypatch, failure, error_id):
    def iter_batches(*_, **__):
        raise failure

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    assert refuse(parquet).error_id == error_id


def test_memory_that_runs_out_is_no_damage(parquet, monkeypatch):
    def iter_batches(*_, **__):
        raise pa.ArrowMemoryError("malloc of size 1 failed")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    with pytest.raises(MemoryError):
        read(parquet)


def test_a_file_of_a_table_is_not_read(parquet):
    (parquet.parent / "_delta_log").mkdir()
    assert refuse(parquet).error_id == "E-INPUT-TABLE"
