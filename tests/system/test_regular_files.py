"""Files that others put there: whatever stands in the place of one is told in words, at once."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from batchscore.system.regular_files import open_regular, read_regular, require_regular


def put_folder(path):
    path.mkdir()


def put_pipe(path):
    os.mkfifo(path)


def put_socket(path):
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


def put_device(path):
    path.symlink_to(os.devnull)


def put_huge_file(path):
    path.touch()
    os.truncate(path, 2**40)  # sparse


KINDS = {
    "it is a folder, not a file": put_folder,
    "it is a named pipe, not a file": put_pipe,
    "it is a socket, not a file": put_socket,
    "it is a device, not a file": put_device,
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    return Path("file")


@pytest.mark.parametrize("words", KINDS)
@pytest.mark.parametrize("take", [require_regular, open_regular, read_regular])
def test_what_is_no_file_is_told_at_once(take, words, path):
    KINDS[words](path)
    with pytest.raises(OSError, match=r"file") as caught:
        take(path)
    assert caught.value.strerror == words
    assert caught.value.filename == "file"


def test_a_folder_is_the_error_that_python_has_for_it(path):
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        read_regular(path)


def test_a_pipe_that_takes_the_place_between_the_look_and_the_opening_is_not_waited_for(path, monkeypatch):
    os.mkfifo(path)
    monkeypatch.setattr("batchscore.system.regular_files.require_regular", lambda _: None)
    with pytest.raises(OSError, match=r"named pipe"):
        open_regular(path)
    assert not [entry for entry in Path("/proc/self/fd").iterdir() if _is_open(entry, path)]


def _is_open(entry, path):
    try:
        return entry.readlink() == path.absolute()
    except FileNotFoundError:  # the descriptor of the listing itself
        return False


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_an_oserror(name):
    with pytest.raises(OSError, match=r"no file can have this name"):
        read_regular(Path(name))


def test_a_file_is_read_whole_and_through_a_link(path):
    path.write_bytes(b"12345")
    Path("link").symlink_to(path)
    assert read_regular(path, 5) == read_regular(Path("link")) == b"12345"
    with open_regular(path) as file:
        assert file.read() == b"12345"


def test_a_file_that_grows_while_it_is_read_is_read_no_further(path, monkeypatch):
    path.write_bytes(b"12345")
    with pytest.raises(OSError, match=r"it is larger than 0 MiB"):
        read_regular(path, 4)
    monkeypatch.setattr(
        "batchscore.system.regular_files.os.fstat", lambda _: os.stat_result((0o100644, *[0] * 5, 3, *[0] * 3))
    )
    assert read_regular(path, 4) == b"123"


def test_a_huge_file_is_not_read(path):
    put_huge_file(path)
    with pytest.raises(OSError, match=r"it is larger than 64 MiB"):
        read_regular(path)


def test_a_missing_or_unreadable_file_is_pythons_own_error(path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        read_regular(path)
    path.touch()

    def deny(*_):
        raise PermissionError(13, "Permission denied", "file")

    monkeypatch.setattr("batchscore.system.regular_files.os.open", deny)
    with pytest.raises(PermissionError):
        read_regular(path)
