from __future__ import annotations

import pytest

from batchscore.training.splits import split_interactions

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]


@pytest.fixture
def settings(write):
    """Row i is user i, candidate i, rating i: a row can be told by any of its columns."""
    numbers = list(range(100))
    return write(
        {"user_id": numbers, "movie_id": [str(n) for n in numbers], "user_rating": numbers},
        batch_rows=32, seed=3,
    )  # fmt: skip


def rows(batches):
    return [
        list(
            zip(
                batch["user_id"].numpy(),
                map(int, batch["movie_id"].numpy()),
                batch["user_rating"].numpy(),
                strict=True,
            )
        )
        for batch in batches
    ]


def numbers(batches):
    return {row[0] for batch in rows(batches) for row in batch}


def test_each_row_is_on_one_side_and_keeps_its_columns_together(settings, read):
    from batchscore.training.dataset import make_batches

    split = split_interactions(read(settings), settings)
    batches = make_batches(split, settings)
    training, held_out = rows(batches.training), rows(batches.held_out)
    assert [len(batch) for batch in training] == [32, 32, 16]
    seen = sorted(row for batch in training + held_out for row in batch)
    assert seen == [(n, n, float(n)) for n in range(100)]


def test_the_seed_decides_the_split_and_the_order(settings, read):
    from batchscore.training.dataset import make_batches
    from batchscore.training.keras2 import seed_random_generators

    def order(seed):
        chosen = settings.model_copy(update={"seed": seed})
        seed_random_generators(seed)
        batches = make_batches(split_interactions(read(chosen), chosen), chosen)
        return rows(batches.training), rows(batches.training), numbers(batches.held_out)

    first, again, other = order(3), order(3), order(4)
    assert first == again
    assert first[0] == first[1]
    assert first[2] != other[2]
