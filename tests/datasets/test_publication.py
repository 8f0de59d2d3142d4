import errno
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.datasets.publication import Publication
from batchscore.errors import OutputError, StoppedError
from batchscore.observer import Observer

SCHEMA = pa.schema([("n", pa.int64())])


def table(*numbers):
    return pa.table({"n": numbers}, schema=SCHEMA)


def publish(folder, **files):
    with Publication(folder, Observer()) as publication:
        for name, tables in files.items():
            publication.write(name, SCHEMA, tables)


def contents(folder):
    return {path.name: pq.read_table(path)["n"].to_pylist() for path in sorted(folder.iterdir())}


def test_files_replace_those_before_and_each_table_is_a_row_group(tmp_path):
    publish(tmp_path, a=[table(1)], b=[table(2)])
    publish(tmp_path, a=[table(3, 4), table(5)], b=[])
    assert contents(tmp_path) == {"a": [3, 4, 5], "b": []}
    assert pq.ParquetFile(tmp_path / "a").metadata.num_row_groups == 2


def test_files_can_be_read_by_whoever_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        publish(tmp_path, a=[table(1)])
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("failure", [RuntimeError("bug"), StoppedError(15), MemoryError()])
def test_a_failure_at_any_table_leaves_the_files_before(tmp_path, failure):
    publish(tmp_path, a=[table(1)], b=[table(2)])

    def failing():
        yield table(9)
        raise failure

    with pytest.raises(type(failure)):
        publish(tmp_path, a=[table(8)], b=failing())
    assert contents(tmp_path) == {"a": [1], "b": [2]}


def test_a_full_disk_leaves_the_files_before_and_says_so(tmp_path, monkeypatch):
    publish(tmp_path, a=[table(1)])

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError) as caught:
        publish(tmp_path, a=[table(2)])
    assert caught.value.exit_code == 5
    assert str(caught.value) == (
        "E-OUTPUT: the output cannot be written\n"
        f"  where:    {tmp_path / 'a'}\n"
        "  found:    No space left on device\n"
        "  next:     check the folder, its permissions and the free space, or give another --output"
    )
    assert contents(tmp_path) == {"a": [1]}


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError) as caught:
        publish(tmp_path / "out", a=[table(1)])
    assert "\n  found:    File exists\n" in str(caught.value)
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("kind", ["folder", "symlink", "pipe"])
def test_what_is_no_regular_file_is_never_replaced(tmp_path, kind):
    target = tmp_path / "a"
    if kind == "folder":
        target.mkdir()
    elif kind == "symlink":
        target.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(target)
    with pytest.raises(OutputError) as caught:
        publish(tmp_path, a=[table(1)])
    assert str(caught.value) == (
        "E-OUTPUT: the output exists and is not a regular file\n"
        f"  where:    {target}\n"
        "  next:     move it away, or give another --output"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
