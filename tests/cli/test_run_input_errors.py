"""What `batchscore run` says of an input that it cannot or must not use: exit codes 3 and 75, the whole text."""

from __future__ import annotations

import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def test_no_input_yet(workplace):
    workplace.pairs.unlink()
    workplace.assert_refused(workplace.run(), 75, """\
E-INPUT-MISSING: the input is not there (yet)
  where:    <folder>/pairs.parquet
  next:     wait for the job that writes it, or correct --input
""")  # fmt: skip


def test_an_object_store(workplace):
    told = workplace.run("--input", "s3://bucket/pairs")
    workplace.assert_refused(told, 2, """\
E-CONFIG: 1 setting(s) of `batchscore run` are not valid
    input: s3://bucket/pairs is a URL, and only files are read and written: mount the store, or copy, for example \
with `aws s3 cp --recursive s3://bucket/pairs pairs` (from flag)
  next:     correct them; `batchscore run --help` lists every setting
""", recorded=False)  # fmt: skip


def test_a_pattern(workplace):
    told = workplace.run("--input", workplace.folder / "pairs-*.parquet")
    workplace.assert_refused(told, 2, """\
E-CONFIG: 1 setting(s) of `batchscore run` are not valid
    input: <folder>/pairs-*.parquet is not there, and a pattern is not expanded: give the file or the folder \
itself (from flag)
  next:     correct them; `batchscore run --help` lists every setting
""", recorded=False)  # fmt: skip


@pytest.mark.tensorflow
def test_a_file_that_is_called_like_a_pattern(workplace):
    workplace.pairs.rename(workplace.folder / "pairs[1]*.parquet")
    assert workplace.run("--input", workplace.folder / "pairs[1]*.parquet").exit_code == 0


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"user_id,item_id\nu1,a\n", "21 bytes that begin with b'user'"),
        (b"", "an empty file (0 bytes)"),
        (b"P", "1 bytes that begin with b'P'"),
        (b"\x00" * 50 + b"PAR1", "54 bytes that begin with b'\\x00\\x00\\x00\\x00'"),
    ],
    ids=["csv", "empty", "one byte", "magic at the end only"],
)
def test_not_parquet(workplace, content, found):
    workplace.pairs.write_bytes(content)
    workplace.assert_refused(workplace.run(), 3, f"""\
E-INPUT-NOT-PARQUET: the input is not a Parquet file
  where:    <folder>/pairs.parquet
  found:    {found}
  expected: bytes that begin and end with PAR1
  next:     write the pairs as Parquet, or correct --input
""")  # fmt: skip


@pytest.mark.parametrize("kept", [-9, 8, 4])
def test_truncated(workplace, kept):
    content = workplace.pairs.read_bytes()[:kept]
    workplace.pairs.write_bytes(content)
    workplace.assert_refused(workplace.run(), 3, f"""\
E-INPUT-CORRUPT: the Parquet file is truncated
  where:    <folder>/pairs.parquet
  found:    {len(content)} bytes that begin with PAR1 and end without it
  next:     wait for the job that writes it to finish, or copy the file again
""")  # fmt: skip


def test_two_magics_and_nothing_between(workplace):
    workplace.pairs.write_bytes(b"PAR1PAR1")
    workplace.assert_refused(workplace.run(), 3, """\
E-INPUT-CORRUPT: the Parquet file is truncated
  where:    <folder>/pairs.parquet
  found:    8 bytes that begin with PAR1 and end without it
  next:     wait for the job that writes it to finish, or copy the file again
""")  # fmt: skip


def test_damaged_footer(workplace):
    content = workplace.pairs.read_bytes()
    workplace.pairs.write_bytes(content[:-60] + b"\xff" * 40 + content[-20:])
    told = workplace.run()
    assert all(line.isprintable() for line in told.err.splitlines())
    workplace.assert_refused(told, 3, """\
E-INPUT-CORRUPT: the Parquet file is damaged in its footer
  where:    <folder>/pairs.parquet
  found:    ...
  next:     write or copy the file again
""")  # fmt: skip


