"""Nights that would go wrong quietly: what the job says, what it leaves published, and how it goes on."""

from __future__ import annotations

import json
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def published(job):
    """The job after a good night."""
    assert job.run("--quiet").exit_code == 0
    return job


def assert_kept(job, told, message, before):
    """Exit 6, the whole text, and last night's file as it was."""
    assert told.troubles == f"ERROR {message}"
    assert (told.exit_code, told.out) == (6, "")
    assert job.output.read_bytes() == before
    assert job.report("failed")["error_id"] == message.split(":", maxsplit=1)[0]
    assert job.report("report")["status"] == "published"


def test_a_healthy_night(published):
    published.retrieve(night=2)
    told = published.run()
    assert (told.exit_code, told.troubles) == (0, "")
    assert told.err.splitlines()[-1].startswith(
        "INFO published 40 users, 400 rows (users +0.0 %), model 1, 80 candidates (last 80), "
        "scores 3.456 ± 2.7 (last 3.47 ± 2.8), unknown users "
    )
    assert published.guards() == {
        "max_input_age": (pytest.approx(0, abs=60), "off", True),
        "min_pairs": (800, "0", True),
        "max_pair_drop": (0, "20%", True),
        "max_model_age": (pytest.approx(0, abs=3600), "off", True),
        "allow_equal_scores": (0, "0", True),
        "max_identical_lists": (0, "99%", True),
        "min_users": (40, "0", True),
        "max_user_drop": (0, "20%", True),
        "max_candidate_drop": (0, "50%", True),
        "max_user_turnover": (0, "50%", True),
        "max_short_list_rise": (0, "50%", True),
        "max_duplicate_rise": (0, "25%", True),
        "max_score_shift": (pytest.approx(0, abs=0.1), "3", True),
        "max_spread_change": (pytest.approx(1, abs=0.1), "4", True),
        "max_bad_rows": (0, "0", True),
        "max_unknown_users": (0, "50%", True),
        "max_unknown_candidates": (0, "50%", True),
    }
    assert not published.refused.exists()


def test_the_first_night_has_nothing_to_compare_with(job):
    assert job.run("--quiet").exit_code == 0
    assert job.guards()["max_user_drop"] == (None, "20%", True)


def test_half_the_users_are_missing(published):
    before = published.output.read_bytes()
    published.retrieve(users=20, movies=40, night=2)
    message = """\
E-USERS-DROPPED: 20 users, last published 40 (-50.0 %, limit 20 %). Kept last night's file.
  where:    <folder>/pairs.parquet
    missing: user 'u20'
    missing: user 'u21'
    missing: user 'u22'
    missing: user 'u23'
    missing: user 'u24'
    refused output: <folder>/_batchscore/ranked.parquet.refused.parquet
  next:     rerun retrieval, or accept once with --max-user-drop off
"""
    assert_kept(published, published.run(), message, before)
    assert published.guards("failed")["max_user_drop"] == (0.5, "20%", False)
    parked = published.refused.read_bytes()
    assert pq.read_table(published.refused).num_rows == 200
    told = published.run("--quiet", "--max-user-drop", "off")
    assert (told.exit_code, told.err) == (0, "")
    assert published.output.read_bytes() == parked
    assert not published.refused.exists()
    published.retrieve(users=20, movies=40, night=3)
    assert published.run("--quiet").exit_code == 0


def test_half_the_pairs_are_missing_is_known_before_the_model_is_loaded(published):
    before = published.output.read_bytes()
    published.retrieve(users=20, night=2)
    message = """\
E-PAIRS-DROPPED: 400 pairs, last published 800 (-50.0 %, limit 20 %). Kept last night's file.
  where:    <folder>/pairs.parquet
    missing: user 'u20'
    missing: user 'u21'
    missing: user 'u22'
    missing: user 'u23'
    missing: user 'u24'
    also E-USERS-DROPPED: 20 users, last published 40 (-50.0 %, limit 20 %).
  next:     rerun retrieval, or accept once with --max-pair-drop off --max-user-drop off
"""
    assert_kept(published, published.run(), message, before)
    assert "load" not in published.report("failed")["seconds"]
    assert published.guards("failed")["max_user_drop"] == (0.5, "20%", False)
    assert not published.refused.exists()
    assert published.run("--quiet", "--max-pair-drop", "off", "--max-user-drop", "off").exit_code == 0


