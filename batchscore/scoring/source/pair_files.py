"""One pair file, opened. It is another's: nothing about it is believed before it is looked at."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.errors import InputError, TryLaterError, first_line, format_list, reason_of, shorten
from batchscore.scoring.source.checksums import has_checksums
from batchscore.settings.paths import modified_at
from batchscore.tables.parquet_files import READ_ERRORS, ParquetContent, open_source, raise_if_no_damage

_MAGIC = b"PAR1"
_ENCRYPTED_MAGIC = b"PARE"
_MIN_BYTES = 12
_FINGERPRINTED = 65_536


@dataclass(frozen=True)
class PairFile:
    """A Parquet file of pairs, as it was when its footer was read."""

    path: Path
    metadata: pq.FileMetaData
    schema: pa.Schema
    bytes: int
    modified_at: dt.datetime
    identity: tuple[int, int, int, int]
    fingerprint: str
    checksums: bool | None
    """Whether its pages have checksums; None if it has no page."""

    @property
    def rows(self) -> int:
        """Rows, by the footer."""
        return int(self.metadata.num_rows)

    def batches(
        self, columns: Sequence[str], rows: int, *, as_dictionaries: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        """All rows, at most `rows` at a time, with these columns (see `ParquetContent.batches`).

        TryLaterError (E-INPUT-CHANGED) if the file is another one now.
        """
        self.require_unchanged()
        with open_source(self.path) as source:
            yield from ParquetContent(source, self.metadata, self.schema).batches(columns, rows, as_dictionaries)

    def require_unchanged(self) -> None:
        """Raise TryLaterError (E-INPUT-CHANGED) if the path holds other data now than when it was opened."""
        try:
            identity = _identity(self.path.stat())
            now = f"now {_describe(identity)}"
        except OSError as error:
            identity, now = None, reason_of(error)
        if identity != self.identity:
            raise TryLaterError(
                "E-INPUT-CHANGED",
                "the input changed while it was read",
                where=self.path,
                found=now,
                expected=f"{_describe(self.identity)}, as when it was opened",
                next_step="let the job that writes it finish first, then run again",
            )


def open_pair_file(path: Path, if_not_parquet: str, flag: str) -> PairFile:
    """Read the footer of the Parquet file `path`; a file that is none is told what to do by `if_not_parquet`.

    `flag` is what the command calls the path by, for messages. Raises as `parquet_source.open_pairs` does.
    """
    status = _stat_regular(path, flag)
    try:
        _require_magic(path, status.st_size, if_not_parquet)
        with open_source(path) as source:
            content = ParquetContent.of(source)
        fingerprint, checksums = _look_at_bytes(path, status.st_size)
    except READ_ERRORS as error:
        raise corrupt(path, "its footer", error) from error
    names = content.schema.names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            "E-INPUT-COLUMNS",
            "column names are not unique",
            where=path,
            found=f"more than once: {format_list(map(shorten, repeated))}",
            next_step="rename them where the file is written",
        )
    return PairFile(
        path=path,
        metadata=content.metadata,
        schema=content.schema,
        bytes=status.st_size,
        modified_at=modified_at(status),
        identity=_identity(status),
        fingerprint=fingerprint,
        checksums=checksums,
    )


def corrupt(path: Path, place: str, error: Exception) -> InputError:
    """The error for a Parquet file that does not decode at `place`; what is no damage is raised as what it is."""
    raise_if_no_damage(error, path, "the input")
    return InputError(
        "E-INPUT-CORRUPT",
        f"the Parquet file is damaged in {place}",
        where=path,
        found=first_line(error),
        next_step="write or copy the file again",
    )


def _stat_regular(path: Path, flag: str) -> os.stat_result:
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
    except FileNotFoundError as error:
        raise TryLaterError(
            "E-INPUT-MISSING", "the input is not there (yet)", where=path,
            next_step=f"wait for the job that writes it, or correct {flag}",
        ) from error  # fmt: skip
    except OSError as error:
        raise InputError(
            "E-INPUT-UNREADABLE", f"the input cannot be opened: {reason_of(error)}", where=path,
            next_step="check its permissions and the path",
        ) from error  # fmt: skip
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            "E-INPUT-NOT-A-FILE", "the input is not a regular file", where=path,
            found="a pipe, socket or device", expected="Parquet files",
            next_step="give the Parquet file itself, or a folder of such files",
        )  # fmt: skip
    return status


def _require_magic(path: Path, size: int, if_not_parquet: str) -> None:
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(size - 4, 0))
        tail = file.read(4)
    if head == _MAGIC and (size < _MIN_BYTES or tail != _MAGIC):
        raise InputError(
            "E-INPUT-CORRUPT", "the Parquet file is truncated", where=path,
            found=f"{size:,} bytes that begin with PAR1 and end without it",
            next_step="wait for the job that writes it to finish, or copy the file again",
        )  # fmt: skip
    if _ENCRYPTED_MAGIC in (head, tail):
        raise InputError(
            "E-INPUT-NOT-PARQUET", "the Parquet file is encrypted", where=path, found="magic PARE",
            expected="PAR1", next_step="write it without encryption",
        )  # fmt: skip
    if head != _MAGIC:
        found = f"{size:,} bytes that begin with {head!r}" if size else "an empty file (0 bytes)"
        raise InputError(
            "E-INPUT-NOT-PARQUET", "the input is not a Parquet file", where=path, found=found,
            expected="bytes that begin and end with PAR1",
            next_step=if_not_parquet,
        )  # fmt: skip


def _look_at_bytes(path: Path, size: int) -> tuple[str, bool | None]:
    """A fingerprint, and whether its pages have checksums.

    The fingerprint is SHA-256 over the first, middle and last 64 KiB: enough to tell last night's feed, whatever
    its date.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for start in sorted({0, max(size // 2 - _FINGERPRINTED // 2, 0), max(size - _FINGERPRINTED, 0)}):
            file.seek(start)
            digest.update(file.read(_FINGERPRINTED))
        return digest.hexdigest(), has_checksums(file)


def _describe(identity: tuple[int, int, int, int]) -> str:
    _, inode, size, modified = identity
    return f"{size:,} bytes, inode {inode}, modified at {modified / 1e9:.6f} s"


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
