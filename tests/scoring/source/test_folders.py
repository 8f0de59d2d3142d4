"""Which files of a folder are pairs, and whether their writer has finished, for every writer that we know."""

from __future__ import annotations

import json

import pytest

from batchscore.errors import InputError, TryLaterError
from batchscore.scoring.source.folders import list_pair_files
from batchscore.tables.committers import promises_success

JOB = "3f0c9a52-77b1-4d0e-9a4e-0f1c2d3e4f50"
SPARK = f"part-00000-{JOB}-c000.snappy.parquet"
TRANSACTION = "5137842199042167123"
DATABRICKS = f"part-00001-tid-{TRANSACTION}-{JOB}-12-1-c000.snappy.parquet"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "pairs"


def lay(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.touch()


def listed(folder, rule="auto"):
    return [path.relative_to(folder).as_posix() for path in list_pair_files(folder, rule)]


def waits(folder, rule="auto"):
    with pytest.raises(TryLaterError) as caught:
        list_pair_files(folder, rule)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-INPUT-NOT-COMPLETE", 75)
    assert f"  where:    {folder}" in str(caught.value)
    return str(caught.value)


# who promises _SUCCESS

PROMISING = [
    SPARK,
    f"part-00000-{JOB}.c000.snappy.parquet",
    f"part-00000-{JOB}_00003.c000.zstd.parquet",
    f"part-123456-{JOB}.parquet",
    f"part-r-00000-{JOB}.gz.parquet",
    DATABRICKS,
    "part-m-00000.parquet",
    "part-r-00007",
]
SILENT = {
    "pyarrow": "part-0.parquet",
    "dask": "part.0.parquet",
    "polars": "00000000.parquet",
    "duckdb": "data_0.parquet",
    "flink": f"part-{JOB}-0.parquet",
    "ray": "2_000000_000000.parquet",
    "trino": "20261128_193321_00012_x8s7e_0b1c.parquet",
    "hive": "000000_0",
    "bigquery": "pairs-000000000000.parquet",
    "numbered": "part-00000.parquet",
    "athena": JOB,
    "snowflake": "data_0_0_0.snappy.parquet",
}


@pytest.mark.parametrize("name", PROMISING)
def test_the_files_of_spark_and_hadoop_wait_for_success(folder, name):
    lay(folder, name)
    message = waits(folder)
    assert f"part files of Spark or Hadoop, such as {name}, and no {folder}/_SUCCESS" in message
    assert "--require-success no" in message
    assert listed(folder, "no") == [name]
    lay(folder, "_SUCCESS")
    assert listed(folder) == listed(folder, "yes") == [name]


@pytest.mark.parametrize("name", SILENT.values(), ids=SILENT)
def test_the_files_of_others_wait_only_if_they_are_told_to(folder, name):
    lay(folder, name)
    assert not promises_success(name)
    assert listed(folder) == listed(folder, "no") == [name]
    assert "(--require-success yes)" in waits(folder, "yes")
    lay(folder, "_SUCCESS")
    assert listed(folder, "yes") == [name]


@pytest.mark.parametrize("rule", ["auto", "yes", "no"])
def test_nothing_there_yet_may_come(folder, rule):
    folder.mkdir()
    waits(folder, rule)
    lay(folder, "_SUCCESS")
    with pytest.raises(InputError) as caught:
        list_pair_files(folder, rule)
    assert caught.value.error_id == "E-INPUT-FOLDER"


def test_success_stands_at_the_root_of_the_dataset(folder):
    lay(folder, f"day=1/hour=2/{SPARK}")
    waits(folder)
    waits(folder / "day=1")
    lay(folder, "_SUCCESS")
    assert listed(folder / "day=1" / "hour=2") == [SPARK]


@pytest.mark.parametrize("place", ["day=1", "day=1/hour=2"])
def test_success_stands_in_the_partition_that_a_job_wrote_alone(folder, place):
    """As with `write.parquet("pairs/day=1")`; another partition beside it may be unfinished."""
    lay(folder, f"day=1/hour=2/{SPARK}", f"{place}/_SUCCESS")
    for rule in ("auto", "yes"):
        assert listed(folder, rule) == [f"day=1/hour=2/{SPARK}"]
        assert listed(folder / "day=1" / "hour=2", rule) == [SPARK]
    lay(folder, f"day=2/hour=2/{SPARK}")
    waits(folder)
    waits(folder / "day=2")
    assert listed(folder / "day=1") == [f"hour=2/{SPARK}"]


# what is still being written

UNFINISHED = {
    "spark": "_temporary/",
    "magic committer": "__magic/",
    "magic committer of a job": "__magic_job-0b1c/",
    "spark overwrites partitions": f".spark-staging-{JOB}/",
    "hive": ".hive-staging_hive_2026-11-28_02-00-00_000_1-1/",
    "impala": "_impala_insert_staging/a94e5f/",
    "flink": f".part-{JOB}-1.inprogress.{JOB}",
    "flink, not hidden": f"part-{JOB}-1.parquet.inprogress.{JOB}",
    "flink of old": "_part-0-0.in-progress",
    "flink of old, before a checkpoint": "_part-0-0.pending",
    "flume": "pairs.1764295200.parquet.tmp",
    "hdfs": "b.parquet._COPYING_",
    "rsync": ".b.parquet.Xa81kQ",
    "rclone": "b.parquet.5f2a.partial",
    "curl and wget": "b.parquet.part",
    "winscp": "b.parquet.filepart",
    "gsutil": "b.parquet_.gstmp",
}


@pytest.mark.parametrize("rule", ["auto", "yes", "no"])
@pytest.mark.parametrize("name", UNFINISHED.values(), ids=UNFINISHED)
def test_what_is_still_being_written_is_waited_for(folder, name, rule):
    lay(folder, "a.parquet", "_SUCCESS", name)
    assert str(folder / name.split("/")[0]) in waits(folder, rule)


def test_what_is_being_written_to_the_dataset_concerns_its_partitions(folder):
    lay(folder, "day=1/a.parquet", "day=2/a.parquet", "_temporary/")
    waits(folder / "day=1")
    (folder / "_temporary").rmdir()
    lay(folder, "day=2/b.parquet.tmp")
    assert listed(folder / "day=1") == ["a.parquet"]
    assert "day=2/b.parquet.tmp" in waits(folder)


@pytest.mark.parametrize(
    "name",
    ["_impala_insert_staging/", "_metadata", "_common_metadata", ".a.parquet.crc", "._SUCCESS.crc", ".DS_Store",
     "_committed_1", "_hidden.parquet", ".ipynb_checkpoints/", "_logs/", "_symlink_format_manifest/"],
)  # fmt: skip
def test_what_is_no_data_and_no_sign_of_work_is_passed_over(folder, name):
    lay(folder, "a.parquet", name)
    assert listed(folder) == ["a.parquet"]


@pytest.mark.parametrize(
    "name", ["part.0.parquet", "pairs.part.parquet", "temp.parquet", "tmp_1.parquet", "a.part1"]
)
def test_names_that_only_sound_unfinished_are_data(folder, name):
    lay(folder, name)
    assert listed(folder) == [name]


def test_a_partition_by_a_column_that_begins_with_an_underscore_is_data_as_it_is_for_spark(folder):
    lay(folder, "_day=1/a.parquet", "_day=2", ".day=1/b.parquet")
    assert listed(folder) == ["_day=1/a.parquet"]


# transactions of Databricks


def test_a_transaction_is_complete_with_its_record(folder):
    lay(folder, DATABRICKS, f"_started_{TRANSACTION}", "_SUCCESS")
    assert f"no {folder}/_committed_{TRANSACTION}" in waits(folder)
    lay(folder, f"_committed_{TRANSACTION}")
    assert listed(folder) == [DATABRICKS]


def test_a_record_of_a_clean_up_speaks_for_the_transactions_before_it(folder):
    lay(folder, DATABRICKS, "_SUCCESS")
    (folder / "_committed_vacuum12").write_text(json.dumps({"added": [DATABRICKS], "removed": []}))
    assert listed(folder) == [DATABRICKS]


def test_a_file_that_a_later_transaction_replaced_no_longer_belongs_to_the_folder(folder):
    lay(folder, DATABRICKS, f"_committed_{TRANSACTION}", "_SUCCESS", "b.parquet")
    (folder / "_committed_7").write_text(json.dumps({"added": ["b.parquet"], "removed": [DATABRICKS, "gone"]}))
    with pytest.raises(InputError) as caught:
        list_pair_files(folder)
    assert caught.value.error_id == "E-INPUT-TABLE"
    assert f"  where:    {folder / DATABRICKS}\n" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"removed": 3}', b'{"removed": [3]}'])