def test_fewer_pairs_of_as_many_users_are_a_matter_of_pairs_alone(published):
    before = published.output.read_bytes()
    published.retrieve(movies=10, night=2)
    message = """\
E-PAIRS-DROPPED: 400 pairs, last published 800 (-50.0 %, limit 20 %). Kept last night's file.
  where:    <folder>/pairs.parquet
  next:     rerun retrieval, or accept once with --max-pair-drop off
"""
    assert_kept(published, published.run(), message, before)
    assert published.run("--quiet", "--max-pair-drop", "off").exit_code == 0


def test_an_old_input_that_lost_half_the_users_is_told_at_once(published):
    published.retrieve(users=20, night=2)
    published.age(published.pairs, hours=27)
    told = published.run("--max-input-age", "26h")
    *_, following = told.troubles.splitlines()
    assert "ERROR E-INPUT-TOO-OLD: " in told.err
    assert [line.split(":")[0].strip() for line in told.troubles.splitlines() if "also" in line] == [
        "also E-PAIRS-DROPPED",
        "also E-USERS-DROPPED",
    ]
    assert following.endswith("--max-input-age off --max-pair-drop off --max-user-drop off")


def spoil(job, users):
    """Leave these users without a pair that can be scored: their candidates are null."""
    pairs = pq.read_table(job.pairs).to_pydict()
    lost = {f"u{number:02}" for number in users}
    movies = [None if user in lost else movie for user, movie in zip(*pairs.values(), strict=True)]
    pq.write_table(pa.table({"user_id": pairs["user_id"], "movie_id": movies}), job.pairs)


def test_users_who_lose_every_pair_are_not_served(published):
    before = published.output.read_bytes()
    published.retrieve(night=2)
    spoil(published, range(16, 40))
    told = published.run("--max-bad-rows", "off", "--quiet")
    assert told.troubles.startswith("""\
WARNING 480 bad rows were left out (within --max-bad-rows)
ERROR E-USERS-DROPPED: 16 users of the input's 40 get a list, last published 40 (-60.0 %, limit 20 %). \
Kept last night's file.
""")
    assert (told.exit_code, published.output.read_bytes()) == (6, before)
    assert published.guards("failed")["max_user_drop"] == (0.6, "20%", False)
    told = published.run("--max-bad-rows", "off", "--max-user-drop", "off")
    assert "ERROR E-PAIRS-DROPPED: 320 pairs of the input's 800 are ranked, last published 800 (" in told.err
    told = published.run("--max-bad-rows", "off", "--max-user-drop", "off", "--max-pair-drop", "off")
    assert "INFO published 16 of 40 users, 160 rows (users -60.0 %), " in told.err
    report = published.report()
    assert (report["users"], report["users_served"], report["users_none"]) == (40, 16, 24)
    published.retrieve(users=16, night=3)  # compared with what is published, nobody is lost
    assert published.run("--quiet").exit_code == 0
    assert published.roll_back().err.startswith("INFO published again: run ")


def test_the_least_counts_are_of_what_is_published(job):
    spoil(job, range(16, 40))
    told = job.run("--max-bad-rows", "off", "--min-users", 17)
    assert "ERROR E-TOO-FEW-USERS: 16 users of the input's 40 get a list, at least 17 required. " in told.err
    told = job.run("--max-bad-rows", "off", "--min-pairs", 321)
    assert "ERROR E-TOO-FEW-PAIRS: 320 pairs of the input's 800 are ranked, at least 321 required. " in told.err
    assert not job.output.exists()
    assert job.run("--quiet", "--max-bad-rows", "off", "--min-users", 16, "--min-pairs", 320).exit_code == 0


