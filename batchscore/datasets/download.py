"""Downloading a MovieLens archive by its name, with its checksum verified."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchscore.errors import InputError, OutputError, UsageError, reason_of

TIMEOUT_SECONDS = 60
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class KnownArchive:
    """Where a published archive lies, and its checksum, written `sha256:...` or `md5:...`."""

    url: str
    checksum: str


_GROUPLENS = "https://files.grouplens.org/datasets/movielens"

KNOWN_ARCHIVES: Mapping[str, KnownArchive] = {
    # SHA-256: the checksum list of TensorFlow Datasets, tensorflow_datasets/url_checksums/movielens.txt;
    # that of ml-latest-small was also computed from the archive (MD5 31a303aabbc519bd33d025e44d6c2570).
    # The MD5 that GroupLens publishes beside each archive is given after it for comparison by hand.
    "ml-latest-small": KnownArchive(
        f"{_GROUPLENS}/ml-latest-small.zip",
        "sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    ),
    "ml-100k": KnownArchive(  # MD5 0e33842e24a9c977be4e0107933c0723
        f"{_GROUPLENS}/ml-100k.zip", "sha256:50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229"
    ),
    "ml-1m": KnownArchive(  # MD5 c4d9eecfca2ab87c1945afe126590906
        f"{_GROUPLENS}/ml-1m.zip", "sha256:a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20"
    ),
    "ml-20m": KnownArchive(  # MD5 cd245b17a1ae2cc31bb14903e1204af3
        f"{_GROUPLENS}/ml-20m.zip", "sha256:96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3"
    ),
    "ml-25m": KnownArchive(  # MD5 6b51fb2759a8657d3bfcbfc42b592ada
        f"{_GROUPLENS}/ml-25m.zip", "sha256:8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa"
    ),
    # MD5 only: the ml-32m.zip.md5 that GroupLens publishes, as several public projects quote it.
    "ml-32m": KnownArchive(f"{_GROUPLENS}/ml-32m.zip", "md5:d472be332d4daa821edc399621853b57"),
}
"""Archives that can be asked for by name. Not ml-latest: it changes, so it has no lasting checksum."""


def download_archive(archive: KnownArchive, folder: Path, *, retries: int = 2) -> Path:
    """The path of `archive` in `folder` (made if it is missing), downloaded unless it is there already.

    A file there with another checksum is replaced, and only by one with the right checksum. A failed download is
    tried again `retries` times after 1, 2, ... seconds. Needs the extra `download`.

    Raises UsageError (E-EXTRA-MISSING), InputError (E-DOWNLOAD), OutputError (E-OUTPUT).
    """
    try:
        import pooch  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            "E-EXTRA-MISSING",
            "downloading needs the package pooch, which is not installed",
            found=error,
            next_step=f"pip install 'batchscore[download]', or get {archive.url} by hand and give its path",
        ) from error
    name = archive.url.rpartition("/")[2]
    fetcher = pooch.create(
        folder, base_url="", registry={name: archive.checksum}, urls={name: archive.url}, retry_if_failed=retries
    )
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS, chunk_size=_CHUNK_BYTES)
    try:
        with _quiet(pooch.get_logger()):
            return Path(fetcher.fetch(name, downloader=downloader))
    except (OSError, ValueError) as error:  # the errors of requests are OSErrors without a number
        if isinstance(error, OSError) and error.errno is not None:
            raise OutputError(
                "E-OUTPUT",
                "the downloaded archive cannot be stored",
                where=folder / name,
                found=reason_of(error),
                next_step="check the folder, its permissions and the free space, or give another --output",
            ) from error
        raise InputError(
            "E-DOWNLOAD",
            "the archive could not be downloaded",
            where=archive.url,
            found=error,
            expected=f"a file of checksum {archive.checksum}",
            next_step="try again later, or get it by hand, compare its checksum and give its path",
        ) from error


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch from reporting on stderr what the caller's observer reports already."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
