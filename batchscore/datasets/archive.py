"""Reading the files of a MovieLens archive: a zip file, or the folder it was unpacked to.

Nothing is ever extracted: members are read as streams, so the paths that a zip file names cannot lead anywhere.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from batchscore.errors import InputError

NEXT_STEP = "get the archive again, or unpack it yourself and give the folder with its files"

_RATIO_CHECKED_BYTES = 16 << 20
_MAX_RATIO = 100
"""A member of more than 16 MiB may unpack to at most 100 times its packed size; MovieLens reaches 6."""

_ENCRYPTED = 0x1
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,  # a compression method that zipfile does not know
    UnicodeDecodeError,
    pa.ArrowInvalid,
    pa.ArrowKeyError,
)


@dataclass(frozen=True)
class _Member:
    path: str
    bytes: int
    packed_bytes: int
    encrypted: bool
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class Archive:
    """The files of an archive by their base names; `where` is what the user named."""

    where: Path
    members: Mapping[str, Sequence[_Member]]

    def has(self, names: Sequence[str]) -> bool:
        """Whether every one of the files is there."""
        return all(name in self.members for name in names)

    @contextmanager
    def reading(self, name: str, *, max_bytes: int) -> Iterator[BinaryIO]:
        """The file `name` as a stream of its content; at most `max_bytes` are ever unpacked.

        Whatever shows that the file is broken, in the stream or in what the `with` block makes of it (Arrow's
        and UTF-8's complaints), is raised as InputError (E-ARCHIVE).
        """
        if len(self.members[name]) > 1:
            paths = sorted(member.path for member in self.members[name])
            raise self.broken(name, "holds a file more than once", found=", ".join(paths[:4]), expected="one")
        [member] = self.members[name]
        if member.encrypted:
            raise self.broken(name, "holds an encrypted file", found=member.path, expected="no password")
        if member.bytes > max_bytes:
            raise self.broken(
                name,
                "holds a file that is larger than any MovieLens file",
                found=f"{member.bytes:,} bytes unpacked",
                expected=f"at most {max_bytes:,}",
            )
        if member.bytes > _RATIO_CHECKED_BYTES and member.bytes > member.packed_bytes * _MAX_RATIO:
            raise self.broken(
                name,
                "holds a file that is packed suspiciously well",
                found=f"{member.packed_bytes:,} bytes unpack to {member.bytes:,}",
                expected=f"at most {_MAX_RATIO} times",
            )
        try:
            with member.open() as stream:
                yield stream
        except _BROKEN as error:
            raise self.broken(name, "holds a file that cannot be read", found=error) from error

    def broken(self, name: str, what: str, *, found: object, expected: object = None) -> InputError:
        """The error E-ARCHIVE for the file `name`; `what` goes on from "the archive"."""
        return InputError(
            "E-ARCHIVE",
            f"the archive {what}",
            where=f"{self.where}, {name}",
            found=found,
            expected=expected,
            next_step=NEXT_STEP,
        )


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The archive at `path`, a zip file or a folder that holds the files. Raises InputError (E-ARCHIVE)."""
    if path.is_dir():
        yield Archive(path, {file.name: [_file_member(file)] for file in path.iterdir() if file.is_file()})
        return
    if not path.is_file():
        raise _not_an_archive(path, "something that is neither a file nor a folder")
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise _not_an_archive(path, error) from error
    with file:
        members: dict[str, list[_Member]] = {}
        for info in file.infolist():
            if not info.is_dir():
                members.setdefault(info.filename.rpartition("/")[2], []).append(_zip_member(file, info))
        yield Archive(path, members)


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    # zipfile never unpacks more than the size that the member declares, so checking that size is enough
    return _Member(
        info.filename,
        info.file_size,
        info.compress_size,
        bool(info.flag_bits & _ENCRYPTED),
        lambda: file.open(info),  # type: ignore[arg-type,return-value] # typed as IO[bytes]
    )


def _file_member(file: Path) -> _Member:
    size = file.stat().st_size
    return _Member(str(file), size, size, encrypted=False, open=lambda: file.open("rb"))


def _not_an_archive(path: Path, found: object) -> InputError:
    return InputError(
        "E-ARCHIVE",
        "this is not an archive",
        where=path,
        found=found,
        expected="a zip file, or a folder with its files",
        next_step=NEXT_STEP,
    )