@pytest.mark.parametrize("row_groups", [0, 1])
def test_retrieval_gave_nothing(published, row_groups):
    before = published.output.read_bytes()
    schema = pq.read_schema(published.pairs)
    with pq.ParquetWriter(published.pairs, schema) as writer:
        for _ in range(row_groups):
            writer.write_table(schema.empty_table())
    message = """\
WARNING the input <folder>/pairs.parquet has no rows: the output will be empty
ERROR E-PAIRS-DROPPED: 0 pairs, last published 800 (-100.0 %, limit 20 %). Kept last night's file.
  where:    <folder>/pairs.parquet
    missing: user 'u00'
    missing: user 'u01'
    missing: user 'u02'
    missing: user 'u03'
    missing: user 'u04'
    also E-USERS-DROPPED: 0 users, last published 40 (-100.0 %, limit 20 %).
  next:     rerun retrieval, or accept once with --max-pair-drop off --max-user-drop off
"""
    told = published.run("--quiet")
    assert (told.exit_code, told.troubles, published.output.read_bytes()) == (6, message, before)
    told = published.run("--quiet", "--max-pair-drop", "off")
    assert "ERROR E-USERS-DROPPED: at most 0 users (the input has no more pairs), " in told.err
    assert told.err.count("missing: user 'u") == 5
    assert published.output.read_bytes() == before


def test_after_an_empty_night_there_is_nothing_to_compare_with_and_that_is_told(published):
    full = pq.read_table(published.pairs)
    pq.write_table(full.slice(0, 0), published.pairs)
    accepted = "--max-pair-drop", "off", "--max-user-drop", "off", "--max-candidate-drop", "off"
    assert published.run("--quiet", *accepted).exit_code == 0
    pq.write_table(full, published.pairs)
    told = published.run()
    (warning,) = told.troubles.splitlines()
    assert warning.endswith(
        "/ranked.parquet was published with no rows: this run has nothing to compare itself with"
    )
    reasons = {guard["name"]: guard["reason"] for guard in published.report("report")["guards"]}
    assert reasons["max_user_drop"] == reasons["max_pair_drop"] == "last published none"


def test_a_refusal_without_lists_leaves_none_of_an_earlier_one(published):
    published.retrieve(users=20, movies=40, night=2)
    assert published.run("--quiet").exit_code == 6
    assert published.refused.exists()
    published.retrieve(users=5, movies=4, night=3)
    assert published.run("--quiet").exit_code == 6
    assert not published.refused.exists()


def test_fewer_pairs_than_users_before_is_known_before_the_model_is_loaded(published):
    before = published.output.read_bytes()
    published.retrieve(users=30, movies=1, night=2)
    told = published.run("--max-pair-drop", "off")
    message = """\
E-USERS-DROPPED: at most 30 users (the input has no more pairs), last published 40 (-25.0 %, limit 20 %). \
Kept last night's file.
  where:    <folder>/pairs.parquet
    missing: user 'u30'
    missing: user 'u31'
    missing: user 'u32'
    missing: user 'u33'
    missing: user 'u34'
  next:     rerun retrieval, or accept once with --max-user-drop off
"""
    assert_kept(published, told, message, before)
    assert "load" not in published.report("failed")["seconds"]


@pytest.mark.parametrize(("users", "exit_code"), [(32, 0), (31, 6)])
def test_a_drop_up_to_the_limit_is_accepted(published, users, exit_code):
    published.retrieve(users=users, movies=30, night=2)
    assert published.run("--quiet").exit_code == exit_code


def test_yesterdays_feed_again_is_published_with_a_warning(published):
    run_id = published.report()["run_id"]
    data = published.pairs.read_bytes()
    published.pairs.unlink()
    published.pairs.write_bytes(data)  # a copy of today: another file, another date, the same bytes
    os.utime(published.pairs, (1_700_000_000, 1_700_000_000))
    told = published.run()
    assert told.exit_code == 0
    assert told.troubles == (
        f"WARNING the input is that of the published run {run_id}: nothing has changed since "
        "2023-11-14T22:13:20Z; did retrieval run?\n"
    )
    assert published.report()["warnings"] == [told.troubles.removeprefix("WARNING ").rstrip("\n")]


