"""Lists that users saw, in any table: the figures of the same lists as an output, and those of plain Python."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.errors import InputError
from batchscore.evaluation.evaluate import evaluate
from batchscore.evaluation.evaluation_text import describe_evaluation
from batchscore.settings.lists import EvaluateSettings
from batchscore.settings.resolve import resolve

LISTS = st.dictionaries(
    st.integers(0, 4), st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=5), min_size=1
)
CHOICES = st.sets(st.tuples(st.integers(0, 4), st.sampled_from("abcdefg")), min_size=1)
NAMES = {"user_column": "uid", "candidate_column": "film", "rank_column": "position"}


def save(path, columns, types):
    arrays = [pa.array(values, type_) for values, type_ in zip(columns, types.values(), strict=True)]
    pq.write_table(pa.table(arrays, names=list(types)), path)
    return path


def save_log(path, lists, order=None, **options):
    """Positions from 3 on in steps of 2, rows in any order; `scores` and other ids if told."""
    rows = [(2 * position + 3, user, candidate, 1 - position / 8)
            for user, listed in lists.items() for position, candidate in enumerate(listed)]  # fmt: skip
    rows = rows if order is None else [rows[index] for index in order(len(rows))]
    types = {"position": pa.int64(), "uid": pa.int64(), "film": pa.string(), "points": pa.float64()}
    save(path, list(zip(*rows, strict=True)), types)
    if not options.get("scores"):
        pq.write_table(pq.read_table(path).drop_columns(["points"]), path)
    return path


def save_truth(path, pairs, label=None):
    users, films = zip(*sorted(pairs), strict=True)
    columns = [users, films] if label is None else [users, films, [label] * len(users)]
    types = {"uid": pa.int32(), "film": pa.string()} | ({} if label is None else {"stars": pa.float64()})
    return save(path, columns, types)


def measure(ranked, truth, **wanted):
    given = {"ranked": ranked, "truth": truth, "k": (1, 3), "bootstrap": 0, **NAMES, **wanted}
    return evaluate(resolve(EvaluateSettings, "evaluate", given).settings)


def value(found, metric):
    return found.to_table().measure("model", metric).value


@settings(max_examples=60, deadline=None)
@given(lists=LISTS, chosen=CHOICES, data=st.data())
def test_figures_are_those_of_plain_python(tmp_path_factory, lists, chosen, data):
    folder = tmp_path_factory.getbasetemp()
    users = sorted({user for user, _ in chosen})
    ranked = save_log(folder / "log.parquet", lists, lambda rows: data.draw(st.permutations(range(rows))))
    truth = save_truth(folder / "truth.parquet", chosen)
    if not set(users) & set(lists):
        with pytest.raises(InputError, match="no user in common"):
            measure(ranked, truth)
        return
    found = measure(ranked, truth)
    hits = {user: [(user, film) in chosen for film in lists.get(user, [])] for user in users}
    wanted = {user: sum(pair[0] == user for pair in chosen) for user in users}
    for k in (1, 3):
        recall = np.mean([sum(hits[user][:k]) / wanted[user] for user in users])
        ndcg = np.mean([
            sum(hit / np.log2(rank + 1) for rank, hit in enumerate(hits[user][:k], 1))
            / sum(1 / np.log2(rank + 1) for rank in range(1, min(k, wanted[user]) + 1))
            for user in users
        ])  # fmt: skip
        assert value(found, f"recall@{k}") == pytest.approx(recall)
        assert value(found, f"NDCG@{k}") == pytest.approx(ndcg)
    assert value(found, "MRR") == pytest.approx(
        np.mean([1 / (hits[user].index(True) + 1) if True in hits[user] else 0 for user in users])
    )
    assert found.users_without_list == sum(user not in lists for user in users)


LOG = {1: ["a", "b", "c"], 2: ["b", "a"]}
CHOSEN = {(1, "b"), (2, "b")}


def test_without_scores_labels_only_say_what_is_relevant(tmp_path):
    truth, training = (save_truth(tmp_path / name, CHOSEN, 4.0) for name in ("t.parquet", "training.parquet"))
    found = measure(save_log(tmp_path / "log", LOG), truth, label_column="stars", training=training)
    assert (found.scores_are, found.predicted_pairs, found.matched_pairs) == (None, 0, 2)
    assert value(found, "RMSE") is None
    assert value(found, "MRR") == pytest.approx(0.75)
    assert "popularity" in found.table
    text = describe_evaluation(found)
    assert "a table of lists: user uid, candidate film, rank position\n" in text
    assert "the lists have no scores to compare with labels" in text


def test_scores_of_a_table_are_measured_as_they_are(tmp_path):
    found = measure(save_log(tmp_path / "log", LOG, scores=True), save_truth(tmp_path / "t.parquet", CHOSEN, 2.0),
                    label_column="stars", score_column="points")  # fmt: skip
    errors = np.array([0.875 - 2, 1 - 2])
    assert value(found, "RMSE") == pytest.approx(np.sqrt((errors**2).mean()))
    assert found.predicted_pairs == 2


def test_the_truth_may_have_other_column_names(tmp_path):
    log = save_log(tmp_path / "log", LOG)
    truth = save_truth(tmp_path / "t.parquet", CHOSEN)
    expected = measure(log, truth).table
    pq.write_table(pq.read_table(truth).rename_columns(["who", "what"]), truth)
    with pytest.raises(InputError) as refused:
        measure(log, truth)
    assert refused.value.error_id == "E-TRUTH-COLUMNS"
    assert "--truth-user-column" in str(refused.value)
    assert measure(log, truth, truth_user_column="who", truth_candidate_column="what").table == expected
