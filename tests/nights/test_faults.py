"""Inputs that would make every list wrong although nothing fails: which guard catches each, and what only warns."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.tensorflow

MOMENT = 900_000_000
NOW = 1_780_000_000


def read(job):
    return pq.read_table(job.pairs).to_pydict()


def write(job, **columns):
    pq.write_table(pa.table(columns), job.pairs)


def with_features(job, *, age=1.0, moment=MOMENT, moment_unit=1):
    """Give each pair its user's age and a moment within a month, in other units than the model learned them."""
    pairs = read(job)
    numbers = np.array([int(user[1:]) for user in pairs["user_id"]])
    moments = moment + np.arange(len(numbers)) * 3600.0
    write(job, **pairs, age=(20.0 + numbers) * age, moment=moments * moment_unit)


@pytest.fixture
def featured(job):
    """The job after a good night of a model with features."""
    job.train("features")
    with_features(job)
    assert job.run("--quiet").exit_code == 0
    job.retrieve(night=2)
    return job


@pytest.fixture
def half(job):
    """The job after a good night of the first twenty users."""
    job.retrieve(users=20)
    assert job.run("--quiet").exit_code == 0
    return job


def refused(job, *error_ids):
    """The night is refused with the first id, tells the others, and the flags that it names accept all of it."""
    before = job.output.read_bytes()
    told = job.run("--quiet")
    assert told.exit_code == 6
    lines = told.troubles.splitlines()
    assert re.findall(r"^(?:ERROR|    also) (E-[A-Z-]+): ", told.troubles, re.MULTILINE) == list(error_ids)
    assert job.output.read_bytes() == before
    bad = [guard for guard in job.report("failed")["guards"] if not guard["ok"]]
    assert len(bad) == len(error_ids)
    flags = lines[-1].partition(" or accept once with ")[2].split()
    assert job.run("--quiet", *flags).exit_code == 0
    return told.troubles


def test_nearly_all_users_are_replaced(half):
    half.retrieve(users=40, night=2)
    pairs = read(half)
    kept = [at for at, user in enumerate(pairs["user_id"]) if user >= "u19"]
    write(half, **{name: [values[at] for at in kept] for name, values in pairs.items()})
    told = refused(half, "E-USERS-REPLACED")
    assert "95.0 % of the users are new: 21 users now, 20 last published (limit 50 %). Kept" in told
    assert told.count("missing: user 'u0") == 5


def test_users_who_are_only_new_are_no_turnover(half):
    half.retrieve(users=40, night=2)
    assert half.run("--quiet").exit_code == 0
    assert half.guards()["max_user_turnover"] == (0, "50%", True)


def test_ids_with_gaps_that_are_shifted_by_one(job):
    """The model cannot tell: it is not asked. (Where it can, they are unknown to it.)"""
    pairs = read(job)
    for shift in (0, 1):
        write(
            job, user_id=[f"{3 * int(user[1:]) + shift}" for user in pairs["user_id"]], movie_id=pairs["movie_id"]
        )
        if not shift:
            assert job.run("--quiet", "--max-unknown-users", "off", "--max-identical-lists", "off").exit_code == 0
    assert "ERROR E-UNKNOWN-USERS: " in job.run("--quiet").err
    told = job.run("--quiet", "--max-unknown-users", "off", "--max-identical-lists", "off")
    assert "ERROR E-USERS-REPLACED: 100.0 % of the users are new: 40 users now, 40 last published" in told.err


def test_a_join_repeats_pairs_in_the_place_of_others(job):
    assert job.run("--quiet").exit_code == 0
    job.retrieve(movies=4, night=2)
    pairs = read(job)
    write(job, **{name: values * 5 for name, values in pairs.items()})
    told = refused(job, "E-SHORT-LISTS", "E-DUPLICATE-PAIRS")
    assert (
        "E-SHORT-LISTS: 40 of 40 users have fewer than 10 candidates "
        "(100.0 %, last published 0.0 %; limit on the rise 50 %). Kept last night's file."
    ) in told