def test_a_model_that_ignores_the_user(published):
    before = published.output.read_bytes()
    published.train("ignores_user")
    published.retrieve(night=2)
    told = published.run()
    lines = told.troubles.splitlines()
    assert lines[:2] == [
        (
            "ERROR E-IDENTICAL-LISTS: the scores ignore the user: 80 of 80 candidates have the same score for all "
            "their users (100.0 %, limit 99 %). Kept last night's file."
        ),
        "  where:    <folder>/pairs.parquet",
    ]
    assert [line.split("'")[0] for line in lines[2:7]] == ["    candidate "] * 5
    assert lines[2].endswith(" users")
    assert lines[7:] == [
        "    refused output: <folder>/_batchscore/ranked.parquet.refused.parquet",
        (
            "  next:     check that the user column feeds the model (bindings in the report) and that the model "
            "was trained on it, or accept once with --max-identical-lists off"
        ),
    ]
    assert told.exit_code == 6
    assert published.output.read_bytes() == before
    assert published.guards("failed")["max_identical_lists"] == (1, "99%", False)
    assert published.run("--quiet", "--max-identical-lists", "off").exit_code == 0


def test_all_scores_are_equal(published):
    before = published.output.read_bytes()
    published.train("equal")
    published.retrieve(night=2)
    told = published.run()
    message = """\
E-SCORES-EQUAL: all 800 scores are 3.5. Kept last night's file.
  where:    <folder>/pairs.parquet
""" + "".join(
        f"    user 'u00', candidate {candidate!r}\n"
        for candidate in pq.read_table(published.refused)["movie_id"].to_pylist()[:5]
    ) + """\
    also E-IDENTICAL-LISTS: the scores ignore the user: 80 of 80 candidates have the same score for all their \
users (100.0 %, limit 99 %).
    refused output: <folder>/_batchscore/ranked.parquet.refused.parquet
  next:     check that the model is trained and that --score-output names its score, or accept once with \
--allow-equal-scores --max-identical-lists off
"""  # fmt: skip
    assert_kept(published, told, message, before)
    accepted = published.run("--quiet", "--allow-equal-scores", "--max-identical-lists", "off")
    assert accepted.exit_code == 0


def test_one_pair_has_one_score(job):
    job.retrieve(users=1, movies=1)
    assert job.run("--quiet").exit_code == 0


def test_an_input_that_is_too_old(published):
    before = published.output.read_bytes()
    published.retrieve(night=2)
    date = published.age(published.pairs, hours=27)
    message = f"""\
E-INPUT-TOO-OLD: the input is 27.0 h old (limit 26h). Kept last night's file.
  where:    <folder>/pairs.parquet
  found:    last modified {date}
  next:     rerun retrieval, or accept once with --max-input-age off
"""
    assert_kept(published, published.run("--max-input-age", "26h"), message, before)
    published.age(published.pairs, hours=25)
    assert published.run("--quiet", "--max-input-age", "26h").exit_code == 0


def test_a_model_that_is_too_old(published):
    before = published.output.read_bytes()
    published.retrieve(night=2)
    date = published.age(published.folder / "model" / "1" / "saved_model.pb", hours=24 * 31)
    message = f"""\
E-MODEL-TOO-OLD: the model is 31.0 d old (limit 30d). Kept last night's file.
  where:    <folder>/model/1/saved_model.pb
  found:    exported {date}
  next:     train and export a new model, or accept once with --max-model-age off
"""
    assert_kept(published, published.run("--max-model-age", "30d"), message, before)
    assert "load" not in published.report("failed")["seconds"]
    assert published.run("--quiet", "--max-model-age", "32d").exit_code == 0


