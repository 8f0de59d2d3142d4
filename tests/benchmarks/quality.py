"""How good the recipe of jobs/train_movielens.toml is, beside other libraries on the same splits. By hand: minutes.

    python tests/benchmarks/quality.py --data ml-latest-small.zip --work DIR --peers-python PYTHON

Each split is a permutation of the ratings by its seed: the first 80 % are the file that `batchscore.train` is
given, which stops early by rows of its own choice among them and then refits on all of them; the other 20 % are
ranked by `batchscore.run` with the published model. The peers, quality_peers.py, fit the same 80 % in the
interpreter PYTHON, which needs scikit-surprise, implicit and NumPy 1.

Printed are RMSE and MAE (predictions as the libraries give them: scikit-surprise cuts its own to the scale, the
recipe's are not cut); NDCG@10 of each user's held-out movies, ranked anew; and lists out of the whole catalogue
less what the user has rated. A movie is relevant where its held-out rating is at least 4; users without such a
movie do not count. For these lists the recipe is fitted with two other tasks as well: `listwise`, the order of what
a user rated, and `click`, what a user rated against drawn negatives, without moments (the night's is nobody's yet).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import batchscore
from batchscore.columns import INTERACTIONS, MOVIE_ID, RANK, SCORE, TIMESTAMP, USER_ID, USER_RATING, ranked_schema
from batchscore.datasets.movielens import convert_movielens
from batchscore.evaluation.evaluate import Evaluation

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "jobs" / "train_movielens.toml"
ARCHIVE = Path(os.environ.get("BATCHSCORE_MOVIELENS", ROOT.parent / "shared" / "data" / "ml-latest-small.zip"))
PEERS = Path(__file__).with_name("quality_peers.py")
TRAINING_SHARE = 0.8
LIST_LENGTH = 10
LIKED = 4.0
EVERYTHING = 1_000_000
OURS, LISTWISE, CLICK = "batchscore", "batchscore, listwise", "batchscore, click"
NEGATIVES = 4
PREDICTING_PEERS = ("mean", "baseline_only", "svd", "knn_baseline", "svdpp")

Figures = dict[str, dict[str, float]]
"""By method, then by metric."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ARCHIVE, help="an archive, or interactions as Parquet")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--peers-python", type=Path)
    parser.add_argument("--splits", type=int, nargs="+", default=[42, 43, 44])
    given = parser.parse_args()
    ratings = read_ratings(given.data, given.work)
    predicted: list[Figures] = []
    reranked: list[Figures] = []
    catalogue: list[Figures] = []
    for seed in given.splits:
        split = Split(ratings, seed, given.work / str(seed))
        peers = split.fit_peers(given.peers_python) if given.peers_python else {}
        scores = {OURS: split.fit_recipe(given.recipe), **peers}
        predicted.append(
            {name: split.measure_predictions(scores[name]) for name in (OURS, *PREDICTING_PEERS) if name in scores}
        )
        reranked.append(split.measure_reranked(scores))
        catalogue.append(split.measure_catalogue(given.recipe))
        print(f"split {seed} is done", file=sys.stderr, flush=True)
    tell("Held-out ratings", predicted, given.splits)
    tell("Each user's held-out movies, ranked", reranked, given.splits)
    tell("The whole catalogue, ranked", catalogue, given.splits)


def read_ratings(data: Path, work: Path) -> pa.Table:
    """The interactions in `data`, which is such a Parquet file or an archive of MovieLens."""
    if data.suffix == ".parquet":
        return pq.read_table(data)
    convert_movielens(data, work / "data")
    return pq.read_table(work / "data" / "interactions.parquet")


