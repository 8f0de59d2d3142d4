from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from batchscore.errors import UsageError
from batchscore.golden_cases.compare_outcomes import EXAMPLES, compare_ranked

Row = tuple[str, str, float]


def ranked(*rows: Row, **kept: list):
    """Rows in order; the rank counts within each user."""
    ranks: list[int] = []
    for index, (user, _, _) in enumerate(rows):
        ranks.append(1 + sum(other == user for other, _, _ in rows[:index]))
    users, candidates, scores = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table({
        "user_id": pa.array(users, pa.string()),
        "item_id": pa.array(candidates, pa.string()),
        "score": pa.array(scores, pa.float32()),
        "rank": pa.array(ranks, pa.int32()),
        **kept,
    })  # fmt: skip


def differences(expected, found, *computed):
    return compare_ranked(expected, found, Path("expected.csv"), computed)


ROWS: list[Row] = [
    ("u1", "a", 4.0), ("u1", "b", 3.0), ("u1", "c", 2.99995), ("u2", "a", 1.0), ("u2", "d", 0.5), ("u3", "a", 1.0)
]  # fmt: skip
EXPECTED = ranked(*ROWS)  # the tolerance is 0.00013


def test_equal_tables_do_not_differ():
    assert differences(EXPECTED, EXPECTED) == []
    assert differences(ranked(), ranked()) == []


def test_a_near_tie_may_change_places():
    assert differences(EXPECTED, ranked(ROWS[0], ("u1", "c", 3.0), ("u1", "b", 2.99995), *ROWS[3:])) == []


def test_a_real_swap_differs():
    found = ranked(("u1", "b", 4.0), ("u1", "a", 3.0), *ROWS[2:])
    assert differences(EXPECTED, found) == [
        "user u1: candidates a and b swapped at rank 1, score gap 1",
        "user u1: candidate a had score 4, now 3 (-1), tolerance 0.00013",
        "user u1: candidate b had score 3, now 4 (+1), tolerance 0.00013",
    ]


def test_a_score_beyond_the_tolerance_differs():
    found = ranked(("u1", "a", 4.001), *ROWS[1:])
    assert differences(EXPECTED, found) == [
        "user u1: candidate a had score 4, now 4.001 (+0.001), tolerance 0.00013",
    ]


@pytest.mark.parametrize(("score", "same"), [(2.99995, True), (2.9999, True), (2.99, False)])
def test_at_the_cut_of_a_full_list_only_near_ties_give_way(score, same):
    found = ranked(*[row if row[1] != "c" else ("u1", "x", score) for row in ROWS])
    assert (differences(EXPECTED, found) == []) == same


def test_above_the_cut_no_candidate_gives_way():
    expected = ranked(("u1", "a", 4.0), ("u1", "b", 3.0), ("u1", "c", 2.0))
    found = ranked(("u1", "a", 4.0), ("u1", "x", 3.0), ("u1", "c", 2.0))
    assert differences(expected, found) == ["user u1: candidate b (score 3) left rank 2 to x (score 3)"]


def test_in_a_short_list_no_candidate_gives_way():
    found = ranked(*[row if row[1] != "d" else ("u2", "x", 0.5) for row in ROWS])
    assert differences(EXPECTED, found) == ["user u2: candidate d (score 0.5) left rank 2 to x (score 0.5)"]


def test_lost_and_new_users_and_lengths_differ():
    found = ranked(("u1", "a", 4.0), ("u1", "b", 3.0), *ROWS[3:5], ("u4", "a", 1.0))
    assert differences(EXPECTED, found) == [
        "user u3 is missing",
        "user u4 is not expected",
        "user u1: the list ends before rank 3; candidate c was there",
    ]


def test_of_many_differences_some_are_told_and_all_are_counted():
    rows: list[Row] = [(f"u{number:02}", "a", 1.0) for number in range(50)]
    told = differences(ranked(*rows), ranked(*[(user, "a", 3.0) for user, _, _ in rows[:40]]))
    assert len(told) == 2 * EXAMPLES + 1
    assert told[0] == "user u40 is missing"
    assert told[-1] == "and 30 more scores differ"
    assert differences(ranked(*rows), ranked(*rows[:30]))[-1] == "and 10 more users are missing"


def test_kept_values_must_be_equal():
    rows: list[Row] = [("u1", "a", 4.0), ("u1", "b", 3.0)]
    assert differences(ranked(*rows, title=["x", None]), ranked(*rows, title=["x", ""])) == [
        "user u1: candidate b has title '', expected None",
    ]
    nan = ranked(*rows, price=[float("nan"), 0.1])
    assert differences(nan, nan) == []


def test_kept_outputs_of_the_model_are_as_close_as_scores():
    rows: list[Row] = [("u1", "a", 4.0), ("u1", "b", 3.0)]
    expected, found = ranked(*rows, click=[0.75, 0.25]), ranked(*rows, click=[0.75001, 0.25])
    assert differences(expected, found, "click") == []
    assert differences(expected, found) == ["user u1: candidate a has click 0.75001, expected 0.75"]
    assert len(differences(expected, ranked(*rows, click=[0.7501, 0.25]), "click")) == 1


def test_the_tolerance_is_a_share_of_the_spread():
    expected = ranked(("u1", "a", 1000.0), ("u1", "b", 0.0))  # standard deviation 500
    assert differences(expected, ranked(("u1", "a", 1000.0), ("u1", "b", 0.049))) == []
    assert differences(expected, ranked(("u1", "a", 1000.0), ("u1", "b", 0.051))) != []


def test_expected_rows_that_no_run_publishes_are_named():
    with pytest.raises(UsageError, match="scores do not rise within a list"):
        differences(ranked(("u1", "a", 3.0), ("u1", "b", 4.0)), EXPECTED)
    with pytest.raises(UsageError, match="candidate a occurs more than once"):
        differences(ranked(("u1", "a", 3.0), ("u1", "a", 3.0)), EXPECTED)