@pytest.mark.parametrize("name", ["input", "model"])
def test_a_date_in_the_future_has_no_age(published, name):
    before = published.output.read_bytes()
    published.retrieve(night=2)
    path = published.pairs if name == "input" else published.folder / "model" / "1" / "saved_model.pb"
    date = published.age(path, hours=-2.95)
    told = published.run(f"--max-{name}-age", "26h")
    lines = told.troubles.splitlines()
    what = f"the date of the {name} is 2.9 h in the future: its age cannot be measured"
    assert lines[0] == f"ERROR E-CLOCK: {what} (limit 26h). Kept last night's file."
    assert lines[2].startswith(f"  found:    {'last modified' if name == 'input' else 'exported'} {date}, and now ")
    assert lines[3] == (
        "  next:     correct the clock, here or on the machine that wrote the file, "
        f"or accept once with --max-{name}-age off"
    )
    assert (told.exit_code, published.output.read_bytes()) == (6, before)
    assert published.guards("failed")[f"max_{name}_age"] == (None, "26h", False)
    told = published.run()
    assert (told.exit_code, told.troubles) == (0, f"WARNING {what}\n")
    published.age(path, hours=-0.01)  # clocks of two machines differ by as much
    assert published.run(f"--max-{name}-age", "26h").exit_code == 0
    assert published.guards()[f"max_{name}_age"] == (0, "26h", True)


@pytest.mark.parametrize("seconds", [2**45, -(2**40)])
def test_a_date_beyond_all_calendars_is_one_of_the_future_or_old(published, seconds):
    try:
        os.utime(published.pairs, (0, seconds))
    except OSError:
        pytest.skip("this file system has no such dates")
    told = published.run("--max-input-age", "26h")
    assert told.exit_code == 6
    assert f"ERROR {'E-CLOCK' if seconds > 0 else 'E-INPUT-TOO-OLD'}: " in told.err


def test_fewer_users_and_pairs_than_there_must_be(job):
    told = job.run("--min-users", 41)
    assert told.exit_code == 6
    assert (
        told.troubles
        == """\
ERROR E-TOO-FEW-USERS: 40 users, at least 41 required. Nothing was published.
  where:    <folder>/pairs.parquet
    refused output: <folder>/_batchscore/ranked.parquet.refused.parquet
  next:     rerun retrieval, or accept once with --min-users 0
"""
    )
    assert not job.output.exists()
    told = job.run("--min-pairs", 801)
    assert told.exit_code == 6
    assert (
        told.troubles
        == """\
ERROR E-TOO-FEW-PAIRS: 800 pairs, at least 801 required. Nothing was published.
  where:    <folder>/pairs.parquet
  next:     rerun retrieval, or accept once with --min-pairs 0
"""
    )
    assert job.run("--quiet", "--min-users", 40, "--min-pairs", 800).exit_code == 0


def test_after_a_rollback_the_next_night_is_compared_with_what_is_published(published):
    good = published.report()["run_id"]
    published.retrieve(users=24, movies=40, night=2)
    assert published.run("--quiet", "--max-user-drop", "off").exit_code == 0
    assert published.roll_back().exit_code == 0
    published.retrieve(users=38, night=3)
    told = published.run()
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert told.exit_code == 0
    assert told.troubles == (
        f"WARNING the published output was rolled back on {today} to run {good}: "
        "this run compares itself with that one\n"
    )
    assert published.guards()["max_user_drop"] == (pytest.approx(0.05), "20%", True)
    assert published.report()["rolled_back_at"] is None


def test_an_output_that_lost_its_report_is_counted_and_compared_all_the_same(published):
    (published.folder / "_batchscore" / "ranked.parquet.report.json").unlink()
    published.retrieve(users=10, night=2)
    told = published.run()
    assert told.exit_code == 6
    warning, error, *_ = told.troubles.splitlines()
    assert warning == (
        "WARNING the published output <folder>/ranked.parquet has no report: this run compares itself with the "
        "users and rows of the file alone"
    )
    assert error == (
        "ERROR E-USERS-DROPPED: 10 users, last published 40 (-75.0 %, limit 20 %). Kept last night's file."
    )


def test_users_and_pairs_that_double_are_published_with_warnings(job):
    job.retrieve(users=20)
    assert job.run("--quiet").exit_code == 0
    job.retrieve(users=30, night=2)
    assert job.run().troubles == ""
    job.retrieve(users=20)
    assert job.run("--quiet", "--max-user-drop", "off", "--max-pair-drop", "off").exit_code == 0
    job.retrieve(users=40, night=3)
    told = job.run()
    assert (told.exit_code, told.troubles) == (0, """\
WARNING 40 users, last published 20 (+100.0 %, warned above +50 %): check retrieval if this is not intended
WARNING 800 pairs, last published 400 (+100.0 %, warned above +50 %): check retrieval if this is not intended
""")  # fmt: skip


