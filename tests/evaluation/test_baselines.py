from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batchscore.evaluation.baselines import Baselines, fit_biases, popularity_percentiles

TEXT = pa.large_string()
NAMES = {"user_column": "member", "candidate_column": "item", "label_column": "stars"}


def rows(*triples, ids=TEXT) -> pa.Table:
    users, items, stars = zip(*triples, strict=True)
    return pa.table(
        {"member": pa.array(users, ids), "item": pa.array(items, ids), "stars": pa.array(stars, pa.float32())}
    )


@pytest.fixture
def training() -> pa.Table:
    return rows(("u", "a", 5), ("u", "b", 3), ("v", "a", 4), ("w", "a", 4))


def test_one_sweep_by_hand(monkeypatch):
    monkeypatch.setattr("batchscore.evaluation.baselines.SWEEPS", 1)
    biases = fit_biases(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([5.0, 3.0, 4.0]))
    assert biases.mean == 4
    assert biases.candidates.tolist() == pytest.approx([1 / 12, -1 / 11])
    assert biases.users.tolist() == pytest.approx([(1 - 1 / 12 - 1 + 1 / 11) / 17, (0 - 1 / 12) / 16])


def test_biases_minimise_the_stated_sum():
    random = np.random.default_rng(1)
    users, candidates = random.integers(0, 20, 400), random.integers(0, 15, 400)
    labels = random.normal(3, 1, 400)
    biases = fit_biases(users, candidates, labels)

    def cost(of_users, of_candidates):
        error = labels - biases.mean - of_users[users] - of_candidates[candidates]
        return (error**2).sum() + 15 * (of_users**2).sum() + 10 * (of_candidates**2).sum()

    least = cost(biases.users, biases.candidates)
    for _ in range(20):
        assert least <= cost(
            biases.users + random.normal(0, 0.01, 20), biases.candidates + random.normal(0, 0.01, 15)
        )


def test_planted_biases_are_found():
    random = np.random.default_rng(2)
    users, candidates = np.repeat(np.arange(200), 40), np.tile(np.arange(40), 200)
    of_users, of_candidates = random.normal(0, 0.5, 200), random.normal(0, 0.5, 40)
    labels = 3 + of_users[users] + of_candidates[candidates]
    biases = fit_biases(users, candidates, labels)
    assert np.abs(biases.predict(users, candidates) - labels).mean() < 0.15
    assert np.corrcoef(biases.candidates, of_candidates)[0, 1] > 0.99


def test_predictions_of_any_table(training):
    baselines = Baselines(training, **NAMES)
    asked = rows(("u", "a", 1), ("new", "a", 1), ("u", "new", 1), ("new", "new", 1))
    assert baselines.predict_mean(asked).tolist() == [4.0] * 4
    predicted = baselines.predict_biases(asked)
    assert predicted[0] - predicted[2] == pytest.approx(predicted[1] - predicted[3])
    assert predicted[3] == 4.0
    scores = baselines.score_candidate_biases(asked)
    assert scores[0] == scores[1] > scores[2] == scores[3] == 0
    assert baselines.score_popularity(asked).tolist() == [3, 3, 0, 0]


def test_predictions_stay_within_the_training_labels():
    baselines = Baselines(rows(*[("u", "a", 5)] * 50, *[("v", "b", 1)] * 50), **NAMES)
    found = baselines.predict_biases(rows(("u", "a", 0), ("v", "b", 0)))
    assert found.max() <= 5
    assert found.min() >= 1


def test_no_bias_is_certain_of_a_click():
    baselines = Baselines(rows(*[("u", "a", 1)] * 500, *[("v", "b", 0)] * 500), **NAMES)
    assert baselines.predict_biases(rows(("u", "a", 0), ("v", "b", 0))).tolist() == pytest.approx([0.99, 0.01])


def test_rare_clicks_are_predicted_as_rare():
    random = np.random.default_rng(3)
    users, candidates = random.integers(0, 200, 50_000), random.integers(0, 50, 50_000)
    labels = (random.random(50_000) < 0.002).astype(float)
    biases = fit_biases(users, candidates, labels)
    predicted = biases.predict(users, candidates)
    assert predicted.mean() == pytest.approx(biases.mean, rel=0.5)
    assert predicted.min() == pytest.approx(biases.mean / 2)
    most = 1 - fit_biases(users, candidates, 1 - labels).predict(users, candidates)
    assert most.tolist() == pytest.approx(predicted.tolist())


@pytest.mark.parametrize("ids", [TEXT, pa.int64()])
def test_tables_may_be_chunked_and_ids_text_or_numbers(ids):
    of = {TEXT: str, pa.int64(): int}[ids]
    pieces = [rows((of(1), of(2), 5), ids=ids), rows((of(1), of(3), 3), (of(4), of(2), 4), ids=ids)]
    whole = pa.concat_tables(pieces)
    assert whole.column("item").num_chunks == 2
    found = Baselines(whole, **NAMES).predict_biases(whole)
    assert found.tolist() == Baselines(whole.combine_chunks(), **NAMES).predict_biases(whole).tolist()


def test_without_labels_there_is_only_popularity(training):
    baselines = Baselines(training, **{**NAMES, "label_column": None})
    assert baselines.score_popularity(training).tolist() == [3, 1, 3, 3]
    with pytest.raises(ValueError, match="without labels"):
        baselines.predict_mean(training)


def test_percentiles_of_popularity():
    assert popularity_percentiles(np.array([1, 10, 1, 100])).tolist() == [0.25, 0.625, 0.25, 0.875]


def test_the_catalogue_is_what_was_learned_and_what_is_asked_for(training):
    baselines = Baselines(training, **NAMES)
    asked = pa.array(["b", "new"], TEXT)
    assert baselines.count_catalogue(asked) == 3
    assert baselines.find_percentiles(asked).tolist() == [0.25, 0.0]
