"""Folders as inputs: what belongs to them, when they are complete, and that the split decides nothing."""

from __future__ import annotations

import json
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = {
    "user_id": ["u1", "u1", "u2", "u2", "u3", "u1"],
    "item_id": ["a", "b", "a", "c", "a", "c"],
    "value": pa.array([1, 2, 3, 4, 5, 6], pa.float32()),
}


@pytest.fixture
def feed(workplace):
    """Writes rows of ROWS as files of the folder `feed`; a column's type may be another one."""
    folder = workplace.folder / "feed"

    def write(name, rows=slice(None), success=True, **types):
        start, stop, _ = rows.indices(6)
        table = pa.table(ROWS).slice(start, stop - start)
        for column, type_ in types.items():
            index = table.column_names.index(column)
            table = table.set_column(index, column, table[column].cast(type_))
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        if success:
            (folder / "_SUCCESS").touch()
        return path

    return write


def run(workplace, folder="feed", *flags):
    return workplace.run("--input", workplace.folder / folder, *flags)


def report(workplace):
    return json.loads((workplace.state / "ranked.parquet.report.json").read_text())


@pytest.mark.tensorflow
def test_many_files_give_the_same_bytes_as_one(workplace, feed):
    feed("part-00000.parquet")
    assert run(workplace).exit_code == 0
    expected = workplace.output.read_bytes()
    feed("part-00000.parquet", slice(0, 1))
    feed(
        "part-00001.parquet", slice(1, 4), user_id=pa.large_string(), item_id=pa.dictionary(pa.int32(), pa.string())
    )
    feed("part-00002.parquet", slice(4, 4))
    feed("part-00003.parquet", slice(4, 6))
    for hidden in ("_metadata", ".part-00000.parquet.crc", "_committed_1", ".hidden.parquet"):
        (workplace.folder / "feed" / hidden).write_bytes(b"not data")
    assert run(workplace).exit_code == 0
    assert workplace.output.read_bytes() == expected
    told = report(workplace)
    assert [(file["path"].rsplit("/")[-1], file["rows"]) for file in told["inputs"]] == [
        ("part-00000.parquet", 1), ("part-00001.parquet", 3), ("part-00002.parquet", 0), ("part-00003.parquet", 2),
    ]  # fmt: skip
    assert told["rows_read"] == 6


@pytest.mark.tensorflow
def test_the_order_of_columns_may_differ(workplace, feed):
    feed("one.parquet", slice(0, 3), success=False)
    second = feed("two.parquet", slice(3, 6), success=False)
    pq.write_table(pq.read_table(second).select(["value", "item_id", "user_id"]), second)
    assert run(workplace).exit_code == 0
    assert pq.read_table(workplace.output).num_rows == 6


@pytest.mark.tensorflow
def test_partitions_are_read_and_one_of_them_alone_is_complete_with_its_dataset(workplace, feed):
    feed("day=1/part-0.parquet", slice(0, 2))
    feed("day=2/part-0.parquet", slice(2, 6))
    assert run(workplace).exit_code == 0
    assert pq.read_table(workplace.output).num_rows == 6
    assert run(workplace, "feed/day=2", "--max-pair-drop", "off", "--max-user-drop", "off").exit_code == 0
    assert pq.read_table(workplace.output).num_rows == 4


@pytest.mark.tensorflow
def test_bad_rows_are_counted_within_their_file(workplace, feed):
    feed("part-0.parquet", slice(0, 4))
    path = feed("part-1.parquet", slice(4, 6))
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "item_id", pa.array(["a", None])), path)
    told = run(workplace)
    assert told.exit_code == 3
    assert "  where:    <folder>/feed/part-1.parquet, row 1, column item_id: null id\n" in told.err


SPARK = "part-00000-3f0c9a52-77b1-4d0e-9a4e-0f1c2d3e4f50-c000.snappy.parquet"


def test_part_files_of_spark_without_success(workplace, feed):
    feed(SPARK, success=False)
    workplace.assert_refused(run(workplace), 75, f"""\
E-INPUT-NOT-COMPLETE: the input is not complete (yet)
  where:    <folder>/feed
  found:    part files of Spark or Hadoop, such as {SPARK}, and no <folder>/feed/_SUCCESS
  expected: _SUCCESS at the dataset's root
  next:     wait for the job that writes it; if it has ended, it failed, or was told to write none: then \
--require-success no
""")  # fmt: skip


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["part-0.parquet", "part.0.parquet", SPARK], ids=["pyarrow", "dask", "spark"])
def test_part_files_that_no_success_will_ever_follow(workplace, feed, name):
    feed(name, success=False)
    assert run(workplace, "feed", *(["--require-success", "no"] if name == SPARK else [])).exit_code == 0
    assert run(workplace, "feed", "--require-success", "yes").exit_code == 75


def test_success_is_asked_for_beside_a_single_file_too(workplace):
    workplace.assert_refused(workplace.run("--require-success", "yes"), 75, """\
E-INPUT-NOT-COMPLETE: the input is not complete (yet)
  where:    <folder>/pairs.parquet
  found:    no <folder>/_SUCCESS
  expected: _SUCCESS at the dataset's root (--require-success yes)
  next:     wait for the job that writes it; if it has ended, it failed, or writes none: then --require-success no
""")  # fmt: skip


