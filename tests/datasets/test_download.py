import hashlib
import http.server
import logging
import re
import sys
import threading

import pooch
import pytest

from batchscore.datasets.download import KNOWN_ARCHIVES, KnownArchive, download_archive
from batchscore.datasets.movielens import convert_movielens
from batchscore.errors import InputError, OutputError, UsageError


@pytest.fixture
def serve(tmp_path_factory, monkeypatch):
    """Serve files on loopback; gives the base address and the list of paths that were asked for."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder, asked = tmp_path_factory.mktemp("served"), []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))  # seconds between looks at shutdown
    thread.start()

    def add(name, content):
        (folder / name).write_bytes(content)
        return f"http://127.0.0.1:{server.server_port}/{name}"

    add.asked = asked
    yield add
    server.shutdown()
    thread.join()
    server.server_close()


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_a_name_is_downloaded_verified_converted_and_kept(serve, make_zip, movielens_files, tmp_path):
    content = make_zip(movielens_files("TAB")).read_bytes()
    url = serve("ml-tiny.zip", content)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for checksum in (sha256(content), f"md5:{md5}"):
        known = {"ml-tiny": KnownArchive(url, checksum)}
        report = convert_movielens("ml-tiny", tmp_path / "out", known=known)
        assert report.interactions == 5
    assert (tmp_path / "out" / "ml-tiny.zip").read_bytes() == content
    assert serve.asked == ["/ml-tiny.zip"]  # once: the file that is there has the right checksum


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(serve, tmp_path):
    url = serve("ml-tiny.zip", b"something else")
    expected = sha256(b"what was published")
    with pytest.raises(InputError) as caught:
        download_archive(KnownArchive(url, expected), tmp_path, retries=0)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-DOWNLOAD", 3)
    what, where, found, *rest = str(caught.value).split("\n")
    assert (what, where) == ("E-DOWNLOAD: the archive could not be downloaded", f"  where:    {url}")
    assert sha256(b"something else").removeprefix("sha256:") in found
    assert rest == [
        f"  expected: a file of checksum {expected}",
        "  next:     try again later, or get it by hand, compare its checksum and give its path",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_stale_file_is_replaced_only_by_the_right_one(serve, tmp_path):
    (tmp_path / "ml-tiny.zip").write_bytes(b"stale")
    url = serve("ml-tiny.zip", b"published")
    with pytest.raises(InputError):
        download_archive(KnownArchive(url, sha256(b"another")), tmp_path, retries=0)
    assert (tmp_path / "ml-tiny.zip").read_bytes() == b"stale"
    path = download_archive(KnownArchive(url, sha256(b"published")), tmp_path, retries=0)
    assert path.read_bytes() == b"published"


def test_a_missing_file_and_a_dead_server(serve, tmp_path):
    url = serve("ml-tiny.zip", b"").replace("ml-tiny", "gone")
    with pytest.raises(InputError) as caught:
        download_archive(KnownArchive(url, sha256(b"")), tmp_path, retries=1)
    assert f"\n  found:    404 Client Error: File not found for url: {url}\n" in str(caught.value)
    assert serve.asked.count("/gone.zip") >= 2  # tried again
    dead = re.sub(r":\d+/", ":9/", url)
    with pytest.raises(InputError) as caught:
        download_archive(KnownArchive(dead, sha256(b"")), tmp_path, retries=0)
    assert "Connection refused" in str(caught.value)


def test_the_library_logs_nothing_of_its_own(serve, tmp_path, monkeypatch):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    monkeypatch.setattr(pooch.get_logger(), "handlers", [handler])
    level = pooch.get_logger().level
    download_archive(KnownArchive(serve("a.zip", b"x"), sha256(b"x")), tmp_path, retries=0)
    assert records == []
    assert pooch.get_logger().level == level


def test_a_folder_that_cannot_be_made(serve, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError) as caught:
        download_archive(KnownArchive(serve("a.zip", b""), sha256(b"")), tmp_path / "out" / "deeper", retries=0)
    assert caught.value.error_id == "E-OUTPUT"
    assert f"\n  where:    {tmp_path / 'out' / 'deeper' / 'a.zip'}\n" in str(caught.value)


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(UsageError) as caught:
        convert_movielens("ml-100k", tmp_path)
    url = KNOWN_ARCHIVES["ml-100k"].url
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "E-EXTRA-MISSING: downloading needs the package pooch, which is not installed\n"
        "  found:    import of pooch halted; None in sys.modules\n"
        f"  next:     pip install 'batchscore[download]', or get {url} by hand and give its path"
    )


def test_every_known_archive_has_an_address_of_its_own_and_a_whole_checksum():
    for name, archive in KNOWN_ARCHIVES.items():
        assert archive.url == f"https://files.grouplens.org/datasets/movielens/{name}.zip"
        assert re.fullmatch("sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", archive.checksum)
    assert len({archive.checksum for archive in KNOWN_ARCHIVES.values()}) == len(KNOWN_ARCHIVES)


def test_the_real_archive_has_the_known_checksum(real_movielens):
    assert sha256(real_movielens.read_bytes()) == KNOWN_ARCHIVES["ml-latest-small"].checksum
