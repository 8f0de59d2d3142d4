"""Opening the pair file: what it must be, and what is said of anything else."""

from __future__ import annotations

import datetime as dt
import os
import socket
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.errors import InputError, TryLaterError
from batchscore.scoring.source import pair_files
from batchscore.scoring.source.pair_source import RowCount
from batchscore.scoring.source.parquet_source import open_pairs


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pairs.parquet"


def write(path, rows=3, **how):
    pq.write_table(
        pa.table({"user_id": [f"u{row}" for row in range(rows)], "item_id": list(range(rows))}), path, **how
    )


def refused(path, kind=InputError):
    with pytest.raises(kind) as caught:
        open_pairs(path)
    assert str(path) in str(caught.value)
    return caught.value


def test_a_pair_file_is_described_as_it_is(path):
    write(path)
    os.utime(path, ns=(0, 1_500_000_000_123_456_789))
    pairs = open_pairs(path)
    (file,) = pairs.files
    assert (pairs.path, file.path, file.bytes) == (path, path, path.stat().st_size)
    assert (pairs.row_count, file.rows) == (RowCount(3), 3)
    assert pairs.schema.names == ["user_id", "item_id"]
    assert file.modified_at.tzinfo is dt.UTC
    assert file.modified_at.year == 2017
    pairs.require_unchanged()


def test_the_keys_of_subfolders_are_told_and_are_no_columns(tmp_path):
    for number, folder in enumerate(("dt=2024-02-29/user_id=7", "dt=2024-02-29/user_id=8")):
        (tmp_path / "pairs" / folder).mkdir(parents=True)
        write(tmp_path / "pairs" / folder / f"{number}.parquet")
    pairs = open_pairs(tmp_path / "pairs")
    assert pairs.folder_keys == {"dt", "user_id"}
    assert open_pairs(pairs.files[0].path).folder_keys == set()


def test_a_file_that_is_not_there_may_come_later(path):
    error = refused(path, TryLaterError)
    assert (error.error_id, error.exit_code) == ("E-INPUT-MISSING", 75)


def test_a_path_through_a_file_is_unreadable(path):
    path.write_bytes(b"")
    assert refused(path / "x").error_id == "E-INPUT-UNREADABLE"


def test_a_name_that_is_too_long_is_unreadable(tmp_path):
    assert refused(tmp_path / ("x" * 300)).error_id == "E-INPUT-UNREADABLE"


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_refused_without_blocking(path, kind, monkeypatch):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        monkeypatch.chdir(path.parent)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    error = refused(path)
    assert error.error_id == "E-INPUT-NOT-A-FILE"
    assert "a pipe, socket or device" in str(error)


@pytest.mark.parametrize(
    ("content", "error_id", "said"),
    [
        (b"", "E-INPUT-NOT-PARQUET", "an empty file (0 bytes)"),
        (b"PA", "E-INPUT-NOT-PARQUET", "2 bytes that begin with b'PA'"),
        (b"user_id,item_id\n", "E-INPUT-NOT-PARQUET", "b'user'"),
        (b"PAR1PAR1", "E-INPUT-CORRUPT", "truncated"),
        (b"PAR1" + b"\0" * 40, "E-INPUT-CORRUPT", "truncated"),
        (b"PAR1" + b"\0" * 40 + b"PAR1", "E-INPUT-CORRUPT", "its footer"),
        (b"PAR1" + b"\xff" * 40 + b"PAR1", "E-INPUT-CORRUPT", "its footer"),
        (b"PARE" + b"\0" * 40 + b"PARE", "E-INPUT-NOT-PARQUET", "encrypted"),
        (b"PAR1" + b"\0" * 40 + b"PARE", "E-INPUT-CORRUPT", "truncated"),
    ],
)
def test_what_is_no_parquet_is_named(path, content, error_id, said):
    path.write_bytes(content)
    error = refused(path)
    assert (error.error_id, error.exit_code) == (error_id, 3)
    assert said in str(error)


def test_column_names_that_are_not_unique_are_refused(path):
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, ["a", "b", "a"]), path)
    error = refused(path)
    assert error.error_id == "E-INPUT-COLUMNS"
    assert "more than once: a" in str(error)


@pytest.mark.parametrize("reading", ["_require_magic", "_look_at_bytes"])
def test_a_disk_that_fails_is_no_damage(path, monkeypatch, reading):
    write(path)

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(pair_files, reading, fail)
    error = refused(path)
    assert error.error_id == "E-INPUT-UNREADABLE"
    assert "Input/output error" in str(error)


@pytest.mark.parametrize("change", ["rewritten", "grown", "touched", "removed", "replaced"])
def test_a_file_that_changed_while_it_was_read_is_refused(path, tmp_path, change):
    write(path)
    pairs = open_pairs(path)
    if change == "rewritten":
        write(path, rows=4)
    elif change == "grown":
        with path.open("ab") as file:
            file.write(b"x")
    elif change == "touched":
        os.utime(path, ns=(0, 1))
    elif change == "removed":
        path.unlink()
    else:
        write(tmp_path / "new")
        (tmp_path / "new").replace(path)
    with pytest.raises(TryLaterError) as caught:
        pairs.require_unchanged()
    assert caught.value.error_id == "E-INPUT-CHANGED"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_outside_the_footer_goes_unnoticed(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    write(path, 50, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    data_bytes = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    position = data.draw(st.integers(4, data_bytes - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        found = [row for batch in open_pairs(path).batches(["user_id"]) for row in batch.table.to_pylist()]
    except InputError as error:
        found = error.error_id
    assert found in (
        "E-INPUT-CORRUPT", "E-INPUT-UNSUPPORTED", [{"user_id": f"u{row}"} for row in range(50)],
    )  # fmt: skip


@pytest.mark.parametrize("change", [1, 28, 112])
def test_no_damage_of_the_pages_heads_which_have_no_checksum_goes_unnoticed(tmp_path, change):
    path = tmp_path / "damaged.parquet"
    write(path, 50, write_page_checksum=True)
    content = path.read_bytes()
    for position in range(4, 40):
        path.write_bytes(content[:position] + bytes([content[position] ^ change]) + content[position + 1 :])
        try:
            found = [row for batch in open_pairs(path).batches(["user_id"]) for row in batch.table.to_pylist()]
        except InputError as error:
            found = error.error_id
        assert found in (
            "E-INPUT-CORRUPT", "E-INPUT-UNSUPPORTED", [{"user_id": f"u{row}"} for row in range(50)],
        ), position  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_byte_of_a_file_leads_to_anything_but_an_input_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    write(path, 50)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))])
    with suppress(InputError):
        pairs = open_pairs(path)
        for _ in pairs.batches([name for name in ("user_id", "item_id") if name in pairs.schema.names]):
            pass
