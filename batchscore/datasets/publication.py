"""Parquet files that appear in a folder together, or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.errors import OutputError, reason_of
from batchscore.observer import Observer
from batchscore.system.durable import sync, unique_temporary_beside


class Publication:
    """Write files into `folder` (made if it is missing) and show them when the `with` block ends well.

    Each file is written under a temporary name in `folder`, synced, and renamed over the file before it, so that
    a reader sees the old file or the new one, never a part. When the block fails, for whatever reason, the
    temporary files go and the files before them stay. Between two renames a crash can leave the first file new
    and the second old. Raises OutputError (E-OUTPUT).
    """

    def __init__(self, folder: Path, observer: Observer) -> None:
        self._folder = folder
        self._observer = observer
        self._pending: dict[Path, Path] = {}

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        return self

    def write(self, name: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> Path:
        """Write `tables` of `schema` as the file `name`; its path, where it will stand once the block ends.

        Each table becomes one row group, compressed with zstd, with a checksum on every page. The same tables give
        the same bytes under the same pyarrow version.
        """
        target = self._folder / name
        try:
            if target.is_symlink() or (target.exists() and not stat.S_ISREG(target.stat().st_mode)):
                raise OutputError(
                    "E-OUTPUT",
                    "the output exists and is not a regular file",
                    where=target,
                    next_step="move it away, or give another --output",
                )
            temporary = unique_temporary_beside(target)
            self._pending[target] = temporary
            with temporary.open("xb") as file:
                self._fill(file, schema, tables)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(target, error) from error
        return target

    def _fill(self, file: BinaryIO, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
        with pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(table.num_rows, 1))
                self._observer.advance(table.num_rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            for temporary in self._pending.values():
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def _commit(self) -> None:
        self._observer.committing()
        for target, temporary in self._pending.items():
            try:
                temporary.replace(target)
            except OSError as error:
                raise _unwritable(target, error) from error
        try:
            sync(self._folder)
        except OSError as error:
            raise _unwritable(self._folder, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        "E-OUTPUT",
        "the output cannot be written",
        where=path,
        found=reason_of(error),
        next_step="check the folder, its permissions and the free space, or give another --output",
    )
