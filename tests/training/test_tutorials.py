"""Each TFRS tutorial that ranks: said in TOML, trained on real ratings, exported, and ranked by the nightly run.

Where the archive is not there, the ratings are made up of two latent factors.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from batchscore.savedmodel.saved_model import read_saved_model
from batchscore.scoring.run import run
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings
from batchscore.settings.train import TrainSettings
from batchscore.training.train import train

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

MOVIELENS = Path(
    os.environ.get("BATCHSCORE_MOVIELENS", Path(__file__).parents[3] / "shared" / "data" / "ml-latest-small.zip")
)
ROWS = 8000

COMMON = """
[train]
input = "ratings.parquet"
output = "model"
split = "random"
batch_rows = 128
embedding_dimension = 16
layers = [32]
epochs = 2
"""

TUTORIALS = {
    "basic ranking": "",
    "context features": """
timestamp_column = "timestamp"
candidates = "movies.parquet"
[features.timestamp]
kind = "timestamp"
role = "context"
buckets = 50
[features.title]
kind = "text"
role = "candidate"
""",
    "deep": """
candidates = "movies.parquet"
[features.genres]
kind = "list"
role = "candidate"
[model]
user_layers = [32, 16]
candidate_layers = [32, 16]
interaction = "dot"
""",
    "deep and cross": """
candidates = "movies.parquet"
[features.genres]
kind = "list"
role = "candidate"
[model]
interaction = "cross"
cross_rank = 8
""",
    "multitask": """
[model]
biases = true
[tasks.rating]
kind = "rating"
label = "user_rating"
[tasks.watched]
kind = "click"
label = "watched"
negatives = 1
weight = 0.5
""",
    "listwise": """
learning_rate = 0.01
[model]
biases = true
optimizer = "adam"
embedding_l2 = 0.01
[tasks.order]
kind = "listwise"
label = "user_rating"
list_length = 32
""",
}
OUTPUTS = {"multitask": ["rating", "score", "watched"], "listwise": ["order", "score"]}


def read_movielens():
    with zipfile.ZipFile(MOVIELENS) as archive:
        tables = {
            name: pa_csv.read_csv(io.BytesIO(archive.read(f"ml-latest-small/{name}.csv")))
            for name in ("ratings", "movies")
        }
    ratings = tables["ratings"].slice(0, ROWS).rename_columns(["user_id", "movie_id", "user_rating", "timestamp"])
    return ratings, tables["movies"].rename_columns(["movie_id", "title", "genres"])


def make_up():
    random = np.random.default_rng(3)
    user, movie = random.integers(60, size=ROWS), random.integers(200, size=ROWS)
    likes = random.normal(size=(60, 2)), random.normal(size=(200, 2))
    rating = 3 + random.normal(scale=0.7, size=200)[movie] + 0.5 * (likes[0][user] * likes[1][movie]).sum(axis=1)
    ratings = pa.table({
        "user_id": user, "movie_id": movie, "user_rating": np.clip(np.round(rating), 1, 5),
        "timestamp": random.integers(10**9, 2 * 10**9, size=ROWS),
    })  # fmt: skip
    movies = pa.table({
        "movie_id": np.arange(200), "title": [f"Part {n % 9} of {n % 7}" for n in range(200)],
        "genres": [f"{'Comedy' if n % 2 else 'War'}|Drama" for n in range(200)],
    })  # fmt: skip
    return ratings, movies


@pytest.fixture(scope="module")
def data():
    return read_movielens() if MOVIELENS.exists() else make_up()


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_is_said_in_toml_trained_exported_and_ranked(name, data, tmp_path):
    ratings, movies = data
    pq.write_table(ratings, tmp_path / "ratings.parquet")
    pq.write_table(movies, tmp_path / "movies.parquet")
    (tmp_path / "train.toml").write_text(COMMON + TUTORIALS[name])
    settings = resolve(TrainSettings, "train", {}, config=tmp_path / "train.toml", environ={}).settings
    report = train(settings)
    assert report.judged["metric"] == ("NDCG@10" if name == "listwise" else "RMSE")
    saved = read_saved_model(Path(report.model_path))
    signature = saved.signatures["serving_default"]
    assert sorted(signature.outputs) == OUTPUTS.get(name, ["score"])
    assert "user_rating" not in signature.inputs

    users = pc.unique(ratings["user_id"]).slice(0, 3)
    rated = pc.unique(ratings["movie_id"]).slice(0, 40)
    shown = movies.filter(pc.is_in(movies["movie_id"], value_set=rated))
    pairs = pa.concat_tables(
        [shown.append_column("user_id", pa.array([user] * len(shown))) for user in users.to_pylist()]
    )
    pq.write_table(pairs, tmp_path / "pairs.parquet")
    constants = {"timestamp": "1500000000"} if "timestamp" in signature.inputs else {}
    kept = {"keep_output": {"watched": "watched"}} if name == "multitask" else {}
    ranked = run(
        RunSettings(
            input=tmp_path / "pairs.parquet", output=tmp_path / "ranked.parquet", model=settings.output, top_n=5,
            set=constants, max_identical_lists="off", **kept,
        )
    )  # fmt: skip
    assert (ranked.rows_written, ranked.users) == (15, 3)
    assert ranked.known_users.unknown == 0
    rows = pq.read_table(tmp_path / "ranked.parquet")
    assert rows["rank"].to_pylist() == [1, 2, 3, 4, 5] * 3
    scores = rows["score"].to_numpy().reshape(3, 5)
    assert (np.diff(scores) <= 0).all()
    if name == "multitask":
        watched = rows["watched"].to_numpy()
        assert ((watched > 0) & (watched < 1)).all()