@pytest.mark.parametrize(("role", "column"), [("user", "user_id"), ("candidate", "movie_id")])
def test_unknown_ids_whose_share_rises_are_published_with_a_warning(published, role, column):
    published.retrieve(night=2)
    pairs = pq.read_table(published.pairs)
    ids = {"user_id": pairs["user_id"].to_pylist(), "movie_id": pairs["movie_id"].to_pylist()}
    named = sorted(set(ids[column]))
    for share, warned in ((0.1, False), (0.45, True), (0.45, False)):
        strangers = {*named[: round(share * len(named))]}
        now = {**ids, column: [f"new {item}" if item in strangers else item for item in ids[column]]}
        pq.write_table(pa.table(now).slice(0, 800 - warned), published.pairs)
        told = published.run("--max-user-turnover", "off")
        warning = (
            f"WARNING 45.0 % of the distinct {role}s are unknown to the model, last published 10.0 % (warned above "
            f"+10 points): check that --{role}-column names the id that the model was trained with, and the "
            "model's age\n"
        )
        assert (told.exit_code, told.troubles) == (0, warning if warned else "")


def with_integer_ids(job):
    """The pairs with the users' numbers as ids, and a candidate column of another name."""
    pairs = pq.read_table(job.pairs)
    users = [int(user.removeprefix("u")) for user in pairs["user_id"].to_pylist()]
    pq.write_table(pa.table({"user_id": users, "film": pairs["movie_id"]}), job.pairs)


CHANGED = (
    "WARNING the columns of the output changed: now with user_id int64, film string, no longer with "
    "user_id string, movie_id string: check the programs that read the output\n"
)


@pytest.mark.parametrize("lost", [None, "report", "output", "columns"])
def test_columns_that_change_overnight_are_published_with_a_warning(published, lost):
    report = published.folder / "_batchscore" / "ranked.parquet.report.json"
    if lost == "report":
        report.unlink()
    elif lost == "output":
        published.output.unlink()
    elif lost == "columns":
        told = published.report()
        del told["columns"]  # a report of an older version
        report.write_text(json.dumps(told))
    published.retrieve(night=2)
    with_integer_ids(published)
    accepted = "--max-user-turnover", "off", "--max-unknown-users", "off", "--max-identical-lists", "off"
    told = published.run("--candidate-column", "film", "--map", "movie_id=film", *accepted)
    assert told.exit_code == 0
    assert CHANGED in told.troubles
    published.retrieve(night=3)
    with_integer_ids(published)
    told = published.run("--candidate-column", "film", "--map", "movie_id=film", *accepted)
    assert (told.exit_code, told.troubles) == (0, "")


def test_text_as_another_writer_stores_it_is_no_change(published):
    published.retrieve(night=2)
    pairs = pq.read_table(published.pairs)
    large = pa.schema([(name, pa.large_string()) for name in pairs.column_names])
    pq.write_table(pairs.cast(large), published.pairs)
    assert published.run().troubles == ""


def test_another_top_n_is_published_with_a_warning(published):
    published.retrieve(night=2)
    told = published.run("--top-n", 3)
    warning = "WARNING top N is 3, last published 10: check --top-n if this is not intended\n"
    assert (told.exit_code, told.troubles) == (0, warning)
    published.retrieve(night=3)
    assert published.run("--top-n", 3).troubles == ""


def test_a_night_that_loses_all_its_pairs_is_refused_whatever_is_allowed(job):
    job.retrieve(users=4, movies=3)
    pairs = pq.read_table(job.pairs).to_pydict()
    pq.write_table(pa.table(pairs | {"user_id": pa.nulls(len(pairs["user_id"]), pa.string())}), job.pairs)
    told = job.run("--max-bad-rows", "off")
    assert "ERROR E-NOTHING-RANKED: none of the input's 12 pairs is ranked. Nothing was published." in told.err
    assert "found:    null id: 12" in told.err
    assert told.exit_code == 6
    assert not job.output.exists()
