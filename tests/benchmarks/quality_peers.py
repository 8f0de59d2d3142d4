"""What other libraries predict on a split, for quality.py: python quality_peers.py FOLDER SEED

It runs in an interpreter of its own, for scikit-surprise needs NumPy 1. FOLDER has `split.npz` of quality.py: codes
of users and items, ratings, and which rows are training rows. Written are `<peer>.npy`, the predictions of the
other rows (float64), and `implicit_catalogue.npy`, the ten best unseen items of every user (int64 `[users, 10]`).
Everything has its library's defaults, but for the number of threads.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import scipy.sparse
from implicit.als import AlternatingLeastSquares
from surprise import SVD, BaselineOnly, Dataset, KNNBaseline, Reader, SVDpp
from surprise.prediction_algorithms.algo_base import AlgoBase

LIST_LENGTH = 10


def main(folder: Path, seed: int) -> None:
    with np.load(folder / "split.npz") as split:
        users, items, ratings, training = (split[name] for name in ("users", "items", "ratings", "training"))
    held_out = list(zip(users[~training], items[~training], strict=True))
    known = make_trainset(users[training], items[training], ratings[training])
    np.save(folder / "mean.npy", np.full(len(held_out), known.global_mean))
    algorithms: dict[str, AlgoBase] = {
        "baseline_only": BaselineOnly(verbose=False),
        "svd": SVD(random_state=seed),
        "svdpp": SVDpp(random_state=seed, cache_ratings=True),
        "knn_baseline": KNNBaseline(verbose=False),
    }
    for name, algorithm in algorithms.items():
        algorithm.fit(known)
        np.save(folder / f"{name}.npy", [algorithm.predict(user, item).est for user, item in held_out])
    rank_with_implicit(folder, seed, users, items, ratings, training)


def make_trainset(users: np.ndarray, items: np.ndarray, ratings: np.ndarray):
    """The rows as scikit-surprise wants them."""
    reader = Reader(rating_scale=(float(ratings.min()), float(ratings.max())))
    rows = [(user, item, rating, None) for user, item, rating in zip(users, items, ratings, strict=True)]
    return Dataset(reader).construct_trainset(rows)


def rank_with_implicit(
    folder: Path, seed: int, users: np.ndarray, items: np.ndarray, ratings: np.ndarray, training: np.ndarray
) -> None:
    shape = users.max() + 1, items.max() + 1
    seen = scipy.sparse.csr_matrix(
        (ratings[training].astype(np.float32), (users[training], items[training])), shape
    )
    model = AlternatingLeastSquares(random_state=seed, num_threads=os.cpu_count() or 1)
    model.fit(seen, show_progress=False)
    scores = np.einsum("rf,rf->r", model.user_factors[users[~training]], model.item_factors[items[~training]])
    np.save(folder / "implicit.npy", scores.astype(np.float64))
    best, _ = model.recommend(np.arange(shape[0]), seen, N=LIST_LENGTH, filter_already_liked_items=True)
    np.save(folder / "implicit_catalogue.npy", best.astype(np.int64))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
