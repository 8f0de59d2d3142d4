from __future__ import annotations

import os
import tempfile

import pytest

from batchscore.engine.quiet import quiet_start

GREETING = "I0000 00:00:1.2    3 port.cc:153] oneDNN custom operations are on.\n"


def write_to_descriptor(text):
    os.write(2, text.encode())


def test_greetings_are_dropped_and_all_else_is_told(capfd):
    with quiet_start():
        write_to_descriptor(GREETING)
        write_to_descriptor("E0000 something is wrong\n")
    write_to_descriptor("after\n")
    assert capfd.readouterr().err == "E0000 something is wrong\nafter\n"


def test_where_the_block_fails_what_was_written_is_told(capfd):
    def fail():
        with quiet_start():
            write_to_descriptor("the reason\n")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert capfd.readouterr().err == "the reason\n"


def test_without_a_usable_temporary_folder_the_block_runs(capfd, monkeypatch):
    def fail():
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    with quiet_start():
        write_to_descriptor(GREETING)
    assert capfd.readouterr().err == GREETING


def test_a_closed_stderr_is_left_closed():
    before = os.dup(2)
    os.close(2)
    try:
        with quiet_start():
            pass
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(2)
    finally:
        os.dup2(before, 2)
        os.close(before)
