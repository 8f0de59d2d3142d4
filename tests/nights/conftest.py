"""Nightly jobs in a folder, real small models, and what each night tells.

`job` has pairs of forty users and models of random weights; `nightly` the pairs of the sample and models that were
trained on its ratings.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SAMPLE = Path(__file__).parents[2] / "sample_data"
USERS = [f"u{number:02}" for number in range(40)]
MOVIES = [f"m{number:02}" for number in range(80)]
MOMENT = 900_000_000
"""A moment of 1998."""


def _export(tf: Any, path: Path, kind: str) -> None:
    """A model with look-ups and embeddings; `kind` is personal, ignores_user (movies only) or equal (one score).

    `features` takes the user's age (years) and a moment (epoch seconds), and knows those of 1998.
    """
    draw = np.random.default_rng(11)
    shape = (len(USERS) + 1, 8), (len(MOVIES) + 1, 8)

    class Ranking(tf.Module):
        def __init__(self):
            super().__init__()
            self.users, self.movies = (
                tf.lookup.StaticHashTable(
                    tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.range(1, len(keys) + 1)), 0
                )
                for keys in (USERS, MOVIES)
            )
            self.user_rows, self.movie_rows = (tf.Variable(draw.normal(size=size).astype("f4")) for size in shape)

        @tf.function(
            input_signature=[tf.TensorSpec([None], tf.string, name=name) for name in ("user_id", "movie_id")]
        )
        def serve(self, user_id, movie_id):
            user = tf.gather(self.user_rows, self.users.lookup(user_id))
            movie = tf.gather(self.movie_rows, self.movies.lookup(movie_id))
            if kind == "ignores_user":
                user = tf.ones_like(user) + 0 * user
            if kind == "equal":
                movie = 0 * movie
            return {"score": 3.5 + tf.reduce_sum(user * movie, axis=1)}

    model = Ranking()
    if kind == "features":
        model.serve = _with_features(tf, model.serve)
    tf.saved_model.save(model, str(path / "1"), signatures={"serving_default": model.serve})


def _with_features(tf: Any, serve: Any) -> Any:
    text, number = (partial(tf.TensorSpec, [None], dtype) for dtype in (tf.string, tf.float64))

    @tf.function(
        input_signature=[text(name="user_id"), text(name="movie_id"), number(name="age"), number(name="moment")]
    )
    def with_features(user_id, movie_id, age, moment):
        days = (moment - MOMENT) / 86_400
        more = tf.cast((age - 35) / 10 + days / 60, tf.float32)
        return {"score": serve(user_id, movie_id)["score"] + more}

    return with_features


@pytest.fixture(scope="session")
def exported(tf, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("nights")
    for kind in ("personal", "ignores_user", "equal", "features"):
        _export(tf, folder / kind, kind)
    return folder


@dataclass(frozen=True)
class Job:
    """`batchscore run` on pairs.parquet, model/ and ranked.parquet of one folder."""

    folder: Path
    exported: Path
    command: Callable[..., Any]

    @property
    def pairs(self) -> Path:
        return self.folder / "pairs.parquet"

    @property
    def output(self) -> Path:
        return self.folder / "ranked.parquet"

    @property
    def refused(self) -> Path:
        return self.folder / "_batchscore" / "ranked.parquet.refused.parquet"

    def retrieve(self, *, users: int = 40, movies: int = 20, night: int = 1) -> None:
        """Write `movies` candidates for each of the first `users` users, other ones every night."""
        draw = np.random.default_rng(night)
        rows = [(user, movie) for user in USERS[:users] for movie in draw.permutation(MOVIES)[:movies]]
        user_id, movie_id = zip(*rows, strict=True)
        pq.write_table(pa.table({"user_id": user_id, "movie_id": movie_id}), self.pairs)

    def train(self, kind: str, version: int = 1) -> None:
        """Put the model of this kind where the job looks for it, as this version."""
        target = self.folder / "model" / str(version)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.exported / kind / "1", target)

    def run(self, *flags: object) -> Any:
        return self._told("run", "--input", self.pairs, "--output", self.output, "--model", self.folder / "model",
                          "--candidate-column", "movie_id", *flags)  # fmt: skip

    def roll_back(self, output: Path | None = None) -> Any:
        return self._told("rollback", output or self.output)

    def report(self, name: str = "report") -> dict[str, Any]:
        path = self.folder / "_batchscore" / f"ranked.parquet.{name}.json"
        return dict(json.loads(path.read_text()))

    def guards(self, name: str = "report") -> dict[str, tuple[float | None, str, bool]]:
        return {
            guard["name"]: (guard["figure"], guard["limit"], guard["ok"]) for guard in self.report(name)["guards"]
        }

    def age(self, path: Path, hours: float) -> str:
        """Make a file `hours` older than now, and spell its date."""
        then = int(time.time() - hours * 3600)
        os.utime(path, (then, then))
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(then))

    def _told(self, *arguments: object) -> Any:
        told = self.command(*arguments)
        out, err = (text.replace(str(self.folder), "<folder>") for text in (told.out, told.err))
        return type(told)(told.exit_code, out, err)


@pytest.fixture
def job(tmp_path, exported, batchscore) -> Job:
    job = Job(tmp_path, exported, batchscore)
    job.retrieve()
    job.train("personal")
    return job


def _train(tf: Any, steps: int, rate: float) -> Any:
    """Embeddings and biases fitted to the sample's ratings by `steps` of gradient descent, with three heads."""
    ratings = pq.read_table(SAMPLE / "interactions.parquet")
    users, movies = (ratings[name].unique().to_pylist() for name in ("user_id", "movie_id"))
    draw = np.random.default_rng(3)

    class Ranking(tf.Module):
        def __init__(self):
            super().__init__()
            self.tables = [
                tf.lookup.StaticHashTable(
                    tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.range(1, len(keys) + 1)), 0
                )
                for keys in (users, movies)
            ]
            self.rows = [
                tf.Variable(draw.normal(scale=0.3, size=(len(keys) + 1, 8)).astype("f4"))
                for keys in (users, movies)
            ]
            self.biases = [tf.Variable(tf.zeros(len(keys) + 1)) for keys in (users, movies)]

        def popularity(self, movie_id):
            return 3.5 + tf.gather(self.biases[1], self.tables[1].lookup(movie_id))

        def heads(self, user_id, movie_id):
            user, movie = (table.lookup(ids) for table, ids in zip(self.tables, (user_id, movie_id), strict=True))
            taste = tf.gather(self.rows[0], user) * tf.gather(self.rows[1], movie)
            rating = self.popularity(movie_id) + tf.gather(self.biases[0], user) + tf.reduce_sum(taste, axis=1)
            return {"rating": rating, "click": tf.sigmoid(2 * (rating - 4)), "taste": taste}

    model = Ranking()
    feeds = [tf.constant(ratings[name].to_pylist()) for name in ("user_id", "movie_id")]
    truth = tf.constant(ratings["user_rating"].to_numpy())
    variables = [*model.rows, *model.biases]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model.heads(*feeds)["rating"] - truth) ** 2)
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(rate * tf.convert_to_tensor(gradient))
        return loss

    model.losses = [float(step()) for _ in range(steps)]
    return model


