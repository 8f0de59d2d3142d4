"""Every official tutorial whose model scores a pair: saved as it says, adopted, and run by its plan."""

from __future__ import annotations

import runpy

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.adoption.adopt import adopt
from batchscore.arrays.tolerance import score_tolerance
from batchscore.scoring.run import run
from batchscore.settings.adopt import AdoptSettings
from batchscore.settings.run import RunSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.planner, pytest.mark.process, pytest.mark.usefixtures("keras2")]

USERS = [str(number) for number in range(1, 41)] + ["nobody"]
MOVIES = [str(number) for number in range(1, 31)]


def pairs_for(titles):
    """All users beside all movies; what a user or a movie is follows from it alone. A title is unknown."""
    user, movie = (axis.reshape(-1) for axis in np.meshgrid(range(41), range(30), indexing="ij"))
    titles = [*titles[:29], "the Return of a Title that nobody knows"]
    return {
        "user_id": np.array(USERS)[user],
        "movie_id": np.array(MOVIES)[movie],
        "movie_title": np.array(titles)[movie],
        "userId": user.astype(np.int64) + 1,
        "movieId": movie.astype(np.int64) + 1,
        "timestamp": 880_000_000 + 250_000 * user.astype(np.int64),
        "user_gender": user % 3 == 0,
        "user_zip_code": np.array([f"{10_000 + number % 12}" for number in user]),
        "user_occupation_text": np.array(["writer", "student", "none", "engineer"])[user % 4],
        "bucketized_user_age": np.array([18, 25, 35, 45, 50, 56])[user % 6],
    }


@pytest.fixture(scope="module")
def titles(tf, models):  # noqa: ARG001 - TensorFlow is loaded first
    """Those of the models' own generator."""
    return runpy.run_path(str(models / "tutorials.py"))["TITLES"]


TUTORIALS = {
    "basic_ranking": ({}, "output_1"),
    "context_features": ({"candidate_input": "movie_title"}, "output_1"),
    "deep_recommenders": ({"candidate_input": "movie_title"}, "output_1"),
    "dcn": ({"candidate_input": "movie_id"}, "output_1"),
    "multitask": ({}, "output_3"),
    "ranking_tfx": ({"user_input": "userId", "candidate_input": "movieId"}, "output_1"),
}


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_is_adopted_and_run_by_its_plan_as_tensorflow_scores_it(tf, exports, titles, tmp_path, name):
    flags, output = TUTORIALS[name]
    source = exports("tutorials") / name
    report = adopt(AdoptSettings(saved_model=source, output=tmp_path / "model", **flags))
    assert (report.score_output, report.no_plan_reason) == (output, None)
    assert report.probe_rows == 32

    serve = tf.saved_model.load(str(source)).signatures["serving_default"]
    specs = serve.structured_input_signature[1]
    columns = {column: values for column, values in pairs_for(titles).items() if column in specs}
    feeds = {
        column: tf.reshape(tf.constant(values.tolist(), specs[column].dtype), [-1, *specs[column].shape[1:]])
        for column, values in columns.items()
    }
    expected = serve(**feeds)[output].numpy().reshape(-1)
    pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
    ranked = run(
        RunSettings(
            input=tmp_path / "pairs.parquet", output=tmp_path / "ranked.parquet", model=tmp_path / "model",
            user_column=report.user_input, candidate_column=report.candidate_input, top_n=100, plan="require",
        )
    )  # fmt: skip
    assert ranked.plan.used
    assert (ranked.known_users.unknown, ranked.rows_written) == (1, 41 * 30)

    ids = [report.user_input, report.candidate_input]
    table = pl.DataFrame(columns).select(*ids, expected=expected)
    joined = table.join(pl.read_parquet(tmp_path / "ranked.parquet"), on=ids)
    assert joined.height == table.height
    assert (joined["score"] - joined["expected"]).abs().max() <= score_tolerance(expected)
    assert joined["expected"].n_unique() > 900
