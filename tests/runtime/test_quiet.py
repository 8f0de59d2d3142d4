from __future__ import annotations

import os
import tempfile

import pytest

from batchscore.runtime.quiet import stderr_silenced


def write_to_descriptor(text: str) -> None:
    os.write(2, text.encode())


def test_what_a_library_writes_is_kept_back(capfd):
    with stderr_silenced():
        write_to_descriptor("greetings\n")
    write_to_descriptor("after\n")
    assert capfd.readouterr().err == "after\n"


def test_where_the_block_fails_it_is_told(capfd):
    def fail() -> None:
        with stderr_silenced():
            write_to_descriptor("the reason\n")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert capfd.readouterr().err == "the reason\n"


@pytest.mark.parametrize("in_memory", [True, False])
def test_without_a_usable_temporary_folder_the_block_runs(capfd, monkeypatch, in_memory):
    def fail() -> None:
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")
    with stderr_silenced():
        write_to_descriptor("greetings\n")
    assert capfd.readouterr().err == ("" if in_memory else "greetings\n")


def test_a_closed_stderr_is_left_closed():
    before = os.dup(2)
    os.close(2)
    try:
        with stderr_silenced():
            pass
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(2)
    finally:
        os.dup2(before, 2)
        os.close(before)
