"""The scenario table: nights of a job with trained models. None is published wrongly, and none refused wrongly.

Each begins with last night's output published by a good model. What is told is compared whole, but for figures that
training on another machine may round otherwise.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pytest

from batchscore.savedmodel.card import CARD_PATH

pytestmark = pytest.mark.tensorflow

SWAPPED = {"user_id": pl.col("movie_id"), "movie_id": pl.col("user_id")}
UNKNOWN = """\
E-UNKNOWN-USERS: {count} of {count} distinct users are unknown to the model
  found:    100.0 %, such as {ids}
  expected: at most 50% (--max-unknown-users)
  next:     {hint}; \
accept once with {accept}
"""
CHECK = "check that --user-column names the id that the model was trained with, and that the model is not too old"
FLOATED = f"write the ids as integers, without '.0' (somewhere they became floats); {CHECK}"
LOOK_SWAPPED = """\
user and candidate column look swapped: the model knows these users as candidates, and these \
candidates as users; to swap them, add --user-column movie_id --map user_id=movie_id \
--candidate-column user_id --map movie_id=user_id"""
HEADS = """\
E-MODEL-OUTPUT: 2 outputs of signature 'serving_default' could be the score
  found:    {outputs}
  expected: one numeric output of shape [n], [n, 1] or [n, 1, 1]
  next:     choose with --score-output
"""


NO_CARD = """\
WARNING this model has no model card for its score {score!r}, the model last published had one: its scores are not \
compared with those of its export (`batchscore adopt` writes a card)
"""


@dataclass(frozen=True)
class Night:
    """What goes wrong in the second night, what the job says, and what then helps: a change, flags, or both.

    `then_told` are the warnings of the night that was helped, `warned` those before an error.
    """

    wrong: Callable[[Any], object]
    exit_code: int = 0
    told: str = ""
    mend: Callable[[Any], object] = lambda _job: None
    flags: tuple[object, ...] = field(default=())
    then_told: str = ""
    warned: str = ""


NIGHTS = {
    "healthy": Night(lambda _: None),
    "ids are integers now": Night(
        lambda job: job.change(user_id=pl.col("user_id").cast(int), movie_id="movie_id"), 0,
        "WARNING the columns of the output changed: now with user_id int64, no longer with user_id string: "
        "check the programs that read the output\n",
    ),
    "half the users are missing": Night(
        lambda job: job.retrieve(users=100, night=2), 6, """\
E-PAIRS-DROPPED: 9,000 pairs, last published 18,000 (-50.0 %, limit 20 %). Kept last night's file.
  where:    <folder>/pairs.parquet
    missing: user '101'
    missing: user '102'
    missing: user '103'
    missing: user '104'
    missing: user '105'
    also E-USERS-DROPPED: 100 users, last published 200 (-50.0 %, limit 20 %).
  next:     rerun retrieval, or accept once with --max-pair-drop off --max-user-drop off
""", flags=("--max-pair-drop", "off", "--max-user-drop", "off"),
    ),
    "a few users are missing": Night(lambda job: job.retrieve(users=190, night=2)),
    "users rendered 42.0": Night(
        lambda job: job.change(user_id=pl.col("user_id") + ".0", movie_id="movie_id"), 6,
        UNKNOWN.format(
            count=200, ids="'1.0', '2.0', '3.0', '4.0', '5.0'", hint=FLOATED, accept="--max-unknown-users off",
        ), lambda job: job.retrieve(night=2),
    ),
    "candidates rendered 42.0": Night(
        lambda job: job.change(user_id="user_id", movie_id=pl.col("movie_id") + ".0"), 6,
        UNKNOWN.replace("USERS", "CANDIDATES").replace("user", "candidate").format(
            count=300, ids="'1001.0', '1002.0', '1004.0', '1007.0', '1008.0'",
            hint=FLOATED.replace("user", "candidate"), accept="--max-unknown-candidates off",
        ), lambda job: job.retrieve(night=2),
    ),
    "users are floats": Night(
        lambda job: job.change(user_id=pl.col("user_id").cast(float), movie_id="movie_id"), 2, """\
