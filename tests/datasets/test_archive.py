import struct
import zipfile

import pytest

from batchscore.datasets.archive import open_archive
from batchscore.errors import InputError

NEXT = "  next:     get the archive again, or unpack it yourself and give the folder with its files"


def read(path, name="ratings.csv", max_bytes=1 << 30):
    with open_archive(path) as archive, archive.reading(name, max_bytes=max_bytes) as stream:
        return stream.read()


def failure(path, **kwargs):
    with pytest.raises(InputError) as caught:
        read(path, **kwargs)
    assert caught.value.error_id == "E-ARCHIVE"
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_zip_and_its_folder_read_the_same(make_zip, tmp_path):
    path = make_zip({"ml/ratings.csv": b"a,b\r\n", "ml/other": b""})
    with zipfile.ZipFile(path) as file:
        file.extractall(tmp_path)
    assert read(path) == read(tmp_path / "ml") == b"a,b\r\n"


@pytest.mark.parametrize("hostile", ["../../outside/ratings.csv", "/tmp/outside/ratings.csv", "C:/ratings.csv"])  # noqa: S108
def test_a_hostile_path_is_only_ever_read(make_zip, tmp_path, hostile):
    path = make_zip({hostile: b"content"})
    assert read(path) == b"content"
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive.zip"]


def test_a_file_that_is_there_twice_is_refused(make_zip):
    path = make_zip({"b/ratings.csv": b"1", "a/ratings.csv": b"2"})
    assert failure(path) == (
        "E-ARCHIVE: the archive holds a file more than once\n"
        f"  where:    {path}, ratings.csv\n"
        "  found:    a/ratings.csv, b/ratings.csv\n"
        "  expected: one\n" + NEXT
    )


def test_a_member_that_unpacks_too_far_is_refused(make_zip):
    path = make_zip({"ratings.csv": bytes(17 << 20)})
    assert "\n  expected: at most 100 times\n" in failure(path)
    assert failure(path, max_bytes=1 << 20) == (
        "E-ARCHIVE: the archive holds a file that is larger than any MovieLens file\n"
        f"  where:    {path}, ratings.csv\n"
        "  found:    17,825,792 bytes unpacked\n"
        "  expected: at most 1,048,576\n" + NEXT
    )


def test_a_member_that_understates_its_size_is_not_unpacked_further(make_zip):
    path = make_zip({"ratings.csv": bytes(1 << 20)})
    content = path.read_bytes()
    assert content.count(struct.pack("<L", 1 << 20)) == 2  # in the local and the central header
    path.write_bytes(content.replace(struct.pack("<L", 1 << 20), struct.pack("<L", 100)))
    assert "found:    Bad CRC-32 for file 'ratings.csv'" in failure(path)


def test_an_encrypted_member_is_refused(make_zip):
    path = make_zip({"ratings.csv": b"secret"})
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    assert failure(path) == (
        "E-ARCHIVE: the archive holds an encrypted file\n"
        f"  where:    {path}, ratings.csv\n"
        "  found:    ratings.csv\n"
        "  expected: no password\n" + NEXT
    )


def test_any_flipped_byte_of_the_content_is_noticed(make_zip):
    path = make_zip({"ratings.csv": b"".join(b"%d,%d\n" % (n, n * n) for n in range(300))})
    content = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        packed_bytes = file.infolist()[0].compress_size
    start = 30 + len("ratings.csv")
    for position in range(start, start + packed_bytes, 37):
        broken = bytearray(content)
        broken[position] ^= 0x10
        path.write_bytes(broken)
        assert "the archive holds a file that cannot be read" in failure(path)


@pytest.mark.parametrize("kept", [0, 10, 60])
def test_half_a_zip_is_no_archive(make_zip, kept):
    path = make_zip({"ratings.csv": b"1,2,3\n" * 100})
    path.write_bytes(path.read_bytes()[:kept])
    assert failure(path) == (
        "E-ARCHIVE: this is not an archive\n"
        f"  where:    {path}\n"
        "  found:    File is not a zip file\n"
        "  expected: a zip file, or a folder with its files\n" + NEXT
    )
