"""The order law on a real model: one result, whatever the row order, batches, threads and row groups."""

from __future__ import annotations

import itertools
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.engine.opening import open_session
from batchscore.savedmodel.saved_model import read_saved_model
from batchscore.scoring.rank import topn
from batchscore.scoring.run import run
from batchscore.scoring.score import scorer
from batchscore.scoring.source import reader
from batchscore.settings.run import RunSettings

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def pairs(vocabulary):
    """Users x items, some unknown, some pairs twice with another `source`."""
    users, items = vocabulary
    draw = np.random.default_rng(3)
    rows = [(user, item, None) for user in [*users, "new user"] for item in [*items, "new item", ""]]
    rows = [rows[index] for index in draw.permutation(len(rows))[: len(rows) * 4 // 5]]
    rows += [(user, item, float(source)) for source, (user, item, _) in enumerate(rows[:200])]
    return pa.table([pa.array(column) for column in zip(*rows, strict=True)], ["user_id", "item_id", "source"])


@pytest.fixture(scope="module")
def ranked(ranking_model, tmp_path_factory):
    """Rank a table, laid out as told; returns the output's bytes and the report."""
    folder = tmp_path_factory.mktemp("ranked")

    def rank(table, *, group_rows=1_000_000, batch_rows=65_536, threads=2, least_pending=1_000_000):
        pq.write_table(table, folder / "pairs.parquet", row_group_size=group_rows)
        wanted = RunSettings(
            input=folder / "pairs.parquet", output=folder / "ranked.parquet", model=ranking_model, top_n=5,
            keep=["source"], threads=threads,
        )  # fmt: skip
        with (
            mock.patch.object(reader, "BATCH_ROWS", batch_rows),
            mock.patch.object(scorer, "COMPUTE_ROWS", 512),
            mock.patch.object(topn, "_MIN_PENDING_ROWS", least_pending),
        ):
            report = run(wanted)
        return (folder / "ranked.parquet").read_bytes(), report

    return rank


@pytest.fixture(scope="module")
def expected(ranked, pairs):
    return ranked(pairs)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    layout=st.fixed_dictionaries({
        "group_rows": st.integers(1, 50).map(lambda number: number * 57),
        "batch_rows": st.integers(3, 10) | st.integers(100, 5000),
        "threads": st.integers(1, 5),
        "least_pending": st.integers(1, 3000),
    }),
)  # fmt: skip
def test_the_output_is_the_same_bytes(ranked, pairs, expected, seed, layout):
    order = np.random.default_rng(seed).permutation(pairs.num_rows)
    output, report = ranked(pairs.take(pa.array(order)), **layout)
    assert output == expected[0]
    for name in ("rows_read", "pairs_scored", "rows_written", "users", "users_short", "users_none", "ties_at_cut",
                 "known_users", "known_candidates", "bad_rows"):  # fmt: skip
        assert getattr(report, name) == getattr(expected[1], name), name
    assert report.output.sha256 == expected[1].output.sha256


def test_the_result_is_the_models_ranking(ranked, pairs, ranking_model, tmp_path):
    output, report = ranked(pairs)
    (tmp_path / "ranked").write_bytes(output)
    found = pq.read_table(tmp_path / "ranked").to_pylist()
    model = read_saved_model(ranking_model)
    session = open_session(model.path, threads=1)
    distinct = sorted({(row["user_id"], row["item_id"]) for row in pairs.to_pylist()})
    feeds = {
        "user_id": pa.array([user for user, _ in distinct]),
        "item_id": pa.array([item for _, item in distinct]),
    }
    scores = session.run(model.signatures["serving_default"], feeds, ["score"])["score"]
    session.close()
    by_user = {}
    for (user, item), score in zip(distinct, scores.tolist(), strict=True):
        by_user.setdefault(user, []).append((score, item))
    gap = 1e-5
    assert [row["user_id"] for row in found] == [user for user in sorted(by_user) for _ in range(5)]
    for user, listed in by_user.items():
        best = sorted(listed, key=lambda pair: (-pair[0], pair[1]))[:5]
        rows = [row for row in found if row["user_id"] == user]
        assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
        assert np.abs(np.array([row["score"] for row in rows]) - [score for score, _ in best]).max() < gap
        close = any(a[0] - b[0] < gap for a, b in itertools.pairwise(best))
        assert close or [row["item_id"] for row in rows] == [item for _, item in best]
    assert (report.known_users.known, report.known_users.unknown) == (40, 1)
    assert (report.known_candidates.known, report.known_candidates.unknown) == (60, 2)
    assert report.pairs_scored == pairs.num_rows