def test_spark_is_still_writing(workplace, feed):
    feed("part-0.parquet")
    (workplace.folder / "feed" / "_temporary").mkdir()
    workplace.assert_refused(run(workplace), 75, """\
E-INPUT-NOT-COMPLETE: the input is not complete (yet)
  where:    <folder>/feed
  found:    <folder>/feed/_temporary, in which Spark or Hadoop keeps what it is still writing
  expected: a folder in which nothing is being written
  next:     wait for the job that writes it; if it has ended, it failed: write the folder again, or remove what it \
left there
""")  # fmt: skip


def test_nothing_there_yet(workplace):
    (workplace.folder / "feed").mkdir()
    workplace.assert_refused(run(workplace), 75, """\
E-INPUT-NOT-COMPLETE: the input is not complete (yet)
  where:    <folder>/feed
  found:    no file
  expected: files
  next:     wait for the job that writes it; if it has ended, it failed
""")  # fmt: skip


@pytest.mark.parametrize("given", ["feed", "feed/day=1", "feed/day=1/part-0.parquet"])
def test_a_table_is_not_its_files(workplace, feed, given):
    feed("day=1/part-0.parquet")
    (workplace.folder / "feed" / "_delta_log").mkdir()
    workplace.assert_refused(run(workplace, given), 3, f"""\
E-INPUT-TABLE: the input is part of a Delta Lake table
  where:    <folder>/{given}
  found:    <folder>/feed/_delta_log
  expected: Parquet files with current rows only; the folder of a table also holds deleted and replaced rows
  next:     write the table's current rows as Parquet and give those. Spark: \
spark.read.format("delta").load(TABLE).write.parquet(PAIRS); without Spark: \
deltalake.DeltaTable(TABLE).to_pyarrow_dataset()
""")  # fmt: skip


def test_success_and_nothing_else(workplace):
    (workplace.folder / "feed").mkdir()
    (workplace.folder / "feed" / "_SUCCESS").touch()
    workplace.assert_refused(run(workplace), 3, """\
E-INPUT-FOLDER: the input folder holds no pair file
  where:    <folder>/feed
  found:    _SUCCESS and no file
  expected: Parquet files
  next:     check the job that wrote it
""")  # fmt: skip


def test_a_subfolder_that_is_no_partition(workplace, feed):
    feed("part-0.parquet")
    (workplace.folder / "feed" / "old").mkdir()
    workplace.assert_refused(run(workplace), 3, """\
E-INPUT-FOLDER: the input folder has a subfolder that is not a partition
  where:    <folder>/feed/old
  expected: files, and subfolders called key=value
  next:     give the folder that holds the files
""")  # fmt: skip


def test_files_that_differ_in_a_column_that_is_used(workplace, feed):
    feed("part-0.parquet", slice(0, 3))
    second = feed("part-1.parquet", slice(3, 6), value=pa.float64())
    workplace.assert_refused(run(workplace), 3, """\
E-INPUT-SCHEMAS: the input files do not have the same columns
  where:    <folder>/feed/part-1.parquet
  found:    value double
  expected: value float, as in <folder>/feed/part-0.parquet
  next:     write all files with one schema
""")  # fmt: skip
    pq.write_table(pq.read_table(second).drop_columns(["user_id"]), second)
    assert "  found:    user_id missing, value double\n" in run(workplace).err


def test_a_file_that_is_no_parquet(workplace, feed):
    feed("part-0.parquet")
    (workplace.folder / "feed" / "README").write_text("the pairs of tonight")
    workplace.assert_refused(run(workplace), 3, """\
E-INPUT-NOT-PARQUET: the input is not a Parquet file
  where:    <folder>/feed/README
  found:    20 bytes that begin with b'the '
  expected: bytes that begin and end with PAR1
  next:     every file of the folder is read: write it as Parquet, or, if it is not a pair file, move it out of \
the folder or give it a name that begins with _ or .
""")  # fmt: skip


def test_a_file_whose_name_is_no_text(workplace, feed):
    feed("part-0.parquet")
    shutil.copy(workplace.folder / "feed" / "part-0.parquet", workplace.folder / "feed" / os.fsdecode(b"caf\xe9"))
    told = run(workplace)
    assert (told.exit_code, told.out) == (3, "")
    assert "E-INPUT-FOLDER: the input folder has a file whose name is not UTF-8\n" in told.err
    assert "  where:    <folder>/feed/caf\\udce9\n" in told.err


def test_the_output_must_not_lie_inside_the_input(workplace, feed):
    feed("part-0.parquet")
    told = run(workplace, "feed", "--output", workplace.folder / "feed" / "ranked.parquet")
    workplace.assert_refused(told, 2, """\
E-OUTPUT-IS-INPUT: the output lies inside the input folder
  where:    <folder>/feed/ranked.parquet
  found:    --input <folder>/feed
  next:     give --output a path outside the folder that the run reads
""", recorded=False)  # fmt: skip
    assert sorted(path.name for path in (workplace.folder / "feed").iterdir()) == ["_SUCCESS", "part-0.parquet"]


@pytest.mark.tensorflow
def test_a_file_comes_during_the_run(workplace, feed, monkeypatch):
    from batchscore.scoring import run as module

    feed("part-0.parquet", slice(0, 3))

    def open_then_add(path, rule):
        opened = real(path, rule)
        feed("part-1.parquet", slice(3, 6))
        return opened

    real = module.open_pairs
    monkeypatch.setattr(module, "open_pairs", open_then_add)
    told = run(workplace)
    assert told.exit_code == 75
    assert "ERROR E-INPUT-CHANGED: the input changed while it was read\n  where:    <folder>/feed\n" in told.err
    assert "  found:    2 files now\n  expected: the 1 files that were opened\n" in told.err
