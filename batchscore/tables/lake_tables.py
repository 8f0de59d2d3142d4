"""Tables whose folder holds more than their rows: Delta Lake, Iceberg, Hudi and their like.

Beside the files that belong to such a table lie those that it has deleted or replaced, and a file that belongs to
it may hold deleted rows. Only the table's own log tells, so none of its files is read as what it seems to be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batchscore.errors import InputError

_ICEBERG_METADATA = r".+\.metadata\.json(\.gz)?"
_HIVE_ACID = r"(base|delta|delete_delta)_\d{7,}(_\d{7,})?(_\d{4})?(_v\d+)?"
_DUCKLAKE_FILE = r"ducklake-[0-9a-f-]{36}(-delete)?\.parquet"


@dataclass(frozen=True)
class _Format:
    name: str
    export: str
    """How to write the rows of such a table as files of their own."""


_DELTA = _Format("a Delta Lake table", 'Spark: spark.read.format("delta").load(TABLE).write.parquet(PAIRS); '
                 "without Spark: deltalake.DeltaTable(TABLE).to_pyarrow_dataset()")  # fmt: skip
_HUDI = _Format("an Apache Hudi table", 'Spark: spark.read.format("hudi").load(TABLE).write.parquet(PAIRS)')
_ICEBERG = _Format("an Apache Iceberg table", "Spark: spark.table(TABLE).write.parquet(PAIRS); without Spark: "
                   "pyiceberg's catalog.load_table(TABLE).scan().to_arrow_batch_reader()")  # fmt: skip
_STREAMING = _Format("the output of a Spark stream", "Spark, which reads the stream's log: "
                     "spark.read.parquet(FOLDER).write.parquet(PAIRS)")  # fmt: skip
_PAIMON = _Format("an Apache Paimon table", 'Spark: spark.read.format("paimon").load(TABLE).write.parquet(PAIRS)')
_HIVE = _Format("a transactional Hive table", "Hive: INSERT OVERWRITE DIRECTORY 'PAIRS' STORED AS PARQUET "
                "SELECT * FROM TABLE")  # fmt: skip
_DUCKLAKE = _Format("a DuckLake table", "DuckDB: COPY (FROM TABLE) TO 'PAIRS.parquet'")


def require_no_table(path: Path) -> None:
    """Raise InputError (E-INPUT-TABLE) if the file or folder `path` is part of a table that keeps a log.

    The log is looked for beside the file, in the folder, and in every folder above, also behind symbolic links.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolves `..` without asking the file system
    for place in dict.fromkeys((absolute, Path(os.path.realpath(path)))):
        for folder in (place, *place.parents):
            for format_, marker in _markers(folder):
                raise InputError(
                    "E-INPUT-TABLE",
                    f"the input is part of {format_.name}",
                    where=path,
                    found=str(marker),
                    expected="Parquet files with current rows only; the folder of a table also holds deleted and "
                    "replaced rows",
                    next_step=f"write the table's current rows as Parquet and give those. {format_.export}",
                )


def _markers(folder: Path) -> Iterator[tuple[_Format, Path]]:
    """The table formats whose marks `folder` bears in its name or directly inside, and the mark."""
    if re.fullmatch(_HIVE_ACID, folder.name):
        yield _HIVE, folder
    if re.fullmatch(_DUCKLAKE_FILE, folder.name):
        yield _DUCKLAKE, folder
    for format_, name in (
        (_DELTA, "_delta_log"),
        (_HUDI, ".hoodie"),
        (_HUDI, ".hoodie_partition_metadata"),
        (_STREAMING, "_spark_metadata"),
    ):
        if os.path.lexists(folder / name):
            yield format_, folder / name
    with suppress(OSError):
        for path in sorted((folder / "metadata").iterdir()):
            if re.fullmatch(_ICEBERG_METADATA, path.name):
                yield _ICEBERG, path
    if os.path.isdir(folder / "snapshot") and os.path.lexists(folder / "schema" / "schema-0"):  # noqa: PTH112
        yield _PAIMON, folder / "snapshot"