@pytest.mark.tensorflow
def test_one_flipped_bit_in_a_page(workplace):
    content = bytearray(workplace.pairs.read_bytes())
    content[content.index(b"u1") + 1] ^= 1
    workplace.pairs.write_bytes(content)
    workplace.assert_refused(workplace.run(), 3, """\
E-INPUT-CORRUPT: the Parquet file is damaged in or after row 0
  where:    <folder>/pairs.parquet
  found:    ...
  next:     write or copy the file again
""")  # fmt: skip


def test_encrypted(workplace):
    workplace.pairs.write_bytes(b"PARE" + b"\x17" * 40 + b"PARE")
    workplace.assert_refused(workplace.run(), 3, """\
E-INPUT-NOT-PARQUET: the Parquet file is encrypted
  where:    <folder>/pairs.parquet
  found:    magic PARE
  expected: PAR1
  next:     write it without encryption
""")  # fmt: skip


@pytest.mark.timeout(60)  # opening a pipe that nobody writes to would wait for ever
def test_not_a_file(workplace):
    workplace.pairs.unlink()
    os.mkfifo(workplace.pairs)
    workplace.assert_refused(workplace.run(), 3, """\
E-INPUT-NOT-A-FILE: the input is not a regular file
  where:    <folder>/pairs.parquet
  found:    a pipe, socket or device
  expected: Parquet files
  next:     give the Parquet file itself, or a folder of such files
""")  # fmt: skip


def test_a_file_where_a_folder_should_be(workplace):
    (workplace.folder / "feed").touch()
    told = workplace.run("--input", workplace.folder / "feed" / "pairs.parquet")
    workplace.assert_refused(told, 3, """\
E-INPUT-UNREADABLE: the input cannot be opened: Not a directory
  where:    <folder>/feed/pairs.parquet
  next:     check its permissions and the path
""")  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable(workplace):
    workplace.pairs.chmod(0)
    workplace.assert_refused(workplace.run(), 3, """\
E-INPUT-UNREADABLE: the input cannot be opened: Permission denied
  where:    <folder>/pairs.parquet
  next:     check its permissions and the path
""")  # fmt: skip


def test_repeated_column_names(workplace):
    table = pa.table([["u1"], ["a"], ["b"]], names=["user_id", "item_id", "item_id"])
    pq.write_table(table, workplace.pairs)
    workplace.assert_refused(workplace.run(), 3, """\
E-INPUT-COLUMNS: column names are not unique
  where:    <folder>/pairs.parquet
  found:    more than once: item_id
  next:     rename them where the file is written
""")  # fmt: skip


