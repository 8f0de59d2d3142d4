from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batchscore.interactions.training_statistics import learn_statistics
from batchscore.networks.batch_columns import LIST, OBSERVED
from batchscore.settings.train import TrainSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

GENRE = {"genre": {"kind": "vocabulary", "role": "candidate"}, "hour": {"kind": "number", "role": "context"}}
CLICK = {"click": {"kind": "click", "label": "clicked", "negatives": 2}}


def table(rows=100, chunk_rows=30):
    """Row i has user i // 10, and candidate, genre, hour and rating i: a row can be told by any of its columns."""
    numbers = np.arange(rows)
    whole = pa.table({
        "user_id": pa.array(numbers // 10, pa.int64()),
        "movie_id": pa.array([str(n) for n in numbers], pa.large_string()),
        "genre": pa.array([f"g{n}" for n in numbers], pa.large_string()),
        "hour": pa.array(numbers, pa.float32()),
        "user_rating": pa.array(numbers, pa.float32()),
    })  # fmt: skip
    return pa.Table.from_batches(whole.to_batches(max_chunksize=chunk_rows))


def batches_of(rows, epoch=0, **settings):
    from batchscore.networks.training_batches import TrainingBatches

    settings = {"batch_rows": 32, "features": GENRE, **settings}
    declared = TrainSettings(input="x.parquet", output="m", **settings)
    batches = TrainingBatches(rows, learn_statistics(rows, declared), declared)
    return [{name: values.numpy() for name, values in batch.items()} for batch in batches.epoch(epoch)]


def numbers(batch):
    assert batch["genre"].tolist() == [b"g" + movie for movie in batch["movie_id"]]
    return [int(movie) for movie in batch["movie_id"]]


def test_an_epoch_has_every_row_once_with_its_columns_together():
    batches = batches_of(table())
    assert [len(batch["user_id"]) for batch in batches] == [32, 32, 32, 4]
    for batch in batches:
        assert set(batch) == {"user_id", "movie_id", "genre", "hour", "user_rating"}
        found = numbers(batch)
        assert batch["user_rating"].tolist() == batch["hour"].tolist() == found
        assert batch["user_id"].tolist() == [n // 10 for n in found]
    assert sorted(n for batch in batches for n in numbers(batch)) == list(range(100))


def test_a_column_that_is_neither_feature_nor_label_stays_out():
    rows = table().append_column("at", pa.array(range(100), pa.int64()))
    assert {name for batch in batches_of(rows, timestamp_column="at") for name in batch} == set(
        table().column_names
    )


@pytest.mark.parametrize("more", [{}, {"shuffle_rows": 40}, {"tasks": CLICK}])
def test_any_epoch_can_be_had_again_alone(more):
    def order(epoch, seed=3):
        return [numbers(batch) for batch in batches_of(table(), epoch, seed=seed, **more)]

    assert order(2) == order(2)
    assert order(2) != order(1)
    assert order(2) != order(2, seed=4)


def test_lists_hold_rows_of_one_user():
    tasks = {"order": {"kind": "listwise", "label": "user_rating", "list_length": 5}}
    batches = batches_of(table(), tasks=tasks)
    for batch in batches:
        for number in range(batch[LIST].max() + 1):
            rows = np.flatnonzero(batch[LIST] == number)
            assert len(rows) == 5
            assert len(set(batch["user_id"][rows])) == 1
        assert batch["user_id"].tolist() == [n // 10 for n in numbers(batch)]
    assert sorted(n for batch in batches for n in numbers(batch)) == list(range(100))


def test_negatives_are_the_row_with_another_candidate():
    batches = batches_of(table(), tasks=CLICK, batch_rows=30)
    assert [len(batch["user_id"]) for batch in batches] == [30] * 10
    seen = []
    for batch in batches:
        real = batch[OBSERVED] == 1
        found = numbers(batch)
        assert real.tolist() == [True] * 10 + [False] * 20
        own = batch["hour"].astype(int).tolist()
        assert own[:10] == found[:10]
        assert own[10:] == np.repeat(own[:10], 2).tolist()
        assert batch["user_id"].tolist() == [n // 10 for n in own]
        assert all(other != n for other, n in zip(found[10:], own[10:], strict=True))
        seen += found[:10]
    assert sorted(seen) == list(range(100))


def test_negatives_change_with_the_epoch():
    def negatives(epoch):
        drawn = {}
        for batch in batches_of(table(), epoch, tasks=CLICK):
            for row, movie, real in zip(batch["hour"], batch["movie_id"], batch[OBSERVED], strict=True):
                if not real:
                    drawn.setdefault(int(row), set()).add(movie)
        return drawn

    assert negatives(0) == negatives(0)
    assert negatives(0) != negatives(1)


def test_lists_with_negatives_for_another_task():
    tasks = {"order": {"kind": "pairwise", "label": "user_rating", "list_length": 5}, **CLICK}
    batches = batches_of(table(), tasks=tasks, batch_rows=30)
    assert sum(batch[OBSERVED].sum() for batch in batches) == 100
    for batch in batches:
        real = batch[OBSERVED] == 1
        assert batch[LIST].dtype == np.int64
        assert (np.diff(batch[LIST][real]) >= 0).all()
        assert len(real) == 3 * real.sum()


def test_rows_are_read_in_their_order():
    from batchscore.networks.training_batches import read_training_batches

    batches = list(read_training_batches(table(), 32))
    assert [len(batch["user_id"]) for batch in batches] == [30, 30, 30, 10]
    assert [movie for batch in batches for movie in batch["movie_id"].numpy()] == [b"%d" % n for n in range(100)]


def test_text_is_utf_8_and_may_be_anything():
    from batchscore.networks.training_batches import to_tensors

    texts = ["", "ü", "a\0b", "[UNK]", "\U0001f600"]
    found = to_tensors(pa.table({"x": pa.array(texts, pa.large_string())}))["x"].numpy()
    assert [text.decode() for text in found] == texts
