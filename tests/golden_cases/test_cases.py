"""The runner of the golden cases itself: that a difference is found, readable, and gone after an update."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from batchscore.errors import OutputError, UsageError
from batchscore.golden_cases.cases import find_cases, read_case, read_expected
from batchscore.golden_cases.compare_outcomes import compare_outcomes
from batchscore.golden_cases.outcome import Outcome
from batchscore.golden_cases.runner import check_case
from batchscore.golden_cases.text import csv_lines, parse_type, read_csv, toml_text

CASE = """\
about = "A case of this test."
model = "../models/echo"

[run]
top_n = 2

[pairs]
user_id = "string"
item_id = "string"
value = "float"
"""


@pytest.fixture
def case(tmp_path, models) -> Path:
    (tmp_path / "models").symlink_to(models)
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "case.toml").write_text(CASE)
    (folder / "pairs.csv").write_text("user_id,item_id,value\nu1,a,1\nu1,b,2\nu1,c,3\n")
    return folder


@pytest.fixture
def check(case):
    return lambda **flags: check_case(read_case(case), "case", **flags)


@pytest.mark.tensorflow
def test_update_writes_what_check_then_expects(case, check):
    assert check(update=True).outcome == "rewritten"
    assert (case / "expected.csv").read_text() == "user_id,item_id,score,rank\nu1,c,3,1\nu1,b,2,2\n"
    assert check().outcome == "as expected"
    before = (case / "expected.toml").stat().st_mtime_ns
    assert check(update=True).outcome == "as expected"
    assert (case / "expected.toml").stat().st_mtime_ns == before


@pytest.mark.tensorflow
def test_a_difference_in_rows_reads_as_a_diff(case, check):
    check(update=True)
    rows = case / "expected.csv"
    rows.write_text(rows.read_text().replace("u1,c,3,1", "u1,c,2.5,1"))
    result = check()
    assert result.outcome == "differs"
    assert result.differences == [
        "--- expected.csv (expected)",
        "+++ expected.csv (found)",
        "@@ -1,3 +1,3 @@",
        " user_id,item_id,score,rank",
        "-u1,c,2.5,1",
        "+u1,c,3,1",
        " u1,b,2,2",
    ]


@pytest.mark.tensorflow
def test_a_difference_in_the_report_is_found(case, check):
    check(update=True)
    facts = case / "expected.toml"
    facts.write_text(facts.read_text().replace("ties_at_cut = 0", "ties_at_cut = 1"))
    assert [line for line in check().differences if line[0] in "+-"] == [
        "--- expected.toml (expected)",
        "+++ expected.toml (found)",
        "-ties_at_cut = 1",
        "+ties_at_cut = 0",
    ]


@pytest.mark.tensorflow
def test_a_refusal_where_rows_were_expected_is_found_and_updated(case, check):
    check(update=True)
    (case / "pairs.csv").write_text("user_id,item_id,value\nu1,a,\n")
    assert '+error_id = "E-BAD-ROWS"' in check().differences
    check(update=True)
    assert not (case / "expected.csv").exists()
    assert check().outcome == "as expected"


@pytest.mark.tensorflow
def test_a_case_without_expectations_is_no_silent_pass(check):
    with pytest.raises(UsageError, match="it is not there yet"):
        check()


@pytest.mark.tensorflow
def test_expected_rows_that_no_run_publishes_are_no_valid_case(case, check):
    (case / "case.toml").write_text(CASE.replace("[run]", 'scores = "close"\n[run]', 1))
    check(update=True)
    rows = case / "expected.csv"
    rows.write_text(rows.read_text().replace("u1,b,2,2", "u1,b,2,3"))
    with pytest.raises(UsageError) as caught:
        check()
    assert (
        str(caught.value)
        == f"""\