@pytest.mark.tensorflow
def test_text_that_is_no_utf8(workplace):
    offsets, text = (pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb"))
    workplace.write_pairs(item_id=pa.Array.from_buffers(pa.string(), 3, [None, offsets, text]))
    workplace.assert_refused(workplace.run(), 3, """\
E-BAD-ROWS: 1 bad row
  where:    <folder>/pairs.parquet, row 1, column item_id: invalid UTF-8
  found:    invalid UTF-8: 1
  expected: at most 0 of 3 rows (--max-bad-rows)
    column item_id, first at row 1: invalid UTF-8, value b'\\xff'
    rejects file: <folder>/_batchscore/ranked.parquet.failed.rejects.jsonl
  next:     fix the rows in the rejects file at their source, or raise --max-bad-rows
""")  # fmt: skip


@pytest.mark.tensorflow
def test_null_ids_and_their_rejects(workplace):
    workplace.write_pairs(user_id=["u1", None, "u2"])
    workplace.assert_refused(workplace.run(), 3, """\
E-BAD-ROWS: 1 bad row
  where:    <folder>/pairs.parquet, row 1, column user_id: null id
  found:    null id: 1
  expected: at most 0 of 3 rows (--max-bad-rows)
    column user_id, first at row 1: null id
    rejects file: <folder>/_batchscore/ranked.parquet.failed.rejects.jsonl
  next:     fix the rows in the rejects file at their source, or raise --max-bad-rows
""")  # fmt: skip
    rejects = (workplace.state / "ranked.parquet.failed.rejects.jsonl").read_text()
    assert rejects == (
        f'{{"file": "{workplace.pairs}", "row": 1, "column": "user_id", "reason": "null id", "value": null}}\n'
    )


@pytest.mark.tensorflow
def test_scores_that_are_no_numbers(workplace):
    workplace.write_pairs(value=pa.array([1, float("nan"), float("inf")], pa.float32()))
    workplace.assert_refused(workplace.run("--allow-nonfinite", "value"), 3, """\
E-BAD-ROWS: 2 bad rows
  where:    <folder>/pairs.parquet, row 1, column score: score is not finite
  found:    score is not finite: 2
  expected: at most 0 of 3 rows (--max-bad-rows)
    column score, first at row 1: score is not finite, value nan
    rejects file: <folder>/_batchscore/ranked.parquet.failed.rejects.jsonl
  next:     fix the rows in the rejects file at their source, or raise --max-bad-rows
""")  # fmt: skip


@pytest.mark.tensorflow
def test_every_candidate_unknown(workplace):
    workplace.write_pairs(item_id=["1.0", "2.0", "3.0"])
    workplace.assert_refused(workplace.run(), 6, """\
E-UNKNOWN-CANDIDATES: 3 of 3 distinct candidates are unknown to the model
  found:    100.0 %, such as '1.0', '2.0', '3.0'
  expected: at most 50% (--max-unknown-candidates)
  next:     write the ids as integers, without '.0' (somewhere they became floats); check that --candidate-column \
names the id that the model was trained with, and that the model is not too old; \
accept once with --max-unknown-candidates off
""")  # fmt: skip


@pytest.mark.tensorflow
def test_the_input_is_replaced_during_the_run(workplace, monkeypatch):
    from batchscore.scoring import run

    def open_then_replace(path, rule):
        opened = open_pairs(path, rule)
        shutil.copy(path, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        return opened

    open_pairs = run.open_pairs
    monkeypatch.setattr(run, "open_pairs", open_then_replace)
    told = workplace.run()
    assert told.exit_code == 75
    assert (
        "ERROR E-INPUT-CHANGED: the input changed while it was read\n  where:    <folder>/pairs.parquet\n"
        in told.err
    )
    assert not workplace.output.exists()


def test_a_column_is_missing(workplace):
    pq.write_table(pq.read_table(workplace.pairs).rename_columns(["user_id", "item_id", "rating"]), workplace.pairs)
    workplace.assert_refused(workplace.run(), 2, """\
E-BINDING: the pair columns do not fit signature 'serving_default'
  where:    <folder>/pairs.parquet
  found:    columns user_id string, item_id string, rating float
  expected: inputs item_id string [n], user_id string [n], value float32 [n]
    input value float32 [n] has no column 'value'
    bound: item_id <- item_id, user_id <- user_id
  next:     add --map value=COLUMN
""")  # fmt: skip


def test_a_column_of_lists(workplace):
    workplace.write_pairs(value=pa.array([[1], [2], [3]], pa.list_(pa.float32())))
    workplace.assert_refused(workplace.run(), 2, """\
E-BINDING: the pair columns do not fit signature 'serving_default'
  where:    <folder>/pairs.parquet
  found:    columns user_id string, item_id string, value list<element: float>
  expected: inputs item_id string [n], user_id string [n], value float32 [n]
    input value float32 [n] cannot take column 'value' of type list<element: float>: it takes one value, not a list
    bound: item_id <- item_id, user_id <- user_id
  next:     correct what is named above
""")  # fmt: skip