def test_short_lists_are_not_compared_with_those_of_another_n(job):
    assert job.run("--quiet").exit_code == 0
    assert job.run("--quiet", "--top-n", 30).exit_code == 0
    guard = next(guard for guard in job.report()["guards"] if guard["name"] == "max_short_list_rise")
    assert (guard["figure"], guard["reason"]) == (None, "last published with --top-n 10")


def test_every_pair_is_doubled(job):
    assert job.run("--quiet").exit_code == 0
    job.retrieve(night=2)
    pairs = read(job)
    write(job, **{name: values * 2 for name, values in pairs.items()})
    told = refused(job, "E-DUPLICATE-PAIRS")
    assert (
        "50.0 % of the pairs repeat the user and candidate of another one (50.0 %, last published 0.0 %; " in told
    )
    assert job.run("--quiet").exit_code == 0  # once it was accepted, it is last night's


def test_twelve_candidates_in_the_place_of_all(job):
    assert job.run("--quiet").exit_code == 0
    pairs = read(job)
    users = sorted(set(pairs["user_id"]))
    rows = [(user, f"m{movie:02}") for user in users for movie in range(12)]
    user_id, movie_id = zip(*rows, strict=True)
    write(job, user_id=user_id, movie_id=movie_id)
    told = job.run("--quiet", "--max-pair-drop", "off")
    assert (
        "ERROR E-CANDIDATES-DROPPED: 12 distinct candidates, last published 80 (-85.0 %, limit 50 %)." in told.err
    )
    told = job.run("--max-pair-drop", "off", "--max-candidate-drop", "off")
    assert ", 12 candidates (last 80), scores " in told.err.splitlines()[-1]


@pytest.mark.parametrize(
    "fault",
    [{"age": 365.25}, {"moment_unit": 1000}, {"moment": NOW}],
    ids=["age in days", "timestamps in milliseconds", "a model of 1998 given today's moment"],
)
def test_features_in_other_units_move_the_scores(featured, fault):
    with_features(featured, **fault)
    troubles = featured.run("--quiet").troubles
    assert troubles.startswith("ERROR E-SCORES-MOVED: the mean of the scores moved from ")
    assert "  found:    the same model, fingerprint " in troubles
    assert featured.guards("failed")["max_score_shift"][0] > 3
    accepted = featured.run("--max-score-shift", "off", "--max-spread-change", "off")
    assert accepted.exit_code == 0
    last = accepted.err.splitlines()[-1]
    assert ", scores " in last
    assert " (last 4" in last or " (last 5" in last


def test_a_shift_of_the_same_model_that_may_be_right_warns(featured):
    with_features(featured, moment=MOMENT + 86_400 * 300)
    told = featured.run("--quiet")
    assert told.exit_code == 0
    assert told.troubles.startswith("WARNING the mean of the scores moved from ")
    assert told.troubles.endswith(" times last night's standard deviation, limit 3)\n")


def test_another_models_scores_only_warn(featured):
    featured.train("features", version=2)
    (featured.folder / "model" / "2" / "assets.extra").mkdir()
    (featured.folder / "model" / "2" / "assets.extra" / "note").write_text("another training")
    with_features(featured, age=365.25)
    told = featured.run("--quiet")
    assert told.exit_code == 0
    assert told.troubles.count("WARNING ") == 2
    assert told.troubles.count("; the model is a different one\n") == 2


def test_a_report_of_an_older_version_is_compared_as_far_as_it_goes(job):
    assert job.run("--quiet").exit_code == 0
    path = job.folder / "_batchscore" / "ranked.parquet.report.json"
    report = job.report()
    for name in ("users_served", "candidates", "duplicate_share", "user_sketch"):
        del report[name]
    for guard in report["guards"]:
        del guard["reason"]
    path.write_text(json.dumps(report))
    job.retrieve(night=2)
    told = job.run("--quiet")
    assert (told.exit_code, told.troubles) == (
        0,
        (
            "WARNING the published report has no figures for max_user_turnover, max_duplicate_rise: "
            "these were not compared\n"
        ),
    )
    assert job.guards()["max_candidate_drop"] == (0, "50%", True)
    assert job.guards()["max_user_drop"] == (0, "20%", True)
