from __future__ import annotations

import pyarrow as pa
import pytest

from batchscore.comparison import compare_ranked


def ranked(*rows: tuple[str, str, float], **kept: list):
    """Rows in order; the rank counts within each user."""
    ranks: list[int] = []
    for index, (user, _, _) in enumerate(rows):
        ranks.append(1 + sum(other == user for other, _, _ in rows[:index]))
    users, candidates, scores = zip(*rows, strict=True)
    return pa.table({
        "user_id": users,
        "item_id": candidates,
        "score": pa.array(scores, pa.float32()),
        "rank": pa.array(ranks, pa.int32()),
        **kept,
    })  # fmt: skip


EXPECTED = ranked(
    ("u1", "a", 4.0), ("u1", "b", 3.0), ("u1", "c", 2.99999), ("u2", "a", 1.0), ("u2", "d", 0.5), ("u3", "a", 1.0)
)
TOLERANCE = 1e-4


def test_equal_tables_do_not_differ():
    assert compare_ranked(EXPECTED, EXPECTED) == []


def test_a_near_tie_may_change_places():
    rows = _rows(EXPECTED)
    found = ranked(rows[0], rows[2], rows[1], *rows[3:])
    assert compare_ranked(EXPECTED, found, tolerance=TOLERANCE) == []


def test_a_real_swap_differs_even_where_every_score_is_right():
    rows = _rows(EXPECTED)
    found = ranked(rows[1], rows[0], *rows[2:])
    assert compare_ranked(EXPECTED, found, tolerance=TOLERANCE) == [
        "user_id 'u1': item_id 'b' stands before 'a', expected after it (score gap 1, tolerance 0.0001)",
    ]


def test_a_score_beyond_the_tolerance_differs():
    found = ranked(("u1", "a", 4.001), *_rows(EXPECTED)[1:])
    assert compare_ranked(EXPECTED, found, tolerance=TOLERANCE) == [
        "user_id 'u1': item_id 'a': score 4.00099993, expected 4 (difference 0.001, tolerance 0.0001)",
    ]


def test_a_score_that_is_not_a_number_differs():
    found = ranked(*[(u, c, float("nan") if c == "d" else s) for u, c, s in _rows(EXPECTED)])
    assert [line for line in compare_ranked(EXPECTED, found, tolerance=TOLERANCE) if "score nan" in line]


@pytest.mark.parametrize(
    ("candidate", "score", "same"),
    [("x", 2.99999, True), ("x", 2.9999, True), ("x", 2.99, False), ("x", 3.01, False)],
)
def test_at_the_cut_of_a_full_list_only_near_ties_give_way(candidate, score, same):
    rows = [row if row[1] != "c" else ("u1", candidate, score) for row in _rows(EXPECTED)]
    differences = compare_ranked(EXPECTED, ranked(*rows), tolerance=TOLERANCE)
    assert (differences == []) == same


def test_above_the_cut_no_candidate_gives_way():
    rows = [row if row[1] != "b" else ("u1", "x", 3.0) for row in _rows(EXPECTED)]
    expected = ranked(("u1", "a", 4.0), ("u1", "b", 3.0), ("u1", "c", 2.0))
    assert compare_ranked(expected, ranked(*rows[:2], ("u1", "c", 2.0)), tolerance=TOLERANCE) == [
        "user_id 'u1': item_id 'b' (rank 2, score 3) is missing",
        "user_id 'u1': item_id 'x' (rank 2, score 3) is not expected",
    ]


def test_in_a_short_list_no_candidate_gives_way():
    rows = [row if row[1] != "d" else ("u2", "x", 0.5) for row in _rows(EXPECTED)]
    assert compare_ranked(EXPECTED, ranked(*rows), tolerance=TOLERANCE) == [
        "user_id 'u2': item_id 'd' (rank 2, score 0.5) is missing",
        "user_id 'u2': item_id 'x' (rank 2, score 0.5) is not expected",
    ]


def test_lost_and_new_users_and_lengths_differ():
    found = ranked(("u1", "a", 4.0), ("u1", "b", 3.0), ("u2", "a", 1.0), ("u2", "d", 0.5), ("u4", "a", 1.0))
    assert compare_ranked(EXPECTED, found, tolerance=TOLERANCE) == [
        "user_id 'u1': 2 candidates, expected 3",
        "user_id 'u1': item_id 'c' (rank 3, score 2.99998999) is missing",
        "user_id 'u3': is missing",
        "user_id 'u4': is not expected",
    ]


def test_wrong_ranks_and_duplicates_differ():
    expected = ranked(("u1", "a", 4.0), ("u1", "b", 3.0))
    found = ranked(("u1", "a", 4.0), ("u1", "a", 4.0)).set_column(3, "rank", pa.array([0, 1], pa.int32()))
    assert compare_ranked(expected, found, tolerance=TOLERANCE) == [
        "user_id 'u1': ranks [0, 1], expected 1, 2, 3 and so on",
        "user_id 'u1': a candidate stands twice in the list",
        "user_id 'u1': item_id 'b' (rank 2, score 3) is missing",
    ]


def test_kept_values_must_be_equal():
    rows = [("u1", "a", 4.0), ("u1", "b", 3.0)]
    assert compare_ranked(ranked(*rows, title=["x", None]), ranked(*rows, title=["x", ""])) == [
        "user_id 'u1': item_id 'b': kept ('',), expected (None,)",
    ]


def test_the_default_tolerance_is_a_share_of_the_spread():
    expected = ranked(("u1", "a", 1000.0), ("u1", "b", 0.0))  # standard deviation 500
    assert compare_ranked(expected, ranked(("u1", "a", 1000.0), ("u1", "b", 0.049))) == []
    assert compare_ranked(expected, ranked(("u1", "a", 1000.0), ("u1", "b", 0.051))) != []


def _rows(table: pa.Table) -> list[tuple[str, str, float]]:
    return [(row["user_id"], row["item_id"], row["score"]) for row in table.to_pylist()]
