from __future__ import annotations

import errno
import os

import pytest

from batchscore.system.lock import hold_lock


def test_one_holds_it_and_the_next_one_can_afterwards(tmp_path):
    lock = tmp_path / "lock"
    with hold_lock(lock), pytest.raises(BlockingIOError), hold_lock(lock):
        pass
    with hold_lock(lock):
        pass
    assert lock.read_bytes() == b""


def test_a_lock_that_was_removed_meanwhile_holds_nothing(tmp_path, monkeypatch):
    from batchscore.system import lock as module

    lock, flock = tmp_path / "lock", module.fcntl.flock

    def remove_and_lock(descriptor, how):
        lock.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", remove_and_lock)
    with pytest.raises(BlockingIOError, match="removed"), hold_lock(lock):
        pass


@pytest.mark.timeout(20)
def test_a_pipe_in_its_place_is_not_waited_for_and_a_link_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with hold_lock(tmp_path / "pipe"):
        pass
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(OSError, match="symbolic link") as caught, hold_lock(tmp_path / "link"):
        pass
    assert caught.value.errno == errno.ELOOP
    assert not (tmp_path / "elsewhere").exists()
