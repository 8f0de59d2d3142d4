"""A published file read back: counted whatever the batches, and damage told wherever it is."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.publishing import ranked_file
from batchscore.publishing.ranked_file import Counted, count_ranked, read_through


def write_ranked(path, lists, row_group_rows=None):
    """A ranked file with lists of these lengths."""
    users = [f"u{user:04}" for user, length in enumerate(lists) for _ in range(length)]
    ranks = [rank for length in lists for rank in range(1, length + 1)]
    table = pa.table({
        "user_id": pa.array(users, pa.string()),
        "item_id": pa.array(ranks, pa.int64()),
        "score": pa.array([1.0] * len(ranks), pa.float32()),
        "rank": pa.array(ranks, pa.int32()),
    })  # fmt: skip
    pq.write_table(table, path, write_page_checksum=True, row_group_size=row_group_rows)


@given(lists=st.lists(st.integers(1, 4), max_size=12), batch_rows=st.integers(1, 9))
def test_users_and_rows_are_counted_however_the_batches_fall(tmp_path_factory, lists, batch_rows):
    path = tmp_path_factory.mktemp("count") / "ranked.parquet"
    write_ranked(path, lists)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranked_file, "_BATCH_ROWS", batch_rows)
        assert count_ranked(path) == Counted(len(lists), sum(lists))


@pytest.mark.parametrize("damage", ["not Parquet", "cut", "flipped", "pairs"])
def test_what_cannot_be_counted_says_why(tmp_path, damage):
    path = tmp_path / "ranked.parquet"
    write_ranked(path, [3] * 2000)
    data = bytearray(path.read_bytes())
    if damage == "not Parquet":
        data = bytearray(b"user,score\n")
    elif damage == "cut":
        del data[-9:]
    elif damage == "flipped":
        data[len(data) // 4] ^= 1
    path.write_bytes(data)
    if damage == "pairs":
        pq.write_table(pa.table({"user_id": np.arange(3)}), path)
    with pytest.raises(ValueError, match=r"\w"):
        count_ranked(path)


def test_a_whole_file_is_read_through(tmp_path):
    write_ranked(tmp_path / "ranked.parquet", [3, 1, 2], row_group_rows=2)
    read_through(tmp_path / "ranked.parquet")


@pytest.mark.parametrize("group", [0, 5])
@pytest.mark.parametrize("column", range(4))
def test_damage_in_any_page_is_found(tmp_path, group, column):
    path = tmp_path / "ranked.parquet"
    write_ranked(path, [3] * 2000, row_group_rows=1000)
    chunk = pq.read_metadata(path).row_group(group).column(column)
    data = bytearray(path.read_bytes())
    data[(chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    assert pq.read_metadata(path).num_rows == 6000, "the footer alone is whole"
    with pytest.raises(ValueError, match=r"\w"):
        read_through(path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    path = tmp_path / "ranked.parquet"
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    with pytest.raises(ValueError, match="not a file"):
        read_through(path)
