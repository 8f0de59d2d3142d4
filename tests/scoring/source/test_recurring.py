"""One dictionary for a column whose values recur: the rows are never changed by it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.arrays.distinct import is_same_array
from batchscore.scoring.source import recurring as recurring_module
from batchscore.scoring.source.parquet_source import open_pairs
from batchscore.scoring.source.recurring import RecurringValues

TEXT = st.sampled_from([f"v{n}" for n in range(30)] + ["", "\u00fc"])


def column(values, dictionary=None):
    if dictionary is None:
        return pa.array(values, pa.string()).dictionary_encode()
    codes = pa.array([dictionary.index(value) for value in values], pa.int32())
    return pa.DictionaryArray.from_arrays(codes, pa.array(dictionary, pa.string()))


@given(st.lists(st.lists(TEXT | st.none(), max_size=40), max_size=6))
def test_the_rows_stay_what_they_are(batches):
    recurring = RecurringValues()
    for values in batches:
        assert recurring.recode(column(values)).to_pylist() == values


def test_the_same_values_in_another_order_share_a_dictionary():
    recurring = RecurringValues()
    first = recurring.recode(column("abc", [*"abc"]))
    second = recurring.recode(column("acb", [*"cba"]))
    assert is_same_array(second.dictionary, first.dictionary)
    assert second.to_pylist() == [*"acb"]


def test_a_few_new_values_are_added_and_many_begin_anew():
    values = [f"v{n}" for n in range(20)]
    recurring = RecurringValues()
    recurring.recode(column(values))
    grown = recurring.recode(column([*values, "new"]))
    assert grown.dictionary.to_pylist() == [*values, "new"]
    others = [f"w{n}" for n in range(20)]
    assert recurring.recode(column(others)).dictionary.to_pylist() == others
    assert recurring.recode(column(values)).dictionary.to_pylist() == values


def test_a_dictionary_that_grows_too_large_begins_anew(monkeypatch):
    monkeypatch.setattr(recurring_module, "_MAX_BYTES", 400)
    recurring = RecurringValues()
    values = [f"v{n}" for n in range(40)]
    for number in range(20):
        batch = [*values, f"new {number}"]
        found = recurring.recode(column(batch))
        assert found.to_pylist() == batch
        assert found.dictionary.nbytes <= 400


def test_a_sample_does_not_hide_that_most_values_are_new():
    """The values that the sample sees recur, and nothing else does."""
    size = 2_000
    step = size // 256 + 1
    recurring = RecurringValues()
    recurring.recode(column([f"v{n}" for n in range(size)]))
    values = [f"v{n}" if n % step == 0 else f"w{n}" for n in range(size)]
    assert recurring.recode(column(values)).dictionary.to_pylist() == values


@pytest.mark.parametrize("values", [["a", None], [None]])
def test_columns_with_nulls_are_left_alone(values):
    column_ = column(values)
    assert RecurringValues().recode(column_) is column_


def test_row_groups_and_files_share_the_dictionary_of_candidates_but_not_of_users(tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    for part in range(2):
        users = [f"u{part}-{n // 10}" for n in range(100)]
        candidates = [f"c{(n * 7 + part) % 10}" for n in range(100)]
        table = pa.table({"user_id": users, "movie_id": candidates})
        pq.write_table(table, folder / f"part-{part}.parquet", row_group_size=50)
    batches = list(open_pairs(folder).batches(["user_id", "movie_id"]))
    dictionaries = [[array.dictionary.to_pylist() for array in batch.table.columns] for batch in batches]
    assert len({tuple(candidates) for _, candidates in dictionaries}) == 1
    assert len({tuple(users) for users, _ in dictionaries}) > 1
    rows = [row for batch in batches for row in batch.table.to_pylist()]
    assert rows == pq.read_table(folder).to_pylist()
