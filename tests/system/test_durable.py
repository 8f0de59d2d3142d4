from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from batchscore.system.durable import replacing, sync, sync_tree, unique_temporary_beside, write_whole


def test_a_directory_behind_a_link_is_flushed_and_a_file_behind_one_is_not_touched(tmp_path):
    (tmp_path / "releases" / "42").mkdir(parents=True)
    (tmp_path / "file").write_text("whole")
    (tmp_path / "current").symlink_to("releases/42")
    (tmp_path / "link").symlink_to("file")
    for path in ("releases", "current", "file"):
        sync(tmp_path / path)
    with pytest.raises(OSError, match="symbolic links") as caught:
        sync(tmp_path / "link")
    assert caught.value.errno == errno.ELOOP


def test_a_file_is_written_whole_and_a_link_in_its_place_is_replaced(tmp_path):
    (tmp_path / "other").write_text("untouched")
    (tmp_path / "file").symlink_to("other")
    write_whole(tmp_path / "file", "ü\n")
    assert (tmp_path / "file").read_bytes() == b"\xc3\xbc\n"
    assert (tmp_path / "other").read_text() == "untouched"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("other"), lambda path: path.touch()])
def test_what_stands_in_the_place_of_the_temporary_file_is_removed_not_written_to(tmp_path, put):
    (tmp_path / "other").write_text("untouched")
    put(tmp_path / ".file.tmp")
    write_whole(tmp_path / "file", "whole")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "whole", "other": "untouched"}


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "file", "\ud800")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}


def flushed(monkeypatch):
    """The names of what is flushed from now on, in order."""
    names, fsync = [], os.fsync

    def note(file):
        names.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        fsync(file)

    monkeypatch.setattr(os, "fsync", note)
    return names


def test_the_content_is_flushed_before_the_rename_and_the_name_after_it(tmp_path, monkeypatch):
    names = flushed(monkeypatch)
    write_whole(tmp_path / "file", "whole")
    assert names == [str(tmp_path / ".file.tmp"), str(tmp_path)]


def test_a_name_that_cannot_be_flushed_is_a_warning_for_the_file_is_there(tmp_path, monkeypatch, caplog):
    def fail_for_folders(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EIO, "bad disk")

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    write_whole(tmp_path / "file", "whole")
    assert (tmp_path / "file").read_text() == "whole"
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'file'} is written, but may not survive a power cut: bad disk"
    ]


def test_writers_with_temporary_files_of_their_own_do_not_meet(tmp_path):
    target = tmp_path / "file"
    with replacing(target, unique_temporary_beside(target)) as one:
        one.write_text("one")
        write_whole(target, "two", temporary=unique_temporary_beside(target))
        assert target.read_text() == "two"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "one"}


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_text("old")

    def fail_halfway():
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "old"}


def test_a_mode_is_that_of_the_file(tmp_path):
    write_whole(tmp_path / "file", "whole", mode=0o600)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600


def test_a_tree_is_flushed_from_its_leaves_to_its_root(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("")
    names = flushed(monkeypatch)
    sync_tree(tmp_path)
    assert names == [str(tmp_path.joinpath(part)) for part in ("a/b/file", "a/b", "a", "")]
