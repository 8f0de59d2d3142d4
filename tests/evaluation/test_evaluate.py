"""Files against files: the whole of an evaluation, and what it refuses."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batchscore
from batchscore.errors import InputError, UsageError
from batchscore.evaluation.evaluate import evaluate
from batchscore.outputs import rows as rows_of_outputs
from batchscore.settings.lists import EvaluateSettings
from batchscore.settings.resolve import resolve

TEXT, NUMBER = pa.string(), pa.float64()


def save_ranked(path, lists, *, ids=TEXT):
    """`{user: {candidate: score}}` as an output of `run`; scores in descending order."""
    rows = [(user, candidate, score, rank) for user, of in sorted(lists.items())
            for rank, (candidate, score) in enumerate(of.items(), 1)]  # fmt: skip
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 4
    arrays = [
        pa.array(values, type_) for values, type_ in zip(columns, [ids, ids, pa.float32(), pa.int32()], strict=True)
    ]
    pq.write_table(pa.table(arrays, names=["user_id", "item_id", "score", "rank"]), path)
    return path


def save_pairs(path, rows, *, ids=TEXT, label=NUMBER):
    """`[(user, candidate, label)]` as Parquet."""
    users, items, labels = zip(*rows, strict=True) if rows else ([], [], [])
    table = {"user_id": pa.array(users, ids), "item_id": pa.array(items, ids), "stars": pa.array(labels, label)}
    pq.write_table(pa.table(table), path)
    return path


@pytest.fixture
def files(tmp_path):
    """Writes both files and evaluates them."""

    def run(lists, truth, *, training=None, ids=TEXT, **settings):
        paths = {
            "ranked": save_ranked(tmp_path / "ranked.parquet", lists, ids=ids),
            "truth": truth
            if not isinstance(truth, list)
            else save_pairs(tmp_path / "truth.parquet", truth, ids=ids),
        }
        if training is not None:
            paths["training"] = save_pairs(tmp_path / "training.parquet", training, ids=ids)
        return evaluate(resolve(EvaluateSettings, "evaluate", paths | settings).settings)

    return run


def value(evaluation, metric, row="model"):
    return evaluation.to_table().measure(row, metric).value


LISTS = {"u": {"a": 4.5, "b": 3.0, "c": 1.0}, "v": {"b": 5.0, "a": 2.0}, "x": {"z": 1.0}}
TRUTH = [("u", "b", 5.0), ("u", "c", 2.0), ("v", "b", 4.0), ("w", "a", 5.0), ("y", "a", 1.0)]


def test_by_hand(files):
    found = files(LISTS, TRUTH, label_column="stars", relevant=4, k=(1, 2))
    assert value(found, "recall@1") == pytest.approx((0 + 1 + 0) / 3)  # w has no list, y no relevant pair
    assert value(found, "recall@2") == pytest.approx((1 + 1 + 0) / 3)
    assert value(found, "MRR") == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert value(found, "coverage@1") == pytest.approx(3 / 4)  # a, b, z of a, b, c, z
    assert (found.truth.relevant_users, found.users_without_list, found.predicted_pairs) == (3, 1, 3)
    errors = np.array([3.0 - 5, 1.0 - 2, 5.0 - 4])
    assert value(found, "RMSE") == pytest.approx(np.sqrt((errors**2).mean()))
    assert value(found, "MAE") == pytest.approx(np.abs(errors).mean())
    assert found.scores_are == "ratings"
    assert sum(part.rows for part in found.calibration) == 3


@pytest.mark.parametrize("label", [pa.float16(), pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("least", [0.7, 0.1])
def test_a_label_of_just_the_least_is_relevant_whatever_its_width(tmp_path, label, least):
    ranked = save_ranked(tmp_path / "ranked.parquet", {"u": {"a": 1.0, "b": 0.5}})
    rows = [("u", "a", least), ("u", "b", least - 0.01)]
    if label == pa.float16():
        rows = [(user, item, np.float16(value)) for user, item, value in rows]
    truth = save_pairs(tmp_path / "truth.parquet", rows, label=label)
    wanted = {"ranked": ranked, "truth": truth, "label_column": "stars", "relevant": least}
    assert evaluate(resolve(EvaluateSettings, "evaluate", wanted).settings).truth.relevant_pairs == 1


def test_without_a_label_every_row_is_relevant(files):
    found = files(LISTS, TRUTH)
    assert value(found, "recall@10") == pytest.approx((1 + 1 + 0 + 0) / 4)
    assert (found.scores_are, found.matched_pairs, found.predicted_pairs) == (None, 3, 0)
    assert "RMSE" not in found.to_table().columns


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_how_the_file_is_read_decides_nothing(files, monkeypatch, batch_rows):
    training = [("u", "a", 5.0), ("v", "c", 3.0), ("v", "b", 1.0), ("q", "c", 1.0)]
    whole = files(LISTS, TRUTH, training=training, label_column="stars", relevant=4)
    monkeypatch.setattr(rows_of_outputs, "_BATCH_ROWS", batch_rows)
    monkeypatch.setattr("batchscore.evaluation.coded_files._BATCH_ROWS", batch_rows)
    assert files(LISTS, TRUTH, training=training, label_column="stars", relevant=4) == whole


def test_baselines_order_the_same_lists(files):
    training = [
        ("p", "c", 5.0),
        ("q", "c", 5.0),
        ("p", "b", 1.0),
        ("q", "a", 3.0),
        ("r", "a", 2.0),
        ("s", "a", 2.5),
    ]
    truth = [("u", "c", 1.5)]
    found = files({"u": {"a": 3.0, "b": 2.0, "c": 1.0}}, truth, training=training, label_column="stars")
    assert [row.name for row in found.to_table().rows] == ["model", "mean", "biases", "popularity"]
    assert value(found, "MRR") == pytest.approx(1 / 3)
    assert value(found, "MRR", "biases") == 1.0
    assert value(found, "MRR", "popularity") == 1 / 2
    assert value(found, "MRR", "mean") is None
    assert value(found, "RMSE", "mean") == pytest.approx(np.mean([5, 5, 1, 3, 2, 2.5]) - 1.5)
    # the list is all three candidates, the truth the middle one of the percentiles 1/6, 3/6, 5/6
    assert value(found, "popularity bias@10") == pytest.approx(0)


def test_of_clicks_popularity_counts_what_was_clicked(files):
    training = [("p", "a", 1), ("q", "a", 1), *[(user, "b", 0) for user in "pqrs"], ("r", "c", 1)]
    found = files({"u": {"b": 0.9, "c": 0.5, "a": 0.1}}, [("u", "a", 1)], training=training, label_column="stars")
    assert value(found, "MRR", "popularity") == 1
    # b was shown most and never clicked: of the percentiles 1/6, 3/6, 5/6 of b, c, a the user chose the last
    assert value(found, "popularity bias@10") == pytest.approx(1 / 2 - 5 / 6)
    assert value(found, "popularity bias@10", "popularity") == pytest.approx(1 / 2 - 5 / 6)


def test_training_rows_without_the_label_give_popularity_alone(files, tmp_path):
    pairs = pa.table({"user_id": ["u"], "item_id": ["b"]})
    pq.write_table(pairs, tmp_path / "seen.parquet")
    found = files(LISTS, TRUTH, label_column="stars")
    settings = {"ranked": tmp_path / "ranked.parquet", "truth": tmp_path / "truth.parquet", "label_column": "stars"}
    found = batchscore.evaluate(**settings, training=tmp_path / "seen.parquet")
    assert [row.name for row in found.to_table().rows] == ["model", "popularity"]


CLICKS = [("u", "a", 1), ("u", "b", 0), ("v", "b", 0), ("v", "a", 1)]


def test_scores_outside_0_to_1_are_logits_of_clicks(files):
    found = files(LISTS, CLICKS, label_column="stars")
    assert found.scores_are == "logits"
    assert value(found, "AUC") == pytest.approx(1 / 4 + 0 / 4)  # of four comparisons 4.5 > 3 alone is won
    scores, labels = np.array([4.5, 3.0, 5.0, 2.0]), np.array([1, 0, 0, 1])
    assert value(found, "log loss") == pytest.approx(
        np.log1p(np.exp(np.where(labels, -scores, scores))).mean(), rel=1e-6
    )


@pytest.mark.parametrize(("settings", "read_as"), [({}, "probabilities"), ({"scores": "logits"}, "logits")])
def test_scores_within_0_and_1_are_probabilities_unless_told_otherwise(files, settings, read_as):
    lists = {"u": {"a": 0.9, "b": 0.5}, "v": {"b": 0.25, "a": 0.125}}
    found = files(lists, CLICKS, label_column="stars", **settings)
    assert found.scores_are == read_as
    if read_as == "probabilities":
        assert value(found, "log loss") == pytest.approx(-np.log([0.9, 0.5, 0.75, 0.125]).mean(), rel=1e-6)


def test_repeated_pairs_count_once_with_the_highest_label(files):
    found = files(LISTS, [("u", "a", 1.0), ("u", "a", 4.5), ("u", "a", 2.0)], label_column="stars")
    assert (found.truth.pairs, found.truth.duplicates) == (1, 2)
    assert value(found, "RMSE") == 0


def test_integer_ids_of_other_widths_are_the_same_ids(files, tmp_path):
    truth = save_pairs(tmp_path / "narrow.parquet", [(1, 7, 5.0)], ids=pa.int16())
    found = files({1: {7: 2.0, 8: 1.0}, 2: {7: 1.0}}, truth, ids=pa.int64(), label_column="stars")
    assert value(found, "MRR") == 1.0


@pytest.mark.parametrize("ids", [TEXT, pa.int64()])
def test_csv_ids_are_read_as_those_of_the_ranked_file(files, tmp_path, ids):
    of = str if ids == TEXT else int
    (tmp_path / "truth.csv").write_text("when,item_id,user_id,stars\n1,7,1,5\n2,8,1,0.5\n")
    found = files({of(1): {of(7): 2.0, of(8): 1.0}}, tmp_path / "truth.csv", ids=ids, label_column="stars")
    assert value(found, "MRR") == 1.0
    assert value(found, "MAE") == pytest.approx((3 + 0.5) / 2)


def test_labels_of_other_types(files, tmp_path):
    for type_ in (pa.bool_(), pa.int8(), pa.float32(), pa.decimal128(3, 1)):
        labels = [True, False] if type_ == pa.bool_() else [1, 0]
        rows = [("u", "a", labels[0]), ("u", "b", labels[1])]
        truth = save_pairs(tmp_path / "typed.parquet", rows, label=type_)
        assert value(files(LISTS, truth, label_column="stars"), "AUC") == 1.0


# what is refused


def refusal(files, *arguments, **settings) -> InputError:
    with pytest.raises(InputError) as refused:
        files(*arguments, **settings)
    return refused.value


def test_lists_without_a_pair_of_the_truth_are_a_warning(files, caplog):
    files({"u": {"a": 1.0}}, [("u", "a", 1.0)])
    assert caplog.messages == []
    found = files({"u": {"A": 2.0, "B": 1.0}}, [("u", "a", 1.0)])
    assert (found.matched_pairs, value(found, "MRR")) == (0, 0.0)
    (warning,) = caplog.messages
    assert warning.startswith("none of the 2 listed pairs is in the truth, so every list counts as 0: check that ")


def test_users_in_common_are_needed(files):
    error = refusal(files, LISTS, [("U", "a", 1.0)])
    assert error.error_id == "E-TRUTH-USERS"
    assert "6 ranked rows, and none of a user of the truth (1 users)" in str(error)
    assert refusal(files, {}, TRUTH).error_id == "E-TRUTH-USERS"


def test_an_empty_truth_is_refused(files):
    error = refusal(files, LISTS, [])
    assert (error.error_id, error.exit_code) == ("E-TRUTH", 3)
    assert "no rows" in str(error)


def test_a_truth_without_a_relevant_pair_is_refused(files):
    error = refusal(files, LISTS, TRUTH, label_column="stars", relevant=5.5)
    assert error.error_id == "E-TRUTH"
    assert "labels up to 5" in str(error)
    assert "labels of at least 5.5" in str(error)


def test_ids_of_another_kind_are_refused(files, tmp_path):
    truth = save_pairs(tmp_path / "numbers.parquet", [(1, 2, 1.0)], ids=pa.int64())
    error = refusal(files, LISTS, truth)
    assert error.error_id == "E-TRUTH-COLUMNS"
    assert "user_id is int64 here, and text in the ranked file" in str(error)
    assert "item_id is int64 here, and text in the ranked file" in str(error)


def test_missing_columns_are_named_all_at_once(files, tmp_path):
    pq.write_table(pa.table({"userId": ["u"], "item_id": ["a"], "stars": ["many"]}), tmp_path / "other.parquet")
    error = refusal(files, LISTS, tmp_path / "other.parquet", label_column="stars")
    assert error.error_id == "E-TRUTH-COLUMNS"
    for part in ("userId string, item_id string", "there is no column user_id", "the label stars is string"):
        assert part in str(error)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([("u", "a", 1.0), (None, "a", 1.0)], "row 1: user_id is None"),
        ([("u", "a", 1.0), ("u", None, 1.0)], "row 1: item_id is None"),
        ([("u", "a", None)], "row 0: stars is None"),
        ([("u", "a", 1.0), ("u", "b", float("nan"))], "row 1: stars is nan"),
        ([("u", "a", float("inf"))], "row 0: stars is inf"),
    ],
)
def test_nulls_and_labels_that_are_not_finite_are_refused(files, rows, found):
    error = refusal(files, LISTS, rows, label_column="stars")
    assert error.error_id == "E-TRUTH"
    assert found in str(error)


def test_damaged_and_missing_files_are_refused(files, tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing PAR1")
    assert refusal(files, LISTS, tmp_path / "broken.parquet").error_id == "E-TRUTH"
    assert "No such file" in str(refusal(files, LISTS, tmp_path / "none.parquet"))
    assert "No such file" in str(refusal(files, LISTS, tmp_path / "none.csv"))
    (tmp_path / "latin.csv").write_bytes(b"user_id,item_id\nu,\xff\n")
    assert refusal(files, LISTS, tmp_path / "latin.csv").error_id == "E-TRUTH"
    (tmp_path / "words.csv").write_text("user_id,item_id,stars\nu,a,many\n")
    assert refusal(files, LISTS, tmp_path / "words.csv", label_column="stars").error_id == "E-TRUTH"


def test_memory_that_runs_out_is_no_fault_of_a_file(files, monkeypatch):
    def iter_batches(*_, **__):
        raise pa.lib.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    with pytest.raises(MemoryError):
        files(LISTS, TRUTH)


def test_what_is_no_ranked_file_is_refused(tmp_path):
    truth = save_pairs(tmp_path / "truth.parquet", TRUTH)
    with pytest.raises(InputError) as refused:
        batchscore.evaluate(ranked=truth, truth=truth)
    assert refused.value.error_id == "E-RANKED-FILE"


def test_a_candidate_stands_once_in_a_list(tmp_path):
    columns = {"user_id": ["u", "u"], "item_id": ["a", "a"], "score": pa.array([2, 1], pa.float32()),
               "rank": pa.array([1, 2], pa.int32())}  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "ranked.parquet")
    with pytest.raises(InputError) as refused:
        batchscore.evaluate(
            ranked=tmp_path / "ranked.parquet", truth=save_pairs(tmp_path / "truth.parquet", [("u", "a", 1.0)])
        )
    assert refused.value.error_id == "E-RANKED-FILE"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"relevant": 4}, "relevant says which labels count, so it needs label_column"),
        ({"scores": "logits"}, "scores says how they are compared with labels, so it needs label_column"),
        ({"k": "10,0"}, "k: must be greater than 0"),
        ({"k": []}, "k: give at least one rank"),
        ({"gain": "cubic"}, "gain: must be 'linear', 'exponential' or 'binary'"),
        ({"training": "rows.json"}, "training: rows.json is neither .parquet nor .csv"),
        ({"relevant": "nan", "label_column": "stars"}, "relevant: must be a finite number"),
    ],
)
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(UsageError) as refused:
        batchscore.evaluate(ranked="ranked.parquet", truth="truth.csv", **settings)
    assert words in str(refused.value)


def test_cutoffs_are_sorted_and_given_in_any_way():
    for given in ("20,5", ("5", "20,5"), [20, 5]):
        settings = resolve(EvaluateSettings, "evaluate", {"ranked": "r", "truth": "t.csv", "k": given}).settings
        assert settings.k == (5, 20)
