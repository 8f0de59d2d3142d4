"""A nightly job in a folder: pairs of forty users, real small models, and what each night tells."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

USERS = [f"u{number:02}" for number in range(40)]
MOVIES = [f"m{number:02}" for number in range(80)]


def _export(tf: Any, path: Path, kind: str) -> None:
    """A model with look-ups and embeddings; `kind` is personal, impersonal (movies only) or equal (one score)."""
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
            if kind == "impersonal":
                user = tf.ones_like(user) + 0 * user
            if kind == "equal":
                movie = 0 * movie
            return {"score": 3.5 + tf.reduce_sum(user * movie, axis=1)}

    model = Ranking()
    tf.saved_model.save(model, str(path / "1"), signatures={"serving_default": model.serve})


@pytest.fixture(scope="session")
def exported(tf, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("nights")
    for kind in ("personal", "impersonal", "equal"):
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

    def train(self, kind: str) -> None:
        """Put the model of this kind where the job looks for it."""
        shutil.rmtree(self.folder / "model", ignore_errors=True)
        shutil.copytree(self.exported / kind, self.folder / "model")

    def run(self, *flags: object) -> Any:
        return self._told("run", "--input", self.pairs, "--output", self.output, "--model", self.folder / "model",
                          "--candidate-column", "movie_id", *flags)  # fmt: skip

    def roll_back(self) -> Any:
        return self._told("rollback", self.output)

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
        return type(told)(told.exit_code, told.out, told.err.replace(str(self.folder), "<folder>"))


@pytest.fixture
def job(tmp_path, exported, batchscore) -> Job:
    job = Job(tmp_path, exported, batchscore)
    job.retrieve()
    job.train("personal")
    return job
