"""What is printed on stdout, and what is said where that does not work."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys

import pytest

from batchscore.cli.output import print_out

pytestmark = pytest.mark.usefixtures("batchscore")  # it puts the logging back


class Refusing(io.StringIO):
    """A stdout that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def flush(self) -> None:
        raise OSError(self._number, os.strerror(self._number))


@pytest.fixture
def printed(monkeypatch, capsys):
    """Runs `print_out` with a stdout of the test's own; gives what was said on stderr."""

    def run(text: str, stdout: io.TextIOBase) -> str:
        logging.getLogger("batchscore").handlers.clear()
        monkeypatch.setattr(sys, "stdout", stdout)
        print_out(text)
        return capsys.readouterr().err

    return run


def test_a_full_device_is_told(printed):
    assert "WARNING the result could not be written to standard output: No space left on device\n" in printed(
        "{}", Refusing(errno.ENOSPC)
    )


def test_a_reader_that_went_away_is_not_told(printed):
    assert printed("{}", Refusing(errno.EPIPE)) == ""


def test_what_the_terminal_cannot_show_is_spelled_out(printed):
    raw = io.BytesIO()
    assert printed("caf\u00e9 \udce9", io.TextIOWrapper(raw, "ascii")) == ""
    assert raw.getvalue() == b"caf\\xe9 \\udce9\n"