def test_a_record_that_cannot_be_read_still_says_that_its_transaction_is_done(folder, content):
    lay(folder, DATABRICKS, "_SUCCESS")
    (folder / f"_committed_{TRANSACTION}").write_bytes(content)
    assert listed(folder) == [DATABRICKS]


# tables


def test_a_table_is_refused_before_its_files_are_looked_at(folder):
    lay(folder, "_delta_log/0.json", SPARK, "day=1/a.parquet")
    for given in (folder, folder / "day=1"):
        with pytest.raises(InputError) as caught:
            list_pair_files(given)
        assert caught.value.error_id == "E-INPUT-TABLE"


def test_a_link_into_a_table_is_no_way_around(folder, tmp_path):
    lay(tmp_path / "table", "_delta_log/0.json", "a.parquet")
    folder.mkdir()
    (folder / "a.parquet").symlink_to(tmp_path / "table" / "a.parquet")
    with pytest.raises(InputError, match="E-INPUT-TABLE"):
        list_pair_files(folder)


@pytest.mark.parametrize("name", ["delta_0000001_0000001_0000/", f"ducklake-{JOB}.parquet"])
def test_what_only_a_table_holds_is_named_as_that(folder, name):
    lay(folder, name)
    with pytest.raises(InputError, match="E-INPUT-TABLE"):
        list_pair_files(folder)
