from __future__ import annotations

import errno

import pytest

from batchscore.durable import sync


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
