"""Every kind of feature and every interaction: trained for an epoch, exported, and scored by the job's runtime."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.engine.opening import open_session
from batchscore.interactions.training_statistics import learn_statistics
from batchscore.planning.plan import Plan
from batchscore.planning.plan_file import read_plan
from batchscore.scoring.run import run
from batchscore.settings.run import RunSettings
from batchscore.settings.train import TrainSettings

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]

FEATURES = {
    "zip": {"kind": "vocabulary", "role": "user", "oov_buckets": 3, "min_count": 2},
    "city": {"kind": "hashed", "role": "user", "buckets": 8},
    "age": {"kind": "number", "role": "user"},
    "price": {"kind": "buckets", "role": "candidate", "count": 4},
    "title": {"kind": "text", "role": "candidate", "max_tokens": 5},
    "genres": {"kind": "list", "role": "candidate", "oov_buckets": 2, "min_count": 20},
    "when": {"kind": "timestamp", "role": "context", "buckets": 10},
    "session": {"kind": "timestamp", "role": "context", "bucket_seconds": 10**8, "min_count": 9},
    "hour": {"kind": "vocabulary", "role": "context", "dimension": 2},
}
UNSEEN = {
    "zip": [-7, 999], "city": ["", "nowhere"], "age": [1e9, -3.5], "price": [-1e9, 1e9],
    "title": ["", "unseen, of"], "genres": ["", "|unseen||Drama"], "when": [0, 2**40],
    "session": [-1, 2**40], "hour": ["", "[UNK]"],
}  # fmt: skip
STARS = {"stars": {"kind": "rating", "label": "user_rating"}}


def make_rows(rows=120):
    random = np.random.default_rng(0)
    user, movie = random.integers(9, size=rows), random.integers(11, size=rows)
    genres, titles = ("Drama|War", "", "Comedy", "War||Drama"), ("The End (1999)", "", "an END: of", "É")

    def texts(values):
        return pa.array([str(value) for value in values], pa.large_string())

    return pa.table({
        "user_id": texts(user), "movie_id": pa.array(movie, pa.int64()),
        "zip": pa.array(user * 3 - 5, pa.int64()), "city": texts(f"city {n % 4}" for n in user),
        "age": pa.array(20 + user, pa.float32()), "price": pa.array(movie * 1.5, pa.float32()),
        "title": texts(titles[n % 4] for n in movie), "genres": texts(genres[n % 4] for n in movie),
        "when": pa.array(random.integers(10**9, 2 * 10**9, size=rows), pa.int64()),
        "session": pa.array(random.integers(10**9, 2 * 10**9, size=rows), pa.int64()),
        "hour": texts(random.integers(24, size=rows)),
        "user_rating": pa.array(random.integers(1, 6, size=rows), pa.float32()),
        "clicked": pa.array(random.integers(2, size=rows), pa.float32()),
    })  # fmt: skip


ROWS = make_rows()


def export(path, features, **declared):
    """A model after one epoch and its export, with unseen values in the probe rows."""
    from batchscore.networks import ranking_model, training_batches
    from batchscore.networks.keras2 import seed_random_generators
    from batchscore.training import export as module

    declared = {"layers": (8,), "embedding_dimension": 4, "batch_rows": 32, **declared}
    settings = TrainSettings(input="x.parquet", output="m", features=features, **declared)
    seed_random_generators(1)
    statistics = learn_statistics(ROWS, settings)
    model = ranking_model.build_ranking_model(statistics, settings)
    batches = training_batches.TrainingBatches(ROWS, statistics, settings)
    history = model.fit(batches.epoch(0), verbose=0).history
    assert np.isfinite(history["total_loss"]).all()
    probes = module.draw_probes(ROWS, settings).slice(40)
    unseen = probes.slice(0, 2)
    for name in features.keys() & UNSEEN:
        column = pa.array(UNSEEN[name], probes[name].type)
        unseen = unseen.set_column(unseen.column_names.index(name), probes.schema.field(name), column)
    probes = pa.concat_tables([probes, unseen]).combine_chunks()
    path.mkdir()
    module.export_model(model, probes, path, settings, made_with={}, training={})
    return settings, model, probes, module.check_export(path)


def score_again(exported, probes, names):
    signature = exported.saved.signatures["serving_default"]
    session = open_session(exported.saved.path, threads=1)
    try:
        found = session.run(signature, {name: probes[name].chunk(0) for name in probes.column_names}, names)
        return [found[name] for name in names]
    finally:
        session.close()


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_is_exported_with_its_preprocessing(name, tmp_path):
    from batchscore.networks.training_batches import to_tensors

    settings, model, probes, exported = export(tmp_path / "m", {name: FEATURES[name]})
    assert list(settings.all_features()) == probes.column_names == ["user_id", "movie_id", name]
    (score,) = score_again(exported, probes, ["score"])
    expected = model.score(to_tensors(probes)).numpy()
    assert score == pytest.approx(expected, rel=1e-5, abs=1e-6)
    alone = [
        model.score(to_tensors(probes.slice(row, 1))).numpy()[0] for row in range(len(probes) - 2, len(probes))
    ]
    assert expected[-2:] == pytest.approx(alone, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        {"interaction": "concat", "user_layers": [8, 4], "dropout": 0.2, "l2": 0.01, "embedding_l2": 0.1},
        {"interaction": "dot", "user_layers": [4], "candidate_layers": [4], "biases": True},
        {"interaction": "cross", "cross_layers": 2, "cross_rank": 3, "optimizer": "adam"},
        {"interaction": "cross"},
    ],
    ids=lambda model: model["interaction"],
)
def test_an_interaction_of_all_features_is_planned_by_sides(model, tmp_path):
    from batchscore.networks.training_batches import to_tensors
    from batchscore.training.export import leave_plan

    settings, trained, probes, exported = export(tmp_path / "m", FEATURES, model=model)
    (score,) = score_again(exported, probes, ["score"])
    assert score == pytest.approx(trained.score(to_tensors(probes)).numpy(), rel=1e-5, abs=1e-6)
    leave_plan(exported.saved, settings)
    plan = read_plan(exported.saved.path / "assets.extra")
    assert isinstance(plan, Plan), plan
    parts = {part.name: {item.name for item in part.inputs} for part in plan.parts}
    assert parts.pop("user") == {"user_id", "zip", "city", "age"}
    assert parts.pop("candidate") == {"movie_id", "price", "title", "genres"}
    assert sorted(map(sorted, parts.values())) == [["hour"], ["session"], ["when"]]


@pytest.mark.parametrize(
    "tasks",
    [
        {**STARS, "click": {"kind": "click", "label": "clicked", "weight": 2}},
        {"click": {"kind": "click", "label": "bought", "negatives": 2}, **STARS},
        {"order": {"kind": "pairwise", "label": "user_rating", "list_length": 4}},
        {
            "order": {"kind": "listwise", "label": "user_rating"},
            "buy": {"kind": "click", "label": "b", "negatives": 1},
        },
    ],
    ids="+".join,
)
def test_each_task_s_prediction_is_an_output(tasks, tmp_path):
    from batchscore.networks.training_batches import to_tensors

    features = {name: FEATURES[name] for name in ("price", "hour")}
    _, model, probes, exported = export(tmp_path / "m", features, tasks=tasks, model={"biases": True})
    names = ["score", *tasks]
    assert set(exported.saved.signatures["serving_default"].outputs) == set(names)
    expected = model.serve(to_tensors(probes))
    for name, found in zip(names, score_again(exported, probes, names), strict=True):
        assert found == pytest.approx(expected[name].numpy(), rel=1e-5, abs=1e-6)
        if tasks.get(name, {}).get("kind") == "click":
            assert ((found > 0) & (found < 1)).all()


def test_without_declared_tasks_the_score_is_the_only_output(tmp_path):
    *_, exported = export(tmp_path / "m", {})
    assert list(exported.saved.signatures["serving_default"].outputs) == ["score"]
    assert list(exported.saved.signatures) == ["known", "serving_default"]


def test_the_known_signature_takes_the_ids_alone(tmp_path):
    *_, exported = export(tmp_path / "m", {"hour": FEATURES["hour"]})
    assert list(exported.saved.signatures["known"].inputs) == ["movie_id", "user_id"]


@pytest.mark.parametrize("ids", ["vocabulary", "hashed"])
def test_the_nightly_run_ranks_with_an_export(ids, tmp_path):
    from batchscore.networks.training_batches import to_tensors
    from batchscore.training.export import leave_plan

    hashed = {
        "user_id": {"kind": "hashed", "role": "user", "buckets": 50},
        "movie_id": {"kind": "hashed", "role": "candidate", "buckets": 50},
    }
    declared = FEATURES | (hashed if ids == "hashed" else {})
    settings, model, _, exported = export(tmp_path / "m", declared, model={"biases": True})
    leave_plan(exported.saved, settings)
    scores = pa.array(model.score(to_tensors(ROWS)).numpy())
    pairs = ROWS.select(list(settings.all_features())).append_column("expected", scores)
    pq.write_table(pairs, tmp_path / "pairs.parquet")
    report = run(
        RunSettings(
            input=tmp_path / "pairs.parquet", output=tmp_path / "ranked.parquet", model=tmp_path / "m",
            plan="require", top_n=3, keep={"expected": "expected"}, threads=1, max_identical_lists="off",
        )
    )  # fmt: skip
    ranked = pq.read_table(tmp_path / "ranked.parquet")
    assert ranked["score"].to_numpy() == pytest.approx(ranked["expected"].to_numpy(), rel=1e-4, abs=1e-5)
    assert len(set(ranked["user_id"].to_pylist())) == 9
    assert report.known_users.known == (9 if ids == "vocabulary" else None)


def test_a_null_at_night_is_what_it_was_in_training(tmp_path):
    from batchscore.networks.training_batches import to_tensors

    fills = {
        "zip": -5, "city": "city 1", "age": 20.5, "price": 1.5, "title": "an END: of", "genres": "War",
        "when": 1_500_000_000, "session": 1_500_000_000, "hour": "7",
    }  # fmt: skip
    declared = {name: FEATURES[name] | {"fill": fill} for name, fill in fills.items()}
    settings, model, _, _ = export(tmp_path / "m", declared)
    pairs, filled = ROWS.select(list(settings.all_features())), ROWS.select(list(settings.all_features()))
    for place, (name, fill) in enumerate(fills.items()):
        column, type_ = ROWS[name].to_pylist(), ROWS.schema.field(name)
        column[place::10] = [None] * len(column[place::10])
        values = pa.array(column, type_.type)
        index = pairs.column_names.index(name)
        pairs = pairs.set_column(index, type_, values)
        filled = filled.set_column(index, type_, values.fill_null(fill))
    expected = pa.array(model.score(to_tensors(filled)).numpy())
    pq.write_table(pairs.append_column("expected", expected), tmp_path / "pairs.parquet")
    report = run(RunSettings(
        input=tmp_path / "pairs.parquet", output=tmp_path / "ranked.parquet", model=tmp_path / "m", top_n=20,
        keep={"expected": "expected"}, max_identical_lists="off",
    ))  # fmt: skip
    assert {bound.input: bound.filled for bound in report.bindings} == {
        "user_id": 0,
        "movie_id": 0,
    } | dict.fromkeys(fills, 12)
    ranked = pq.read_table(tmp_path / "ranked.parquet")
    assert ranked["score"].to_numpy() == pytest.approx(ranked["expected"].to_numpy(), rel=1e-5, abs=1e-6)


def test_a_night_without_the_moment_is_scored_at_its_date_if_the_training_said_so(tmp_path):
    declared = {name: FEATURES[name] for name in ("when", "genres")}
    export(tmp_path / "m", declared, set={"when": "{date}"})
    pq.write_table(ROWS.select(["user_id", "movie_id", "genres"]), tmp_path / "pairs.parquet")
    report = run(RunSettings(
        input=tmp_path / "pairs.parquet", output=tmp_path / "ranked.parquet", model=tmp_path / "m",
        date="2024-02-29", max_identical_lists="off", allow_equal_scores=True,
    ))  # fmt: skip
    assert {bound.input: bound.constant for bound in report.bindings if bound.constant} == {"when": "1709164800"}


def test_a_listwise_recipe_learns_an_order():
    from batchscore.networks import ranking_model, training_batches

    tasks = {"order": {"kind": "listwise", "label": "movie_rank"}}
    rows = ROWS.select(["user_id", "movie_id"]).append_column("movie_rank", ROWS["movie_id"].cast(pa.float32()))
    settings = TrainSettings(input="x.parquet", output="m", tasks=tasks, batch_rows=32, layers=(8,))
    statistics = learn_statistics(rows, settings)
    model = ranking_model.build_ranking_model(statistics, settings)
    batches = training_batches.TrainingBatches(rows, statistics, settings)
    for epoch in range(10):
        model.fit(batches.epoch(epoch), verbose=0)
    scores = model.score(training_batches.to_tensors(rows)).numpy()
    assert np.corrcoef(scores, rows["movie_rank"].to_numpy())[0, 1] > 0.9


def test_a_checkpoint_holds_all_that_training_needs(tmp_path, tf):
    from batchscore.networks import ranking_model, training_batches

    declared = {"layers": (8,), "embedding_dimension": 4, "batch_rows": 32, "model": {"biases": True, "l2": 0.01}}
    settings = TrainSettings(input="x.parquet", output="m", features=FEATURES, **declared)
    statistics = learn_statistics(ROWS, settings)
    batches = training_batches.TrainingBatches(ROWS, statistics, settings)

    def checkpoint():
        model = ranking_model.build_ranking_model(statistics, settings)
        return model, tf.train.Checkpoint(model=model, optimizer=model.optimizer)

    model, saved = checkpoint()
    model.fit(batches.epoch(0), verbose=0)
    path = saved.save(str(tmp_path / "checkpoint"))
    model.fit(batches.epoch(1), verbose=0)
    again, restored = checkpoint()
    restored.restore(path).assert_consumed()
    again.fit(batches.epoch(1), verbose=0)
    features = training_batches.to_tensors(ROWS)
    assert np.array_equal(again.score(features), model.score(features))