E-BINDING: the pair columns do not fit signature 'serving_default'
  where:    <folder>/pairs.parquet
  found:    columns user_id double, movie_id string
  expected: inputs movie_id string [n], user_id string [n]
    input user_id string [n] cannot take column 'user_id' of type double: ids never pass through floats; \
write them as integers or text
    user column 'user_id' is double: ids are strings or integers
    bound: movie_id <- movie_id
  next:     correct what is named above
""", lambda job: job.retrieve(night=2),
    ),
    "user and candidate column are swapped": Night(
        lambda job: job.change(**SWAPPED), 6,
        UNKNOWN.format(count=300, ids="'1001', '1002', '1004', '1007', '1008'", hint=LOOK_SWAPPED,
                       accept="--max-unknown-users off --max-unknown-candidates off"),
        lambda job: job.change(**SWAPPED),
    ),
    "every score is NaN": Night(
        lambda job: job.train("diverged", 2), 4, """\
E-MODEL-NONFINITE: no pair has a finite score
  found:    18,000 pairs scored, all NaN, infinite or beyond float32
  expected: finite scores
  next:     roll back with --model-version, and check the training run of this model
""", flags=("--model-version", 1), warned=NO_CARD.format(score="score"),
    ),
    "the label is among the inputs": Night(
        lambda job: job.train("label", 2), 2, """\
E-BINDING: the pair columns do not fit signature 'serving_default'
  where:    <folder>/pairs.parquet
  found:    columns user_id string, movie_id string
  expected: inputs movie_id string [n], user_id string [n], user_rating float32 [n]
    input user_rating float32 [n] has no column 'user_rating'; it looks like the label that the model was trained on
    bound: movie_id <- movie_id, user_id <- user_id
  next:     add --set user_rating=0