def _export_trained(tf: Any, model: Any, path: Path, kind: str) -> None:
    heads = {
        "trained": lambda user, movie: {"score": model.heads(user, movie)["rating"]},
        "popularity": lambda _, movie: {"score": model.popularity(movie)},
        "two_heads": lambda user, movie: {
            name: value for name, value in model.heads(user, movie).items() if name != "taste"
        },
        "three_heads": model.heads,
    }
    text, number = (tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.float32))
    if kind == "label":

        @tf.function(input_signature=[text, text, number])
        def serve(user_id, movie_id, user_rating):
            return {"score": model.heads(user_id, movie_id)["rating"] + 0 * user_rating}

    else:

        @tf.function(input_signature=[text, text])
        def serve(user_id, movie_id):
            return heads[kind](user_id, movie_id)

    module = tf.Module()
    module.model, module.serve = model, serve
    tf.saved_model.save(module, str(path / "1"), signatures={"serving_default": serve})


@pytest.fixture(scope="session")
def trained(tf, tmp_path_factory) -> Path:
    """Models that a colleague trained on the sample's ratings, one of them until every weight was NaN."""
    folder = tmp_path_factory.mktemp("trained")
    model = _train(tf, steps=40, rate=20)
    assert model.losses[-1] < model.losses[0] / 2
    for kind in ("trained", "popularity", "two_heads", "three_heads", "label"):
        _export_trained(tf, model, folder / kind, kind)
    _export_trained(tf, _train(tf, steps=60, rate=40), folder / "drifted", "trained")
    diverged = _train(tf, steps=40, rate=20_000)
    assert np.isnan(diverged.losses[-1])
    _export_trained(tf, diverged, folder / "diverged", "trained")
    return folder


class SampleJob(Job):
    """The job on the sample's 200 users, of whose 100 candidates a night retrieves 90, with trained models."""

    def retrieve(self, *, users: int = 200, movies: int = 90, night: int = 1) -> None:
        """Write `movies` candidates for each of the first `users` users, other ones every night."""
        pairs = pl.read_parquet(SAMPLE / "pairs.parquet").with_row_index()
        kept = pairs.filter((pl.col("index") + night) % 10 != 0, pl.col("index") < users * 100)
        self.write(kept.group_by("user_id", maintain_order=True).head(movies).drop("index"))

    def change(self, **columns: Any) -> None:
        """Write the pairs again with these columns, polars expressions over them."""
        self.write(pl.read_parquet(self.pairs).select(**columns))

    def write(self, pairs: pl.DataFrame) -> None:
        """Write the pairs as most writers do, with plain strings."""
        table = pairs.to_arrow()
        types = [pa.string() if pa.types.is_large_string(type_) else type_ for type_ in table.schema.types]
        pq.write_table(table.cast(pa.schema(zip(table.schema.names, types, strict=True))), self.pairs)

    def adopt(self, kind: str) -> Any:
        """`batchscore adopt` of the model of this kind as the next version."""
        return self._told("adopt", self.exported / kind, "--output", self.folder / "model")

    def diff(self, *flags: object) -> Any:
        """`batchscore diff` of the output before the published one and the published one."""
        return self._told("diff", self.folder / "_batchscore" / "ranked.parquet.previous-1", self.output, *flags)


@pytest.fixture
def nightly(tmp_path, trained, batchscore) -> SampleJob:
    """The job on the sample after a good night, with version 1 of a trained and adopted model."""
    job = SampleJob(tmp_path, trained, batchscore)
    job.retrieve()
    assert job.adopt("trained").exit_code == 0
    assert job.run("--quiet").exit_code == 0
    return job
