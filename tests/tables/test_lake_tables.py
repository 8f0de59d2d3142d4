"""Folders that are tables: refused by name, wherever inside them the path leads."""

from __future__ import annotations

import pytest

from batchscore.errors import InputError
from batchscore.tables.lake_tables import require_no_table

DELTA = ["_delta_log/00000000000000000000.json"]
ICEBERG = ["metadata/v1.metadata.json"]
HUDI = [".hoodie/hoodie.properties"]


def lay(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def refused(path):
    with pytest.raises(InputError) as caught:
        require_no_table(path)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-INPUT-TABLE", 3)
    return str(caught.value)


@pytest.mark.parametrize(
    ("laid", "named", "mark"),
    [
        (DELTA, "Delta Lake", "_delta_log"),
        (ICEBERG, "Iceberg", "metadata/v1.metadata.json"),
        (["metadata/00003-0b3c.metadata.json"], "Iceberg", "metadata/00003-0b3c.metadata.json"),
        (["metadata/00003-0b3c.gz.metadata.json"], "Iceberg", "metadata/00003-0b3c.gz.metadata.json"),
        (["metadata/v3.metadata.json.gz"], "Iceberg", "metadata/v3.metadata.json.gz"),
        (HUDI, "Hudi", ".hoodie"),
        (["_spark_metadata/0"], "a Spark stream", "_spark_metadata"),
        (["schema/schema-0", "snapshot/LATEST"], "Paimon", "snapshot"),
    ],
)
@pytest.mark.parametrize("inside", ["", "part-0.parquet", "data/part-0.parquet", "day=1/hour=2", "data/0f/day=1"])
def test_whatever_lies_in_a_table_is_refused_with_the_mark_and_a_way_out(tmp_path, laid, named, mark, inside):
    table = tmp_path / "pairs"
    lay(table, *laid)
    message = refused(table / inside)
    assert named in message
    assert f"  where:    {table / inside}\n" in message
    assert f"  found:    {table / mark}\n" in message
    assert "write the table's current rows as Parquet and give those" in message


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("day=1/base_0000003/000000_0", "transactional Hive"),
        ("delta_0000001_0000001_0000/000000_0", "transactional Hive"),
        ("delete_delta_0000002_0000002/bucket_00000", "transactional Hive"),
        ("ducklake-0196e5b2-5f04-7d0a-b9ad-9c0f8b7b1a11.parquet", "DuckLake"),
        ("ducklake-0196e5b2-5f04-7d0a-b9ad-9c0f8b7b1a11-delete.parquet", "DuckLake"),
    ],
)
def test_names_that_only_a_table_gives(tmp_path, path, named):
    lay(tmp_path, path)
    assert named in refused(tmp_path / path)


def test_a_partition_of_hudi_that_was_copied_alone(tmp_path):
    lay(tmp_path, "day=1/.hoodie_partition_metadata", "day=1/a.parquet")
    assert "Hudi" in refused(tmp_path / "day=1")


def test_a_table_is_found_behind_links_and_dots(tmp_path):
    table = tmp_path / "table"
    lay(table, *DELTA, "a.parquet")
    (tmp_path / "latest").symlink_to(table)
    (tmp_path / "a.parquet").symlink_to(table / "a.parquet")
    (tmp_path / "other").mkdir()
    for path in ("latest", "a.parquet", "other/../table"):
        refused(tmp_path / path)


@pytest.mark.parametrize(
    "name",
    ["metadata/notes.json", "metadata/metadata.json", "delta/a.parquet", "base_1/a.parquet", "snapshot/LATEST",
     "schema/schema-0", "delta_log/0.json", "ducklake.parquet"],
)  # fmt: skip
def test_what_only_looks_like_one_is_none(tmp_path, name):
    lay(tmp_path, name, "pairs/a.parquet")
    require_no_table(tmp_path / name)
    require_no_table(tmp_path / "pairs" / "a.parquet")


def test_a_path_that_is_not_there_is_none(tmp_path):
    require_no_table(tmp_path / "missing")
    require_no_table(tmp_path / ("x" * 300))
