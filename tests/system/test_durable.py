from __future__ import annotations

import errno
import os

import pytest

from batchscore.system.durable import sync, write_whole


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
