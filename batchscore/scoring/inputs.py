"""Opening the pair file. It is somebody else's: nothing about it is believed before it is looked at."""

from __future__ import annotations

import datetime as dt
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.errors import InputError, TryLaterError

_MAGIC = b"PAR1"
_ENCRYPTED_MAGIC = b"PARE"
_LEAST_BYTES = 12


@dataclass(frozen=True)
class PairFile:
    """An open Parquet file of pairs, as it was when it was opened."""

    path: Path
    parquet: pq.ParquetFile
    schema: pa.Schema
    rows: int
    bytes: int
    modified_at: dt.datetime
    identity: tuple[int, int, int, int]

    def require_unchanged(self) -> None:
        """Raise InputError (E-INPUT-CHANGED) where the path holds other data now than when it was opened."""
        try:
            now: object = _identity(self.path.stat())
        except OSError as error:
            now = error.strerror
        if now != self.identity:
            raise InputError(
                "E-INPUT-CHANGED",
                "the input changed while it was read",
                where=self.path,
                found=f"now (device, inode, bytes, ns) {now}",
                expected=str(self.identity),
                next_step="let the job that writes it finish first, then run again",
            )


def open_pairs(path: Path) -> PairFile:
    """Open the Parquet file `path` and read its footer.

    Raises TryLaterError (E-INPUT-MISSING) or InputError: E-INPUT-UNREADABLE, E-INPUT-NOT-A-FILE,
    E-INPUT-NOT-PARQUET, E-INPUT-CORRUPT, E-INPUT-COLUMNS. Never blocks, whatever `path` is.
    """
    status = _stat_regular(path)
    _require_magic(path, status.st_size)
    try:
        parquet = pq.ParquetFile(pa.OSFile(str(path)), page_checksum_verification=True)
        schema = parquet.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise corrupt(path, "its footer", error) from error
    repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if repeated:
        raise InputError(
            "E-INPUT-COLUMNS",
            "column names are not unique",
            where=path,
            found=f"more than once: {', '.join(repeated)}",
            next_step="rename them where the file is written",
        )
    return PairFile(
        path=path,
        parquet=parquet,
        schema=schema,
        rows=parquet.metadata.num_rows,
        bytes=status.st_size,
        modified_at=dt.datetime.fromtimestamp(status.st_mtime, dt.UTC),
        identity=_identity(status),
    )


def corrupt(path: Path, place: str, error: BaseException) -> InputError:
    """The error for a Parquet file that does not decode at `place`."""
    return InputError(
        "E-INPUT-CORRUPT",
        f"the Parquet file is damaged in {place}",
        where=path,
        found=(str(error).strip().splitlines() or [type(error).__name__])[0][:300],
        next_step="write or copy the file again",
    )


def _stat_regular(path: Path) -> os.stat_result:
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
    except FileNotFoundError as error:
        raise TryLaterError(
            "E-INPUT-MISSING", "the input is not there (yet)", where=path,
            next_step="wait for the job that writes it, or correct --input",
        ) from error  # fmt: skip
    except OSError as error:
        raise InputError(
            "E-INPUT-UNREADABLE", f"the input cannot be opened: {error.strerror}", where=path,
            next_step="check its permissions and the path",
        ) from error  # fmt: skip
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise InputError(
            "E-INPUT-NOT-A-FILE", "the input is not a regular file", where=path, found=kind,
            expected="one Parquet file", next_step="give the Parquet file itself",
        )  # fmt: skip
    return status


def _require_magic(path: Path, size: int) -> None:
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(size - 4, 0))
        tail = file.read(4)
    if head == _MAGIC and (size < _LEAST_BYTES or tail != _MAGIC):
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
            next_step="write the pairs as Parquet, or correct --input",
        )  # fmt: skip


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
