from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.settings.train import TrainSettings


def latent_table(users=200, candidates=300, rows=12_000, seed=7):
    """Ratings in halves from 0.5 to 5 that biases and two latent factors explain, but for some noise."""
    random = np.random.default_rng(seed)
    user = random.integers(users, size=rows)
    candidate = random.integers(candidates, size=rows)
    factors = random.normal(size=(users, 2)), random.normal(size=(candidates, 2))
    biases = random.normal(scale=0.6, size=users), random.normal(scale=0.6, size=candidates)
    rating = (
        3.2 + biases[0][user] + biases[1][candidate] + 0.3 * (factors[0][user] * factors[1][candidate]).sum(axis=1)
    )
    rating += random.normal(scale=0.3, size=rows)
    return pa.table(
        {
            "user_id": [f"u{number}" for number in user],
            "movie_id": [f"m{number}" for number in candidate],
            "user_rating": pa.array(np.clip(np.round(rating * 2) / 2, 0.5, 5), pa.float32()),
        }
    )


@pytest.fixture(scope="session")
def sample_input(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "interactions.parquet"
    pq.write_table(latent_table(), path)
    return path


@pytest.fixture(scope="session")
def trained(keras2, sample_input, tmp_path_factory):  # noqa: ARG001 - loaded first
    """Report of one training with batches of 256 on the sample-sized data; its model is never changed by a test."""
    from batchscore.training.train import train

    output = tmp_path_factory.mktemp("trained") / "model"
    return train(TrainSettings(input=sample_input, output=output, batch_rows=256))
