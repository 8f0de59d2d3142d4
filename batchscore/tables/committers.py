"""What the writers of part files leave behind: marks of unfinished work, and names that promise a `_SUCCESS`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchscore.system.regular_files import read_regular

_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SPARK_PART = rf"(?i)part-([mr]-)?\d{{5,}}-(tid-\d+-)?{_UUID}([-._].*)?"
_MAPREDUCE_PART = r"part-[mr]-\d{5,}(\..*)?"

_WORKING_FOLDERS = (
    (r"_temporary", "Spark or Hadoop"),
    (r"__magic(_job-.*)?", "Hadoop's magic committer for S3"),
    (r"\.spark-staging-.*", "Spark"),
    (r"\.hive-staging.*", "Hive or Spark"),
)
_IMPALA_STAGING = "_impala_insert_staging"
"""Impala leaves it behind empty."""

_UNFINISHED_FILE = (
    r"(?i).*\.in-?progress(\..*)?"
    r"|.*\.(pending|tmp|temp|part|partial|filepart|crdownload|gstmp|_copying_)"
    r"|\..+\.parquet\.[A-Za-z0-9]{6}"
)
"""Flink's files in progress or pending, those of Flume and of most programs that copy, HDFS's, and rsync's."""

_STARTED, _COMMITTED, _TRANSACTION = "_started_", "_committed_", r"-tid-(\d+)-"


def promises_success(name: str) -> bool:
    """Whether a file is called as Spark or Hadoop call theirs, which write `_SUCCESS` when they are done.

    Spark's have the number of the task and the UUID of the job: `part-00000-3f0c...-c000.snappy.parquet`. Those of
    pyarrow (`part-0.parquet`), Dask (`part.0.parquet`), polars, DuckDB and Flink promise nothing.
    """
    return bool(re.fullmatch(_SPARK_PART, name) or re.fullmatch(_MAPREDUCE_PART, name))


def find_unfinished(folder: Path, names: Sequence[str]) -> str | None:
    """What among the `names` in `folder` says that someone is still writing there, in words, or None."""
    for name in names:
        for pattern, writer in _WORKING_FOLDERS:
            if re.fullmatch(pattern, name):
                return f"{folder / name}, in which {writer} keeps what it is still writing"
        if re.fullmatch(_UNFINISHED_FILE, name):
            return f"{folder / name}, a file that is still being written or copied"
    staging = folder / _IMPALA_STAGING
    with suppress(OSError):
        if _IMPALA_STAGING in names and any(staging.iterdir()):
            return f"{staging}, in which Impala keeps what it is still writing"
    return _find_uncommitted(folder, names)


def find_replaced(folder: Path, names: Sequence[str]) -> str | None:
    """A file in `folder` that a transaction of Databricks has replaced and not yet removed, or None."""
    present = frozenset(names)
    replaced = (name for record in _records(folder, names) for name in record.get("removed", ()))
    return next((name for name in replaced if name in present), None)


def _find_uncommitted(folder: Path, names: Sequence[str]) -> str | None:
    """A file of a transaction that began in `folder` and has no record of its end."""
    if not any(name.startswith((_STARTED, _COMMITTED)) for name in names):
        return None
    committed = {name.removeprefix(_COMMITTED) for name in names if name.startswith(_COMMITTED)}
    added: set[str] | None = None
    for name in names:
        transaction = re.search(_TRANSACTION, name)
        if transaction is None or transaction[1] in committed or name.startswith(("_", ".")):
            continue
        if added is None:
            added = {file for record in _records(folder, names) for file in record.get("added", ())}
        if name not in added:
            return f"{name}, and no {folder / _COMMITTED}{transaction[1]}, in which Databricks says that it is done"
    return None


def _records(folder: Path, names: Sequence[str]) -> list[dict[str, list[str]]]:
    """The records of transactions that can be read: which files each has added and removed."""
    records = []
    for name in names:
        if name.startswith(_COMMITTED):
            with suppress(OSError, ValueError, RecursionError):
                record = json.loads(read_regular(folder / name))
                if isinstance(record, dict) and all(map(_is_list_of_names, record.values())):
                    records.append(record)
    return records


def _is_list_of_names(files: Any) -> bool:
    return isinstance(files, list) and all(isinstance(name, str) for name in files)