""", flags=("--set", "user_rating=0"), then_told=NO_CARD.format(score="score"),
    ),
    "two heads": Night(
        lambda job: job.train("two_heads", 2), 4, HEADS.format(outputs="click float32 [n]; rating float32 [n]"),
        flags=("--score-output", "0.7*rating + 0.3*click"),
        then_told=NO_CARD.format(score="0.7*rating + 0.3*click"),
    ),
    "three heads": Night(
        lambda job: job.train("three_heads", 2), 4,
        HEADS.format(outputs="click float32 [n]; rating float32 [n]; taste float32 [n, 8]"),
        flags=("--score-output", "rating", "--keep-output", "click"),
        then_told="WARNING the columns of the output changed: now with click float: "
        "check the programs that read the output\n" + NO_CARD.format(score="rating"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night(nightly, name):
    night, before, report = NIGHTS[name], nightly.output.read_bytes(), nightly.report()
    nightly.retrieve(night=2)
    night.wrong(nightly)
    told = nightly.run()
    assert (told.exit_code, told.out) == (night.exit_code, "")
    assert told.troubles == (f"{night.warned}ERROR {night.told}" if night.exit_code else night.told)
    if night.exit_code:
        assert nightly.output.read_bytes() == before
        assert nightly.report() == report
        failure = nightly.report("failed")
        assert (failure["status"], failure["exit_code"]) == ("failed", night.exit_code)
        assert failure["error_id"] == night.told.partition(":")[0]
        night.mend(nightly)
        told = nightly.run(*night.flags)
        assert (told.exit_code, told.troubles) == (0, night.then_told)
    assert nightly.output.read_bytes() != before
    assert nightly.report()["run_id"] != report["run_id"]
    assert nightly.report()["status"] == "published"


def test_integer_ids_give_the_lists_that_text_gives(nightly):
    text = pl.read_parquet(nightly.output)
    nightly.change(user_id=pl.col("user_id").cast(int), movie_id=pl.col("movie_id").cast(int))
    assert nightly.run("--quiet").exit_code == 0
    integers = pl.read_parquet(nightly.output).with_columns(pl.col("user_id", "movie_id").cast(str))
    assert integers.sort("user_id", "rank").equals(text)


def test_the_scores_of_two_heads_are_what_was_asked_for(nightly):
    nightly.train("two_heads", 2)
    flags = "--keep-output", "rating", "--keep-output", "click", "--quiet"
    assert nightly.run("--score-output", "0.7*rating + 0.3*click", *flags).exit_code == 0
    rows = pl.read_parquet(nightly.output)
    assert ((rows["score"] - 0.7 * rows["rating"] - 0.3 * rows["click"]).abs() < 1e-5).all()
    assert rows["click"].n_unique() > 100


def test_yesterdays_feed_again(nightly):
    before, run_id = nightly.output.read_bytes(), nightly.report()["run_id"]
    told = nightly.run()
    assert told.exit_code == 0
    assert re.fullmatch(
        rf"WARNING the input is that of the published run {run_id}: nothing has changed since \S+Z; "
        r"did retrieval run\?\n", told.troubles,
    )  # fmt: skip
    assert nightly.output.read_bytes() == before


def test_the_user_tower_is_not_connected(nightly):
    before = nightly.output.read_bytes()
    nightly.retrieve(night=2)
    nightly.train("popularity", 2)
    told = nightly.run()
    lists = pl.read_parquet(nightly.refused).group_by("movie_id").agg(pl.len(), pl.col("score").first())
    listed = lists.sort(["len", "movie_id"], descending=[True, False]).head(5).rows()
    examples = "".join(
        f"    candidate {movie!r}: {score:.6g} for {users} users\n" for movie, users, score in listed
    )
    assert told.troubles == f"""\
{NO_CARD.format(score="score")}\
WARNING unknown users are not counted any more (it is not looked up in a table), last published 0.0 %: \
--max-unknown-users has no effect
ERROR E-IDENTICAL-LISTS: the scores ignore the user: 128 of 128 candidates have the same score for all their users \
(100.0 %, limit 99 %). Kept last night's file.
  where:    <folder>/pairs.parquet
{examples}\
    refused output: <folder>/_batchscore/ranked.parquet.refused.parquet
  next:     check that the user column feeds the model (bindings in the report) and that the model was \
trained on it, or accept once with --max-identical-lists off
"""  # fmt: skip
    assert (told.exit_code, nightly.output.read_bytes()) == (6, before)
    told = nightly.run("--model-version", 1)
    assert (told.exit_code, told.troubles) == (0, "")


def test_a_new_model_whose_scores_drifted_is_seen_the_morning_after_and_rolled_back(nightly):
    good, run_id = nightly.output.read_bytes(), nightly.report()["run_id"]
    assert nightly.adopt("drifted").exit_code == 0
    told = nightly.run("--quiet")
    assert told.exit_code == 0  # a new model may give other scores
    bad = nightly.output.read_bytes()
    seen = json.loads(nightly.diff("--json").out)
    exceeded = [limit for limit in seen["limits"] if not limit["ok"]]
    assert seen["users_changed"] > 100
    assert seen["score_shift_largest"] > 0.1
    assert {limit["name"] for limit in exceeded} >= {"max-changed-users", "max-score-shift"}
    told = nightly.diff()
    lines = "".join(f"    {limit['name']}: {limit['figure']}, limit {limit['limit']}\n" for limit in exceeded)
    flags = " ".join(f"--{limit['name']} off" for limit in exceeded)
    assert told.err == f"""\
ERROR {exceeded[0]["error_id"]}: the outputs differ: {len(exceeded)} of 6 limits exceeded
  where:    <folder>/ranked.parquet compared with <folder>/_batchscore/ranked.parquet.previous-1
{lines}  next:     check the examples; accept with {flags}
"""  # fmt: skip
    assert told.exit_code == 6
    assert told.out.startswith(f"DIFFERENT: {len(exceeded)} of 6 limits exceeded\n")
    assert re.search(r"\nlists changed, such as\n  user \d+: candidate", told.out)
    assert re.search(r"\n  user \d+: candidate \d+ had score \S+, now \S+ \([+-]\S+\)\n", told.out)
    assert nightly.diff(*flags.split()).exit_code == 0

    told = nightly.roll_back()
    assert (told.exit_code, told.out) == (0, "")
    assert told.err == f"""\
