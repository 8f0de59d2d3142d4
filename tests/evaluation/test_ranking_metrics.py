"""Metrics of lists against ir-measures (trec_eval), and by hand."""

from __future__ import annotations

import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, Qrel, R, ScoredDoc, nDCG

from batchscore.arrays.codes import MISSING
from batchscore.evaluation.ranking_metrics import measure_best_lists, measure_lists, rank_pairs
from batchscore.evaluation.truth import make_truth

CUTOFFS = (1, 3, 10)


def as_truth(labels: dict[int, dict[int, float]], **options):
    """The truth of `{user: {candidate: label}}`."""
    rows = [(user, candidate, label) for user, of in labels.items() for candidate, label in of.items()]
    users, candidates, values = (np.array(column) for column in zip(*rows, strict=True))
    return make_truth(
        users.astype(np.int32), candidates.astype(np.int32), values, user_count=max(labels) + 1, **options
    )


def measure(labels, lists, cutoffs=CUTOFFS, **options):
    """The metrics by user of `{user: [candidate, ...]}` in the order of the ranks."""
    truth = as_truth(labels, **options)
    rows = [(user, candidate, rank) for user, of in lists.items() for rank, candidate in enumerate(of, 1)]
    users, candidates, ranks = np.array(rows, np.int32).reshape(-1, 3).T
    found = truth.find(users, candidates)
    hits = found != MISSING
    shuffled = np.random.default_rng(0).permutation(int(hits.sum()))
    best = measure_best_lists(truth, cutoffs)
    return measure_lists(truth, best, found[hits][shuffled], ranks[hits][shuffled])


def judge(labels, lists, measures):
    """The same from ir-measures, which is given scores that fall with the rank; `{measure: {user: value}}`."""
    qrels = [Qrel(str(user), str(candidate), int(label))
             for user, of in labels.items() for candidate, label in of.items()]  # fmt: skip
    run = [ScoredDoc(str(user), str(candidate), -float(rank))
           for user, of in lists.items() for rank, candidate in enumerate(of, 1)]  # fmt: skip
    found = {measure: {} for measure in measures}
    for metric in ir_measures.iter_calc(measures, qrels, run):
        found[metric.measure][int(metric.query_id)] = metric.value
    return found


def random_lists(seed: int):
    random = np.random.default_rng(seed)
    labels = {user: {int(c): int(random.integers(0, 6)) for c in random.permutation(30)[: random.integers(1, 15)]}
              for user in range(12)}  # fmt: skip
    lists = {user: [int(c) for c in random.permutation(30)[: random.integers(1, 20)]] for user in range(12)}
    return labels, lists


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("gain", ["linear", "exponential", "binary"])
def test_ir_measures_agrees_on_random_lists(seed, gain):
    labels, lists = random_lists(seed)
    measured = measure(labels, lists, relevant=4, gain=gain)
    gains = {
        "linear": {},
        "exponential": {"gains": {label: 2**label - 1 for label in range(6)}},
        "binary": {"gains": {label: int(label >= 4) for label in range(6)}},
    }[gain]
    names = {"MRR": RR(rel=4)}
    for k in CUTOFFS:
        names |= {f"NDCG@{k}": nDCG(**gains) @ k, f"MAP@{k}": AP(rel=4) @ k, f"recall@{k}": R(rel=4) @ k}
    judged = judge(labels, lists, list(names.values()))
    compared = 0
    for name, metric in names.items():
        for user, of in labels.items():
            if max(of.values()) < 4:
                assert math.isnan(measured[name][user])
                continue
            assert measured[name][user] == pytest.approx(judged[metric].get(user, 0), abs=1e-9), (name, user)
            compared += 1
    assert compared > 50


def test_by_hand():
    labels = {0: {10: 3.0, 11: 1.0, 12: 2.0}}
    lists = {0: [99, 10, 98, 12]}
    measured = {
        name: of[0] for name, of in measure(labels, lists, cutoffs=(2, 4), relevant=2, gain="linear").items()
    }
    best = 3 / math.log2(2) + 2 / math.log2(3)
    assert measured == pytest.approx({
        "NDCG@2": (3 / math.log2(3)) / best,
        "NDCG@4": (3 / math.log2(3) + 2 / math.log2(5)) / (best + 1 / math.log2(4)),
        "MAP@2": (1 / 2) / 2,
        "MAP@4": (1 / 2 + 2 / 4) / 2,
        "MRR": 1 / 2,
        "recall@2": 1 / 2,
        "recall@4": 1.0,
    })  # fmt: skip


def test_a_user_without_a_list_has_0_and_one_without_a_relevant_pair_has_no_value():
    labels = {0: {1: 5.0}, 1: {1: 5.0}, 2: {1: 1.0}}
    measured = measure(labels, {0: [1], 2: [1]}, relevant=4)
    for name, of in measured.items():
        assert of[0] == 1, name
        assert of[1] == 0, name
        assert math.isnan(of[2]), name


def test_without_a_threshold_labels_above_0_are_relevant_and_no_gain_is_negative():
    measured = measure({0: {1: -2.0, 2: 0.0, 3: 1.0}}, {0: [1, 2, 3]})
    assert measured["NDCG@3"][0] == pytest.approx(math.log2(2) / math.log2(4))
    assert measured["MRR"][0] == pytest.approx(1 / 3)


def test_ndcg_is_undefined_where_no_pair_is_worth_anything():
    measured = measure({0: {1: -2.0, 2: 0.0}}, {0: [1]}, relevant=-2)
    assert math.isnan(measured["NDCG@3"][0])
    assert measured["MAP@3"][0] == 0.5


def test_of_several_rows_of_a_pair_the_highest_label_counts():
    codes = np.array([0, 0, 0], np.int32)
    truth = make_truth(codes, codes, np.array([1.0, 5.0, 3.0]), user_count=1, relevant=4)
    assert (truth.labels.tolist(), truth.duplicates, truth.relevant_counts.tolist()) == ([5.0], 2, [1])


def test_an_empty_truth_finds_nothing():
    none = np.empty(0, np.int32)
    truth = make_truth(none, none, None, user_count=0)
    assert truth.find(np.array([3]), np.array([4])).tolist() == [MISSING]


# ranks that the job would give


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.sampled_from([-1.0, 0.0, 2.5]))))
def test_pairs_are_ranked_as_the_job_ranks_them(rows):
    users, candidates, scores = (np.array([row[i] for row in rows], float) for i in range(3))
    order, ranks = rank_pairs(users.astype(np.int32), candidates.astype(np.int32), scores)
    listed = [(rows[row][0], rank, rows[row][1], rows[row][2]) for row, rank in zip(order, ranks, strict=True)]
    expected = []
    for user in sorted({row[0] for row in rows}):
        best: dict[int, float] = {}
        for _, candidate, score in (row for row in rows if row[0] == user):
            best[candidate] = max(score, best.get(candidate, -math.inf))
        in_order = sorted(best.items(), key=lambda item: (-item[1], item[0]))
        expected += [(user, rank, candidate, score) for rank, (candidate, score) in enumerate(in_order, 1)]
    assert listed == expected


def test_scores_that_are_not_finite_are_never_ranked():
    with pytest.raises(ValueError, match="finite"):
        rank_pairs(np.array([0]), np.array([0]), np.array([math.nan]))
