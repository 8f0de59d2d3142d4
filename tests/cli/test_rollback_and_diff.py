"""`batchscore rollback` and `batchscore diff` as they are typed: exit codes and whole texts."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def values(*numbers: float):
    return pa.array(numbers, pa.float32())


@pytest.fixture
def two_nights(workplace):
    assert workplace.run("--quiet").exit_code == 0
    workplace.write_pairs(value=values(2, 1, 3))
    assert workplace.run("--quiet").exit_code == 0
    return workplace


def test_the_morning_after(two_nights):
    previous = two_nights.state / "ranked.parquet.previous-1"
    told = two_nights.shorten(two_nights.command("diff", previous, two_nights.output))
    assert told.exit_code == 6
    assert (
        told.out
        == """\
DIFFERENT: 3 of 6 limits exceeded
OLD  <folder>/_batchscore/ranked.parquet.previous-1  2 users, 3 rows
NEW  <folder>/ranked.parquet                         2 users, 3 rows

users lost     0 of 2 (0.0 %)   limit 0
users gained   0 of 2 (0.0 %)   limit 0
lists changed  1 of 2 (50.0 %)  limit 0  <- exceeded
first places   1 of 2 (50.0 %)  limit 0  <- exceeded
overlap@2      100.00 %         limit 0%
score shift    1, mean +0       limit tolerance (8.16e-05)  <- exceeded
near ties      none

lists changed, such as
  user u1: candidates b and a swapped at rank 1, score gap 1

scores shifted, such as
  user u1: candidate a had score 1, now 2 (+1)
  user u1: candidate b had score 2, now 1 (-1)
"""
    )
    assert (
        told.err
        == """\
ERROR E-DIFF-USERS-CHANGED: the outputs differ: 3 of 6 limits exceeded
  where:    <folder>/ranked.parquet compared with <folder>/_batchscore/ranked.parquet.previous-1
    max-changed-users: 1 of 2 (50.0 %), limit 0
    max-changed-first: 1 of 2 (50.0 %), limit 0
    max-score-shift: 1, limit tolerance (8.16e-05)
  next:     check the examples; accept with --max-changed-users off --max-changed-first off --max-score-shift off
"""
    )


def test_limits_and_json(two_nights):
    told = two_nights.command(
        "diff", two_nights.state / "ranked.parquet.previous-1", two_nights.output, "--max-changed-users", "50%",
        "--max-changed-first", 1, "--max-score-shift", "1", "--json",
    )  # fmt: skip
    assert (told.exit_code, told.err) == (0, "")
    assert json.loads(told.out)["users_changed"] == 1


def test_a_limit_that_is_none(two_nights):
    told = two_nights.command("diff", two_nights.output, two_nights.output, "--min-overlap", "3")
    assert (told.exit_code, told.out) == (2, "")
    assert told.err == (
        "ERROR E-CONFIG: 1 setting(s) of `batchscore diff` are not valid\n"
        "    min_overlap: '3' is not a share: write 95% or off (from flag)\n"
        "  next:     correct them; `batchscore diff --help` lists every setting\n"
    )


def test_pairs_are_not_compared(two_nights):
    told = two_nights.shorten(two_nights.command("diff", two_nights.pairs, two_nights.output))
    assert (told.exit_code, told.out) == (3, "")
    assert told.err == (
        "ERROR E-RANKED-FILE: this is neither an output of a run nor a table of ranked lists\n"
        "  where:    <folder>/pairs.parquet\n"
        "  found:    user_id string, item_id string, value float\n"
        "  expected: a user and a candidate column (text or integers), and a rank (integers) or a score (numbers)\n"
        "    there is neither a rank nor a score to order the lists by\n"
        "  next:     name the columns: --user-column, --candidate-column, --rank-column, --score-column\n"
    )


def test_the_night_before_comes_back_and_the_next_run_compares_with_it(two_nights):
    bad = pq.read_table(two_nights.output)
    told = two_nights.shorten(two_nights.command("rollback", two_nights.output))
    run_id = json.loads((two_nights.state / "ranked.parquet.report.json").read_text())["run_id"]
    assert told.exit_code == 0
    assert told.out == ""
    assert told.err == (
        f"INFO published again: run {run_id}, 2 users, 3 rows\n"
        "INFO the output that it replaces is kept as <folder>/_batchscore/ranked.parquet.previous-1\n"
    )
    assert pq.read_table(two_nights.output)["score"].to_pylist() == [2.0, 1.0, 3.0]
    assert pq.read_table(two_nights.state / "ranked.parquet.previous-1").equals(bad)
    told = two_nights.command("rollback", two_nights.output, "--json", "--quiet")
    assert (told.exit_code, told.err) == (0, "")
    assert json.loads(told.out)["rolled_back_from"] == run_id
    assert pq.read_table(two_nights.output).equals(bad)


def test_nothing_to_go_back_to(workplace):
    assert workplace.run("--quiet").exit_code == 0
    told = workplace.shorten(workplace.command("rollback", workplace.output))
    assert (told.exit_code, told.out) == (2, "")
    assert told.err == (
        "ERROR E-NO-PREVIOUS: there is no other output to go back to\n"
        "  where:    <folder>/_batchscore\n"
        "  found:    no kept output that differs from the published one\n"
        "  expected: ranked.parquet.previous-1\n"
        "  next:     run with --keep-previous 1 or more from now on, and give the --state-dir and --job of the run "
        "here; to replace the published output now, run again with an earlier model (--model-version)\n"
    )


def test_the_same_from_python(two_nights):
    import batchscore

    previous = two_nights.state / "ranked.parquet.previous-1"
    difference = batchscore.diff(old=previous, new=two_nights.output, max_score_shift=1)
    assert [limit.name for limit in difference.limits if not limit.ok] == ["max-changed-users", "max-changed-first"]
    assert batchscore.rollback(str(two_nights.output)).users == 2
    assert batchscore.diff(old=previous, new=two_nights.output).exit_code == 6
    assert batchscore.diff(old=two_nights.output, new=two_nights.output).exit_code == 0
