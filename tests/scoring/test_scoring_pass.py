"""Passes over parts of a night, in any split and order, merge to what one pass over all of it gives."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.engine.opening import open_session
from batchscore.run_report import Clock
from batchscore.scoring.bind import rejects
from batchscore.scoring.bind.binding import bind
from batchscore.scoring.rank import statistics, topn
from batchscore.scoring.score.model import choose_model
from batchscore.scoring.score.scorer import Scorer
from batchscore.scoring.scoring_pass import ScoringPass
from batchscore.scoring.source.pair_source import PairBatch
from batchscore.settings.run import RunSettings

pytestmark = pytest.mark.tensorflow

ROWS = 400


@pytest.fixture(scope="module")
def night(vocabulary):
    """Pairs of some known and some unknown ids, a few null, a few twice, with a column to be kept."""
    users, items = vocabulary
    draw = np.random.default_rng(11)
    some_users, some_items = [*users[:12], "new user", None], [*items[:20], "new item", "", None]
    columns = [
        [some_users[place] for place in draw.integers(len(some_users), size=ROWS)],
        [some_items[place] for place in draw.integers(len(some_items), size=ROWS)],
        draw.integers(3, size=ROWS),
    ]
    return pa.record_batch([pa.array(column) for column in columns], ["user_id", "item_id", "source"])


@pytest.fixture(scope="module")
def scoring(ranking_model, night, tmp_path_factory):
    wanted = RunSettings(
        input=tmp_path_factory.mktemp("night") / "pairs.parquet", output="ranked.parquet", model=ranking_model,
        top_n=3, keep=["source"], max_bad_rows="off", max_unknown_users="off", max_unknown_candidates="off",
    )  # fmt: skip
    model = choose_model(wanted)
    binding = bind(night.schema, model.signature, model.saved.card, wanted)
    session = open_session(model.saved.path, threads=1)
    scorer = Scorer(session, model.signature, model.score, threads=1)
    yield ScoringPass(model, binding, session, scorer, wanted)
    scorer.close()
    session.close()


def take(scoring, parts, night):
    """The state after the rows of `parts`, [start, end) each."""
    state = scoring.begin(ROWS, Path("rejects"))
    batches = (PairBatch("pairs", start, night.slice(start, end - start)) for start, end in parts)
    scoring.add(batches, state, Clock({}), lambda: iter(()))
    return state


def everything(state):
    lists = state.top.finish()
    users = state.bad.left_out.users().values()
    scores = state.statistics.figures()
    return {
        "lists": lists.frame.rows(),
        "short": (lists.users, lists.users_short, lists.ties_at_cut),
        "rows": (state.bad.rows, state.bad.scored, state.bad.finite, state.bad.filled),
        "left out": (state.bad.left_out.pairs, set() if users is None else set(users.to_pylist())),
        "rejects": (state.bad.rejects.rows, state.bad.rejects.in_order()),
        "ids": [ids.counts() for ids in state.unknown],
        "candidates": state.statistics.candidates.hashes.tolist(),
        "sample": state.statistics.by_candidate.rows.tolist(),
        "ends": (scores.minimum, scores.maximum),
        "scores": (scores.mean, scores.spread),
    }


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_parts_merge_to_the_whole(scoring, night, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejects, "REJECTS_CAP", 15)
        patch.setattr(statistics, "_SAMPLED_CANDIDATES", 5)
        patch.setattr(statistics, "_SAMPLED_PAIRS", 4)
        patch.setattr(topn, "_MIN_PENDING_ROWS", data.draw(st.sampled_from([1, 50, 1_000_000])))
        whole = everything(take(scoring, [(0, ROWS)], night))
        whole["scores"] = pytest.approx(whole["scores"])
        edges = [0, *sorted(data.draw(st.sets(st.integers(1, ROWS - 1), max_size=6))), ROWS]
        parts = data.draw(st.permutations([*itertools.pairwise(edges)]))
        passes = data.draw(st.integers(1, len(parts)))
        states = [take(scoring, parts[number::passes], night) for number in range(passes)]
        first, *others = data.draw(st.permutations(states))
        for other in others:
            first.merge(other)
        found = everything(first)
        assert {name for name in whole if found[name] != whole[name]} == set()
        assert len(whole["rejects"][0]) == 15