class Split:
    """Training rows and held-out rows of one permutation, as files below `folder`."""

    def __init__(self, ratings: pa.Table, seed: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        order = np.random.default_rng(seed).permutation(ratings.num_rows)
        is_training = np.zeros(ratings.num_rows, bool)
        is_training[order[: int(TRAINING_SHARE * ratings.num_rows)]] = True
        self.seed = seed
        self.folder = folder
        self.training = ratings.filter(pa.array(is_training))
        self.held_out = ratings.filter(pa.array(~is_training))
        self.training_path = folder / "training.parquet"
        self.held_out_path = folder / "held_out.parquet"
        pq.write_table(self.training, self.training_path)
        pq.write_table(self.held_out, self.held_out_path)
        self.movies = ratings[MOVIE_ID].unique()
        self.users = ratings[USER_ID].unique()
        np.savez(
            folder / "split.npz",
            users=_code(ratings[USER_ID], self.users),
            items=_code(ratings[MOVIE_ID], self.movies),
            ratings=ratings[USER_RATING].to_numpy().astype(np.float64),
            training=is_training,
        )

    def fit_peers(self, python: Path) -> dict[str, np.ndarray]:
        """What each peer predicts for the held-out rows."""
        # the peers see nothing of this interpreter's packages
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["OPENBLAS_NUM_THREADS"] = "1"  # implicit has threads of its own
        subprocess.run([python, PEERS, self.folder, str(self.seed)], check=True, env=environment)
        return {name: np.load(self.folder / f"{name}.npy") for name in (*PREDICTING_PEERS, "implicit")}

    def fit_recipe(self, recipe: Path) -> np.ndarray:
        """What the published model scores the held-out rows."""
        model = self._train(recipe, "rating")
        ranked = self._run(self.held_out_path, model, "rating_held_out", EVERYTHING)
        scored = pl.read_parquet(ranked).select(USER_ID, MOVIE_ID, SCORE)
        rows = pl.from_arrow(self.held_out.select([USER_ID, MOVIE_ID]))
        joined = rows.join(scored, on=[USER_ID, MOVIE_ID], how="left", maintain_order="left")
        if joined[SCORE].null_count():
            raise SystemExit("a held-out pair has no score")
        return joined[SCORE].to_numpy()

    def measure_predictions(self, predictions: np.ndarray) -> dict[str, float]:
        """RMSE and MAE on the held-out rows."""
        errors = predictions.astype(np.float64) - self.held_out[USER_RATING].to_numpy()
        return {"RMSE": float(np.sqrt(np.mean(errors**2))), "MAE": float(np.mean(np.abs(errors)))}

    def measure_reranked(self, scores: Mapping[str, np.ndarray]) -> Figures:
        """NDCG of each method's order of each user's held-out rows, beside popularity and biases of the movies."""
        found: Figures = {}
        for name in [name for name in scores if name != "mean"]:
            rows = pl.from_arrow(self.held_out.select([USER_ID, MOVIE_ID])).with_columns(
                score=pl.Series(scores[name])
            )
            ranked = self._write_ranked(rows, f"{name}_reranked")
            table = self._evaluate(ranked, training=self.training_path).table
            for row, label in (("model", name), ("popularity", "popularity"), ("biases", "item biases")):
                found[label] = _values(table[row], [f"NDCG@{LIST_LENGTH}"])
        return found

    def measure_catalogue(self, recipe: Path) -> Figures:
        """Lists out of all movies that the user has not rated in the training rows."""
        pairs = self._write_catalogue_pairs()
        night = {TIMESTAMP: int(np.max(self.training[TIMESTAMP].to_numpy()))}
        order = {"order": {"kind": "listwise", "label": USER_RATING}}
        clicks = {"rated": {"kind": "click", "label": "rated", "negatives": NEGATIVES}}
        timeless = {name: feature for name, feature in _features(recipe).items() if name != TIMESTAMP}
        models = {
            OURS: (self.folder / "rating", night),
            LISTWISE: (self._train(recipe, "listwise", tasks=order), night),
            CLICK: (self._train(recipe, "click", tasks=clicks, features=timeless), {}),
        }
        found: Figures = {}
        for name, (model, constants) in models.items():
            ranked = self._run(pairs, model, f"{model.name}_catalogue", LIST_LENGTH, set=constants)
            found[name] = self._measure_liked(ranked)
        counts = pl.from_arrow(self.training).group_by(MOVIE_ID).agg(score=pl.len().cast(pl.Float64))
        popular = pl.read_parquet(pairs, columns=[USER_ID, MOVIE_ID]).join(counts, on=MOVIE_ID)
        found["popularity"] = self._measure_liked(self._write_ranked(popular, "popularity", LIST_LENGTH))
        if (best := self.folder / "implicit_catalogue.npy").exists():
            found["implicit"] = self._measure_liked(self._write_implicit(np.load(best)))
        return found

    def _train(self, recipe: Path, name: str, **changed: Any) -> Path:
        output = self.folder / name
        batchscore.train(config=recipe, input=self.training_path, output=output, max_regression="off", **changed)
        return output

    def _run(self, pairs: Path, model: Path, name: str, top_n: int, **settings: Any) -> Path:
        output = self.folder / f"{name}.parquet"
        batchscore.run(
            input=pairs,
            output=output,
            model=model,
            top_n=top_n,
            max_unknown_candidates="off",
            max_user_drop="off",
            max_pair_drop="off",
            max_identical_lists="100%",
            **settings,
        )
        return output

    def _measure_liked(self, ranked: Path) -> dict[str, float]:
        wanted = [f"NDCG@{LIST_LENGTH}", f"recall@{LIST_LENGTH}", f"coverage@{LIST_LENGTH}"]
        return _values(self._evaluate(ranked).table["model"], wanted)

    def _evaluate(self, ranked: Path, training: Path | None = None) -> Evaluation:
        return batchscore.evaluate(
            ranked=ranked,
            truth=self.held_out_path,
            training=training,
            label_column=USER_RATING,
            relevant=LIKED,
            gain="binary",
            k=(LIST_LENGTH,),
            bootstrap=0,
        )

    def _write_catalogue_pairs(self) -> Path:
        path = self.folder / "catalogue.parquet"
        rated = pl.from_arrow(pa.concat_tables([self.training, self.held_out]))
        users = pl.from_arrow(self.training).select(USER_ID).unique(maintain_order=True)
        movies = rated.select(
            [name for name in INTERACTIONS.names if name not in (USER_ID, TIMESTAMP, USER_RATING)]
        )
        movies = movies.unique(MOVIE_ID, keep="first", maintain_order=True)
        seen = pl.from_arrow(self.training.select([USER_ID, MOVIE_ID]))
        users.join(movies, how="cross").join(seen, on=[USER_ID, MOVIE_ID], how="anti").write_parquet(path)
        return path

    def _write_implicit(self, best: np.ndarray) -> Path:
        users = np.repeat(self.users.to_numpy(zero_copy_only=False), best.shape[1])
        movies = self.movies.to_numpy(zero_copy_only=False)[best.reshape(-1)]
        order = np.tile(-np.arange(best.shape[1], dtype=np.float64), len(best))
        return self._write_ranked(pl.DataFrame({USER_ID: users, MOVIE_ID: movies, SCORE: order}), "implicit")

    def _write_ranked(self, rows: pl.DataFrame, name: str, top_n: int = EVERYTHING) -> Path:
        """`rows` (user, movie, score) as `batchscore run` would publish them."""
        path = self.folder / f"{name}.ranked.parquet"
        schema = ranked_schema(self.training.schema.field(USER_ID), self.training.schema.field(MOVIE_ID))
        ranked = (
            rows.with_columns(pl.col(SCORE).cast(pl.Float32))
            .sort([USER_ID, SCORE, MOVIE_ID], descending=[False, True, False])
            .with_columns((pl.int_range(pl.len()).over(USER_ID) + 1).cast(pl.Int32).alias(RANK))
            .filter(pl.col(RANK) <= top_n)
        )
        pq.write_table(ranked.select(schema.names).to_arrow().cast(schema), path)
        return path


def tell(title: str, splits: list[Figures], seeds: list[int]) -> None:
    """Print one line a method: each metric by split, and its mean."""
    metrics = list(next(iter(splits[0].values())))
    heads = [f"{metric} {seed}" for metric in metrics for seed in (*seeds, "mean")]
    print(f"\n{title}\n{'':<24}" + "".join(f"{head:>18}" for head in heads))
    for name in splits[0]:
        cells = []
        for metric in metrics:
            values = [split[name][metric] for split in splits]
            cells += [*values, float(np.mean(values))]
        print(f"{name:<24}" + "".join(f"{cell:>18.4f}" for cell in cells))


def _features(recipe: Path) -> dict[str, Any]:
    features: dict[str, Any] = tomllib.loads(recipe.read_text("utf-8"))["features"]
    return features


def _values(metrics: Mapping[str, Mapping[str, float | None]], names: list[str]) -> dict[str, float]:
    return {name: float(metrics[name]["value"] or 0.0) for name in names}


def _code(ids: pa.ChunkedArray, known: pa.Array) -> np.ndarray:
    codes: np.ndarray = pa.compute.index_in(ids, value_set=known).to_numpy().astype(np.int64)
    return codes


if __name__ == "__main__":
    main()
