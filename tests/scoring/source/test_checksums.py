"""Whether a file's pages have checksums: told for every way in which pages begin a file."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.scoring.source.checksums import has_checksums
from batchscore.scoring.source.parquet_source import open_pairs

TABLE = pa.table({"user_id": [f"user {row % 50}" for row in range(2000)], "n": range(2000)})


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("how", [
    {"data_page_version": version, "use_dictionary": coded, "compression": codec, "write_statistics": statistics}
    for version in ("1.0", "2.0") for coded in (True, False) for codec in ("none", "zstd")
    for statistics in (True, False)
], ids=str)  # fmt: skip
def test_what_the_writer_was_told(tmp_path, checksums, how):
    path = tmp_path / "pairs.parquet"
    pq.write_table(TABLE, path, write_page_checksum=checksums, data_page_size=500, **how)
    assert open_pairs(path).files[0].checksums is checksums


def test_a_file_without_rows_has_no_page(tmp_path):
    path = tmp_path / "pairs.parquet"
    pq.write_table(TABLE[:0], path, write_page_checksum=True)
    pq.write_table(TABLE.schema.empty_table(), tmp_path / "empty.parquet", row_group_size=1)
    with pq.ParquetWriter(path, TABLE.schema):
        pass
    assert open_pairs(path).files[0].checksums is None


@pytest.mark.parametrize("content", [b"", b"\x15", b"\xff" * 50, b"\x15\x04" * 2000, bytes(50), b"\x1c" * 5000])
def test_bytes_that_are_no_page_header(content):
    assert has_checksums(io.BytesIO(b"PAR1" + content)) is None