INFO published again: run {run_id}, 200 users, 2,000 rows
INFO the output that it replaces is kept as <folder>/_batchscore/ranked.parquet.previous-1
"""  # fmt: skip
    assert nightly.output.read_bytes() == good
    assert (nightly.folder / "_batchscore" / "ranked.parquet.previous-1").read_bytes() == bad


@pytest.fixture
def mixed(nightly):
    """Model 2, whose copy went wrong: graph and card of one training, weights of the next, every size right."""
    base = nightly.folder / "model"
    shutil.copytree(base / "1", base / "2")
    shutil.rmtree(base / "2" / "variables")
    shutil.copytree(nightly.exported / "drifted" / "1" / "variables", base / "2" / "variables")
    nightly.retrieve(night=2)
    return base / "2"


@pytest.mark.usefixtures("mixed")
def test_weights_of_another_training_are_no_model(nightly):
    before = nightly.output.read_bytes()
    told = nightly.run()
    assert re.fullmatch(
        r"""ERROR E-MODEL-DAMAGED: variables/variables.data-00000-of-00001 is not the file that was exported
  where:    <folder>/model/2/variables/variables.data-00000-of-00001
  found:    SHA-256 \S+
  expected: SHA-256 \S+, as the model card says
  next:     copy or export the model again, or pick another version with --model-version
""", told.troubles,
    )  # fmt: skip
    assert (told.exit_code, nightly.output.read_bytes()) == (4, before)
    assert nightly.run("--quiet", "--model-version", 1).exit_code == 0


def test_weights_of_another_training_do_not_give_the_scores_of_a_card_without_checksums(nightly, mixed, tf):
    before = nightly.output.read_bytes()
    path = mixed / CARD_PATH
    card = json.loads(path.read_text("utf-8"))
    del card["sha256"]
    for file in card["files"]:
        del file["sha256"]
    path.write_text(json.dumps(card), "utf-8")
    told = nightly.run()
    assert re.fullmatch(
        rf"""ERROR E-MODEL-PROBES: model 2 does not give the scores that it gave when it was exported
  where:    <folder>/model/2
  found:    probe row \d+ differs by \S+ under tensorflow {tf.__version__} \(c\)
  expected: at most \S+, as under tensorflow {tf.__version__}
  next:     run with --model-version 1, whose probes pass, and export the model again
""", told.troubles,
    )  # fmt: skip
    assert (told.exit_code, nightly.output.read_bytes()) == (4, before)


def test_a_rollback_of_a_rollback(nightly):
    first = nightly.output.read_bytes()
    nightly.retrieve(night=2)
    assert nightly.run("--quiet").exit_code == 0
    second = nightly.output.read_bytes()
    for expected in (first, second):
        assert nightly.roll_back().exit_code == 0
        assert nightly.output.read_bytes() == expected
    told = nightly.run("--model-version", 3)
    assert told.exit_code == 4
    assert nightly.output.read_bytes() == second


def test_a_model_without_the_card_that_the_last_one_had_is_published_with_a_warning(nightly):
    assert nightly.report()["model"]["probes"] == 32
    nightly.retrieve(night=2)
    nightly.train("trained", 2)
    told = nightly.run()
    assert (told.exit_code, told.troubles) == (0, NO_CARD.format(score="score"))
    assert nightly.report()["model"]["probes"] == 0
    nightly.retrieve(night=3)
    assert nightly.run().troubles == ""


def test_a_score_that_the_card_does_not_speak_of_is_published_with_a_warning(nightly):
    flags = "--score-output", "2*score"
    nightly.retrieve(night=2)
    told = nightly.run(*flags)
    assert (told.exit_code, NO_CARD.format(score="2*score") in told.troubles) == (0, True)
