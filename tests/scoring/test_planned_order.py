"""The order law by a plan: one result, whatever the rows' order, batches, files, threads and the tables' budget."""

from __future__ import annotations

import itertools
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.scoring.rank import topn
from batchscore.scoring.run import run
from batchscore.scoring.score import open_scorer as plans
from batchscore.scoring.score import parts
from batchscore.scoring.source import reader
from batchscore.settings.run import RunSettings

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def pairs(vocabulary):
    """Users, some unknown, x items, some unknown, some pairs twice; an hour that varies within a user."""
    _, items = vocabulary
    draw = np.random.default_rng(3)
    rows = [(user, item) for user in range(1, 101) for item in [*items, "new item", ""]]
    rows = [rows[index] for index in draw.permutation(len(rows))[: len(rows) * 4 // 5]]
    rows += rows[:200]
    user, item = (pa.array(column) for column in zip(*rows, strict=True))
    hour = pa.array(draw.integers(0, 97, len(rows)) / 4, pa.float32())
    seen = pa.array(draw.integers(0, 9, len(rows)) / 8, pa.float32())
    source = pa.array(draw.integers(0, 9, len(rows)), pa.int32())
    return pa.table([user, item, hour, seen, source], ["user_id", "item_id", "hour", "seen", "source"])


@pytest.fixture(scope="module")
def ranked(planned_models, tmp_path_factory):
    """Rank a table, laid out as told; gives the output's bytes and the report."""
    folder = tmp_path_factory.mktemp("ranked")

    def rank(table, *, files=1, group_rows=1_000_000, batch_rows=65_536, threads=2, least_pending=1_000_000,
             budget_bytes=2**28, text="dictionary"):  # fmt: skip
        path = folder / "pairs"
        path.mkdir(exist_ok=True)
        for old in path.iterdir():
            old.unlink()
        ends = np.linspace(0, table.num_rows, files + 1).astype(int)
        for number, (start, end) in enumerate(itertools.pairwise(ends)):
            pq.write_table(table.slice(start, end - start), path / f"{number}.parquet", row_group_size=group_rows,
                           use_dictionary=text == "dictionary")  # fmt: skip
        wanted = RunSettings(
            input=path, output=folder / "ranked.parquet", model=planned_models / "varied", top_n=5,
            set={"label": "0"}, keep={"source": "source", "hour": "hour"}, threads=threads, plan="require",
            max_user_drop="off", max_pair_drop="off", max_unknown_users="off",
        )  # fmt: skip
        with (
            mock.patch.object(reader, "BATCH_ROWS", batch_rows),
            mock.patch.object(topn, "_MIN_PENDING_ROWS", least_pending),
            mock.patch.object(plans, "part_budget", return_value=budget_bytes),
        ):
            report = run(wanted)
        assert report.plan.used
        return (folder / "ranked.parquet").read_bytes(), report

    return rank


@pytest.fixture(scope="module")
def expected(ranked, pairs):
    return ranked(pairs)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    layout=st.fixed_dictionaries({
        "files": st.integers(1, 4),
        "group_rows": st.integers(1, 50).map(lambda number: number * 97),
        "batch_rows": st.integers(40, 99) | st.integers(1_000, 9_000),
        "threads": st.integers(1, 5),
        "least_pending": st.integers(1, 3_000),
        "budget_bytes": st.sampled_from([0, 2**28]),
        "text": st.sampled_from(["dictionary", "plain"]),
    }),
)  # fmt: skip
def test_the_output_is_the_same_bytes(ranked, pairs, expected, seed, layout):
    order = np.random.default_rng(seed).permutation(pairs.num_rows)
    output, report = ranked(pairs.take(pa.array(order)), **layout)
    assert output == expected[0]
    for name in ("rows_read", "pairs_scored", "rows_written", "users", "users_short", "users_none", "ties_at_cut",
                 "known_users", "known_candidates", "bad_rows"):  # fmt: skip
        assert getattr(report, name) == getattr(expected[1], name), name


def test_tables_are_begun_anew_within_a_run(ranked, pairs, expected):
    with mock.patch.object(parts.PartTables, "_begin", autospec=True, side_effect=parts.PartTables._begin) as begun:
        output, _ = ranked(pairs, budget_bytes=0)
    assert begun.call_count > 2, "one for each part is the least"
    assert output == expected[0]


def test_without_the_plan_the_ranking_is_the_same(pairs, expected, planned_models, tmp_path):
    pq.write_table(pairs, tmp_path / "pairs.parquet")
    report = run(RunSettings(
        input=tmp_path / "pairs.parquet", output=tmp_path / "ranked.parquet", model=planned_models / "varied",
        top_n=5, set={"label": "0"}, keep={"source": "source", "hour": "hour"}, plan="off", max_unknown_users="off",
    ))  # fmt: skip
    assert not report.plan.used
    (tmp_path / "planned.parquet").write_bytes(expected[0])
    left, right = (pq.read_table(tmp_path / name) for name in ("planned.parquet", "ranked.parquet"))
    assert left.num_rows == right.num_rows == 500
    tolerance = 1e-4 * report.scores.spread
    assert np.abs(left["score"].to_numpy() - right["score"].to_numpy()).max() <= tolerance
    same = np.array(left["item_id"].to_pylist()) == np.array(right["item_id"].to_pylist())
    assert same.mean() > 0.95
