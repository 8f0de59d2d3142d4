"""Models with several outputs, and with inputs that no pair has."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import BatchscoreError
from batchscore.scoring.run import run
from batchscore.settings.run import RunSettings

pytestmark = [pytest.mark.process, pytest.mark.tensorflow]


@pytest.fixture
def job(tmp_path):
    """Runs a model on 3 users x 20 items, each pair twice."""
    pairs = [(f"u{user}", f"m{item}") for user in (1, 2, 99) for item in range(20)] * 2
    table = pa.table({"user_id": [user for user, _ in pairs], "movie_id": [item for _, item in pairs]})
    pq.write_table(table, tmp_path / "pairs.parquet")

    def ranked(model, **settings):
        settings = {"top_n": 5, **settings}
        run(RunSettings(input=tmp_path / "pairs.parquet", output=tmp_path / "out.parquet", model=model, **settings))
        return pl.read_parquet(tmp_path / "out.parquet")

    return ranked


def refusal(job, model, **settings):
    with pytest.raises(BatchscoreError) as caught:
        job(model, **settings)
    return str(caught.value)


def test_the_score_may_be_a_sum_of_outputs(exports, job):
    heads = exports("modules") / "heads"
    both = job(heads, score_output="0.7*rating + 0.3*click", keep_output=["rating", "p=click"], top_n=50)
    assert both.columns == ["user_id", "movie_id", "score", "rank", "rating", "p"]
    assert both.schema["p"] == pl.Float32
    expected = both.select((0.7 * pl.col("rating").cast(pl.Float64) + 0.3 * pl.col("p")).cast(pl.Float32))
    assert (both["score"] - expected.to_series()).abs().max() < 1e-6
    rating = job(heads, score_output="rating", top_n=50).rename({"score": "alone"}).drop("rank")
    click = job(heads, score_output="click", top_n=50).rename({"score": "alone"}).drop("rank")
    keys = ["user_id", "movie_id"]
    assert both.join(rating, on=keys).select((pl.col("rating") == pl.col("alone")).all()).item()
    assert both.join(click, on=keys).select((pl.col("p") == pl.col("alone")).all()).item()
    assert both.height == 60


def test_kept_outputs_follow_the_kept_columns(exports, job):
    found = job(exports("modules") / "heads", score_output="rating", keep=["item=movie_id"], keep_output=["click"])
    assert found.columns == ["user_id", "movie_id", "score", "rank", "item", "click"]
    assert found["item"].to_list() == found["movie_id"].to_list()


def test_an_integer_output_keeps_its_type(exports, job, tmp_path):
    table = pq.read_table(tmp_path / "pairs.parquet").rename_columns(["user_id", "item_id"])
    table = table.append_column("premium", pa.array([True] * len(table)))
    pq.write_table(table.append_column("age", pa.array([30] * len(table))), tmp_path / "pairs.parquet")
    found = job(exports("modules") / "hashed", candidate_column="item_id", keep_output=["points"])
    assert (found.schema["points"], found.schema["score"]) == (pl.Int32, pl.Float32)
    assert found["points"].to_list() == found["score"].to_list()


@pytest.mark.parametrize(("keep", "said"), [
    (["score=click"], "'score' is a column of the output already; rename with --keep-output other_name=click"),
    (["user_id=click"], "'user_id' is a column of the output already"),
    (["likes"], "the model has no output 'likes'"),
    (["embedding"], "output embedding float32 [n, 4] is not one number per pair"),
    (["title"], "output title string [n] is not one number per pair"),
])  # fmt: skip
def test_outputs_that_cannot_be_kept_are_refused(exports, job, keep, said):
    message = refusal(job, exports("modules") / "heads", score_output="rating", keep_output=keep)
    assert message.startswith("E-KEEP: kept outputs do not fit")
    assert said in message


def test_a_clash_with_a_kept_column_is_refused(exports, job):
    message = refusal(job, exports("modules") / "heads", score_output="rating", keep=["click=movie_id"],
                      keep_output=["click"])  # fmt: skip
    assert "'click' is a column of the output already" in message


def test_an_expression_that_is_not_valid_is_refused(exports, job):
    message = refusal(job, exports("modules") / "heads", score_output="rating*likes")
    assert message.startswith("E-MODEL-OUTPUT")
    assert "there is no output 'likes'" in message


def test_the_label_among_the_inputs_gets_the_flag_that_helps(exports, job):
    message = refusal(job, exports("modules") / "label")
    assert "input user_rating float32 [n] has no column 'user_rating'; it looks like the label" in message
    assert message.endswith("next:     add --set user_rating=0")
    assert job(exports("modules") / "label", set=["user_rating=0"]).height == 15


def test_a_listwise_model_is_refused_with_the_reason(exports, job):
    message = refusal(job, exports("modules") / "listwise")
    assert message.startswith(
        "E-MODEL-SIGNATURE: signature 'serving_default' does not score pairs: an input does not take one "
        "value per pair"
    )


def test_a_model_that_reads_files_is_refused_before_it_is_loaded_and_run_when_trusted(exports, job, tmp_path):
    table = pq.read_table(tmp_path / "pairs.parquet")
    pq.write_table(table.append_column("value", pa.array([1.0] * len(table))), tmp_path / "pairs.parquet")
    risky = exports("risky") / "ReadFile"
    assert refusal(job, risky, candidate_column="movie_id").startswith("E-MODEL-UNTRUSTED")
    message = refusal(job, risky, candidate_column="movie_id", trust_model=True)
    assert message.startswith("E-SCORES-EQUAL")  # it has scored: every pair has the same value
