"""Reading: file order, true row numbers, only the columns needed."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.errors import InputError
from batchscore.scoring.source import reader
from batchscore.scoring.source.parquet_source import open_pairs


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 60),
    group_rows=st.integers(1, 61),
    batch_rows=st.integers(1, 61),
    dictionary=st.booleans(),
)
def test_every_row_comes_once_in_file_order_with_its_number(
    tmp_path_factory, rows, group_rows, batch_rows, dictionary
):
    path = tmp_path_factory.getbasetemp() / "pairs.parquet"
    table = pa.table({
        "extra": pa.array(range(rows), pa.int64()), "b": [f"b{row % 7}" for row in range(rows)],
        "a": pa.array(range(rows), pa.int64()),
    })  # fmt: skip
    if dictionary:
        table = table.set_column(1, "b", table["b"].cast(pa.string()).dictionary_encode())
    pq.write_table(table, path, row_group_size=group_rows)
    kept = reader.BATCH_ROWS
    reader.BATCH_ROWS = batch_rows
    try:
        batches = list(open_pairs(path).batches(["a", "b"]))
    finally:
        reader.BATCH_ROWS = kept
    at = 0
    for batch in batches:
        assert (batch.path, batch.first_row) == (str(path), at)
        assert batch.table.schema.names == ["a", "b"]
        assert 0 < batch.table.num_rows <= batch_rows
        assert batch.table.column("a").to_pylist() == list(range(at, at + batch.table.num_rows))
        assert batch.table.column("b").to_pylist() == [
            f"b{row % 7}" for row in range(at, at + batch.table.num_rows)
        ]
        at += batch.table.num_rows
    assert at == rows


def test_a_column_whose_name_begins_like_another_is_not_taken_for_it(tmp_path):
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"a": [1], "a.b": [2], "c": [{"a": 3}]}), path)
    for columns in (["a"], ["a.b"], ["a.b", "a"], ["c"]):
        (batch,) = open_pairs(path).batches(columns)
        assert batch.table.schema.names == columns


def test_two_readings_may_interleave(tmp_path):
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"a": range(100), "b": range(100)}), path, row_group_size=10)
    pairs = open_pairs(path)
    outer = pairs.batches(["a"])
    first = next(outer)
    inner = [row for batch in pairs.batches(["b"]) for row in batch.table.column("b").to_pylist()]
    rest = [row for batch in outer for row in batch.table.column("a").to_pylist()]
    assert inner == list(range(100))
    assert first.table.column("a").to_pylist() + rest == list(range(100))


def test_a_page_that_fails_its_checksum_is_named_with_the_row(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "BATCH_ROWS", 10)
    path = tmp_path / "pairs.parquet"
    pq.write_table(
        pa.table({"a": range(100)}), path, row_group_size=50, write_page_checksum=True, use_dictionary=False,
        compression="none", write_statistics=False,
    )  # fmt: skip
    offset = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[offset + 200] ^= 1
    path.write_bytes(content)
    batches = open_pairs(path).batches(["a"])
    seen = []
    with pytest.raises(InputError, match=r"damaged in or after row 50") as caught:
        seen.extend(batch.table.num_rows for batch in batches)
    assert caught.value.error_id == "E-INPUT-CORRUPT"
    assert str(path) in str(caught.value)


def test_a_footer_that_promises_other_rows_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"a": range(5)}), path)
    pairs = open_pairs(path)
    iter_batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda *given, **named: [b[:4] for b in iter_batches(*given, **named)]
    )
    with pytest.raises(InputError, match="4 rows decoded, the footer says 5"):
        list(pairs.batches(["a"]))