E-GOLDEN: not a valid golden case
  where:    {rows}
    found:    row 1: user u1, candidate b, score 2, rank 3
    expected: ranks count 1, 2, 3 within each user
  next:     correct the file; `batchscore golden --update` writes what is expected"""
    )
    assert check(update=True).outcome == "rewritten"
    assert check().outcome == "as expected"


@pytest.mark.tensorflow
def test_a_disk_that_is_full_is_no_outcome(case, check, monkeypatch):
    def full(*_: object) -> None:
        raise OutputError("E-OUTPUT", "the output cannot be written", next_step="free space")

    monkeypatch.setattr("batchscore.golden_cases.outcome.run", full)
    with pytest.raises(OutputError):
        check(update=True)
    assert not (case / "expected.toml").exists()


def test_a_model_is_looked_for_from_the_folder_of_the_case(case, models, tmp_path):
    assert read_case(case).model == models / "echo"
    assert read_case(case, tmp_path / "models" / "numbers").model == models / "numbers"
    (case / "case.toml").write_text(CASE.replace("model =", "# model ="))
    with pytest.raises(UsageError, match="the case names none"):
        read_case(case)
    assert read_case(case, models / "echo").model == models / "echo"


def test_a_model_that_is_not_there_becomes_no_expectation(case, tmp_path):
    with pytest.raises(UsageError, match=r"model: there is no folder .*nowhere"):
        read_case(case, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text + "\nspeed = 3\n", "speed"),
        (lambda text: text.replace("about", "abuot"), "about"),
        (lambda text: text.replace("[run]", "[run"), "Expected"),
        (lambda text: text.replace("top_n = 2", 'output = "ranked.parquet"'), "output is no setting of a case"),
        (lambda text: text.replace("top_n = 2", 'state-dir = "state"'), "state-dir is no setting of a case"),
    ],
)
def test_an_invalid_case_is_named(case, change, problem):
    (case / "case.toml").write_text(change(CASE).replace("speed", "[speed]\nspeed"))
    with pytest.raises(UsageError, match=problem):
        read_case(case)


@pytest.mark.parametrize(
    ("csv", "problem"),
    [
        ("user_id,value,item_id\nu1,1,a\n", "columns"),
        ("user_id,item_id,value\nu1,a,much\n", "much"),
        ("user_id,item_id,value\nu1,a\n", "Expected 3 columns"),
    ],
)
def test_pairs_that_do_not_fit_are_named(case, csv, problem):
    (case / "pairs.csv").write_text(csv)
    with pytest.raises(UsageError, match=problem):
        read_case(case)


def test_cases_are_found_at_any_depth(tmp_path):
    for name in ("b", "a/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "case.toml").touch()
    assert find_cases(tmp_path) == [tmp_path / "a" / "deep", tmp_path / "b"]
    assert find_cases(tmp_path / "b") == [tmp_path / "b"]


@pytest.mark.parametrize(("name", "found"), [("empty", "a folder without any"), ("nowhere", "no folder")])
def test_no_case_is_no_success(tmp_path, name, found):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=f"E-GOLDEN: there is no golden case\n.*{name}\n.*{found}"):
        find_cases(tmp_path / name)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([None, "", " ", "a,b", 'say "hi"', "two\nlines", "NULL", "é"]),
        pa.array([None, "", "x"], pa.large_string()),
        pa.array([None, 2**53 + 1, -(2**63)], pa.int64()),
        pa.array([None, 0.1, float("nan"), float("-inf"), -0.0, 1e-45], pa.float32()),
        pa.array([None, 0.1, 1 / 3], pa.float64()),
        pa.array([None, True, False]),
        pa.array([None, "1.25", "-0.01"]).cast(pa.decimal128(5, 2)),
        pa.array([None, 0, -1], pa.timestamp("us")),
        pa.array([None, 0, -1], pa.timestamp("ms", "UTC")),
        pa.array([None, 0, -1], pa.date32()),
    ],
    ids=lambda array: str(array.type),
)
def test_rows_survive_the_way_through_csv(tmp_path, array):
    table = pa.table({"id": pa.array([str(row) for row in range(len(array))]), "column": array})
    path = tmp_path / "rows.csv"
    path.write_text("".join(csv_lines(table)), "utf-8")
    column = read_csv(path).column("column").combine_chunks().cast(parse_type(str(array.type)))
    assert column.type == array.type
    assert list(map(str, column)) == list(map(str, array))


def test_facts_survive_the_way_through_toml(tmp_path):
    facts = {
        "exit_code": 3,
        "message": 'E-X: it\'s "so"\n  where: C:\\x\n',
        "warnings": ["plain", "it's", 'say "hi"', "back\\slash", "tab\there", "''' and \"\"\"", "\x00", ""],
        "published": True,
        "none": [],
        "bad rows": {"a reason, said": 2, "x.y": "z"},
    }
    facts["bad_rows"] = facts.pop("bad rows")
    (tmp_path / "expected.toml").write_text(toml_text(facts), "utf-8")
    assert read_expected(tmp_path).facts == facts


def test_close_scores_are_compared_with_the_tolerance():
    def outcome(*scores: float, ties: int = 0) -> Outcome:
        rows = pa.table({
            "user_id": ["u1", "u1"],
            "item_id": ["a", "b"],
            "score": pa.array(scores, pa.float32()),
            "rank": pa.array([1, 2], pa.int32()),
        })  # fmt: skip
        return Outcome({"exit_code": 0, "ties_at_cut": ties}, rows)

    def same(found: Outcome, scores: str) -> bool:
        return compare_outcomes(outcome(2, 1), found, scores, Path("expected.csv")) == []

    assert same(outcome(2.00001, 1), "close")
    assert not same(outcome(2.00001, 1), "exact")
    assert not same(outcome(2.001, 1), "close")
    assert same(outcome(2, 1, ties=1), "close")
    assert not same(outcome(2, 1, ties=1), "exact")
