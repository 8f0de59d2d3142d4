"""Parts: every row gets what its own tuple of values gives, through growth, resets and failures."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.engine.fed_table import FedTable
from batchscore.errors import ModelError
from batchscore.planning.plan import Part, PlanInput, PlanTable
from batchscore.scoring.score import part_calls
from batchscore.scoring.score import parts as module
from batchscore.scoring.score.part_calls import CALL_ROWS
from batchscore.scoring.score.parts import KEY_BYTES, PartTables, Placed, find_order

LEAST = 16
"""Rows of a call of the head in these tests."""


def part_of(*names, width=2):
    inputs = tuple(PlanInput(name, f"{name}:0", "string", 1) for name in names)
    tables = (PlanTable("sum:0", "sum_feed:0", "float32", width), PlanTable("one:0", "one_feed:0", "int32", 1))
    return Part("user", inputs, tables, "rows:0", ())


ROW_BYTES = 2 * 4 + 4 + KEY_BYTES


def number_of(value):
    """A number for a value of any type, all bits of floats in it."""
    if isinstance(value, str):
        return float(sum((place + 1) * ord(letter) for place, letter in enumerate(value)))
    if isinstance(value, float):
        return float(np.float64(value).view(np.int64) >> 40)
    return float(value)


def row_of(*values):
    """What the stub computes for a tuple."""
    return [sum(map(number_of, values)), number_of(values[0])], len(values)


class StubSession:
    """A session whose part is `row_of`; `refuse` says on which tuples it fails, `wrong` where it errs."""

    def __init__(self, refuse=lambda *_: False, wrong=()):
        self.refuse, self.wrong = refuse, list(wrong)
        self.tuples = []
        self.lengths = []

    def call(self, *feeds):
        assert not any(array.null_count for array in feeds)
        tuples = list(zip(*(array.to_pylist() for array in feeds), strict=True))
        self.lengths.append(len(tuples))
        self.tuples += tuples
        if any(self.refuse(*item) for item in tuples):
            raise ModelError("E-MODEL-RUN", "the model failed", found=str(tuples[0]), next_step="n")
        sums = np.array([row_of(*item)[0] for item in tuples], np.float32)
        sums[self.wrong] += 1
        return [sums, np.array([[row_of(*item)[1]] for item in tuples], np.int32)]


@pytest.fixture(autouse=True)
def small_calls(monkeypatch):
    monkeypatch.setattr(part_calls, "CALL_ROWS", 8)
    monkeypatch.setattr(module, "FIRST_ROWS", LEAST)


def tables_of(session, *names, budget_rows=LEAST):
    return PartTables(session.call, part_of(*names), head_rows=LEAST, budget_bytes=budget_rows * ROW_BYTES)


def found_by(placed):
    """Per row what a call of the head reads."""
    sums, ones = (table.values for table in placed.tables)
    return [None if row < 0 else (sums[row].tolist(), int(ones[row, 0])) for row in placed.rows]


def expected_of(columns, refuse=lambda *_: False):
    tuples = zip(*(column.to_pylist() for column in columns), strict=True)
    return [None if refuse(*item) else (row_of(*item)[0], row_of(*item)[1]) for item in tuples]


VALUES = {
    "text": st.sampled_from([f"v{n}" for n in range(60)] + [""]),
    "int": st.integers(0, 60),
    "float": st.sampled_from([0.0, -0.0, *map(float, range(1, 30))]),
}
TYPES = {"text": pa.large_string(), "int": pa.int64(), "float": pa.float64()}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kinds=st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3),
       budget_rows=st.integers(0, 200), dictionary=st.booleans(), refused=st.integers(0, 20))  # fmt: skip
def test_every_row_gets_what_its_tuple_gives(data, kinds, budget_rows, dictionary, refused):
    def refuse(first, *_):
        return number_of(first) % 21 < refused / 10

    session = StubSession(refuse)
    parts = tables_of(session, *(f"x{place}" for place in range(len(kinds))), budget_rows=budget_rows)
    kept = []
    for _ in range(data.draw(st.integers(1, 12))):
        rows = data.draw(st.integers(1, LEAST))
        columns = [
            pa.array(data.draw(st.lists(VALUES[kind], min_size=rows, max_size=rows)), TYPES[kind]) for kind in kinds
        ]
        fed = [column.dictionary_encode() if dictionary and kind == "text" else column
               for column, kind in zip(columns, kinds, strict=True)]  # fmt: skip
        placed = parts.place({f"x{place}": column for place, column in enumerate(fed)})
        assert placed.rows.dtype == np.int32
        kept.append((placed, expected_of(columns, refuse)))
        assert found_by(placed) == kept[-1][1]
        failed = {row for row, item in enumerate(kept[-1][1]) if item is None}
        assert set(placed.failures) == failed
        assert all("the model failed" in why for why in placed.failures.values())
    for placed, expected in kept:
        assert found_by(placed) == expected, "a call under way reads what it was given"
    assert set(session.lengths) <= {8}, "every call has one shape"


def test_a_tuple_is_computed_once_as_long_as_there_is_room():
    session = StubSession()
    parts = tables_of(session, "x", budget_rows=64)
    for start in (0, 8, 4, 0):
        parts.place({"x": pa.array(range(start, start + 8))})
    computed = session.tuples[9 * 8 :]  # the self-test comes before
    assert sorted(set(computed)) == [(n,) for n in range(16)]
    assert len(session.lengths) == 9 + 2


def test_tables_grow_to_the_budget_and_then_begin_anew():
    parts = tables_of(StubSession(), "x", budget_rows=4 * LEAST + 1)
    sizes, first = [], None
    for start in range(0, 8 * LEAST, LEAST):
        placed = parts.place({"x": pa.array(range(start, start + LEAST))})
        first = first or (placed, found_by(placed))
        sizes.append((len(placed.tables[0].values), int(placed.rows.max())))
    assert sizes == [(16, 15), (32, 31), (64, 47), (64, 63), (64, 15), (64, 31), (64, 47), (64, 63)]
    assert found_by(first[0]) == first[1]


def test_a_new_table_is_as_large_as_its_budget_allows(monkeypatch):
    monkeypatch.setattr(module, "FIRST_ROWS", 8 * LEAST)
    for budget_rows, rows in ((0, LEAST), (3 * LEAST, 2 * LEAST), (8 * LEAST, 8 * LEAST), (99 * LEAST, 8 * LEAST)):
        parts = tables_of(StubSession(), "x", budget_rows=budget_rows)
        assert (parts.most_pairs, len(parts.tables[0].values)) == (rows, rows)
        parts.place({"x": pa.array(range(rows))})
        assert len(parts.tables[0].values) == rows


def placed_at(rows, width=1):
    return Placed(np.array(rows, np.int32), (FedTable(64, width, "float32"),), {})


def test_pairs_are_ordered_by_the_part_of_which_most_is_read(monkeypatch):
    monkeypatch.setattr(module, "_CACHED_BYTES", 8)
    few, many = placed_at([1, 0, 1, 0]), placed_at([9, 3, -1, 3])
    for placed in ([few, many], [many, few]):
        assert find_order(placed).tolist() == [2, 1, 3, 0]
    wide = placed_at([1, 0, 1, 0], width=8)
    assert find_order([wide, many]).tolist() == [1, 3, 0, 2]


def test_pairs_stay_in_order_where_all_that_is_read_is_cached():
    assert find_order([placed_at([5, 3, 4])]).tolist() == [0, 1, 2]


@given(st.lists(st.integers(-1, 63), min_size=1), st.lists(st.integers(-1, 63), min_size=1))
def test_an_order_has_every_pair_once(one, other):
    size = min(len(one), len(other))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CACHED_BYTES", 4)
        order = find_order([placed_at(one[:size]), placed_at(other[:size])])
    assert sorted(order.tolist()) == list(range(size))


def test_a_table_that_begins_anew_does_not_touch_the_old_one():
    parts = tables_of(StubSession(), "x", budget_rows=0)
    before = parts.place({"x": pa.array(["a", "b"])})
    content = [table.values[:2].copy() for table in before.tables]
    after = parts.place({"x": pa.array([f"v{n}" for n in range(LEAST)])})
    assert after.tables[0] is not before.tables[0]
    assert all(np.array_equal(table.values[:2], old) for table, old in zip(before.tables, content, strict=True))
    assert found_by(parts.place({"x": pa.array(["b", "a"])})) == expected_of([pa.array(["b", "a"])])


def test_one_call_of_nothing_but_new_tuples_fits_into_the_least_table():
    parts = tables_of(StubSession(), "x", "y", budget_rows=0)
    for start in range(3):
        columns = [pa.array(range(start * 100, start * 100 + LEAST)), pa.array([f"{start}"] * LEAST)]
        assert found_by(parts.place(dict(zip("xy", columns, strict=True)))) == expected_of(columns)


def test_a_dictionary_with_repeated_values_fits_too():
    dictionary = pa.array([f"v{n % 7}" for n in range(40)])
    column = pa.DictionaryArray.from_arrays(pa.array(range(LEAST), pa.int32()), dictionary)
    parts = tables_of(StubSession(), "x", budget_rows=0)
    for _ in range(2):
        assert found_by(parts.place({"x": column})) == expected_of([column])


def test_what_was_found_of_a_dictionary_is_used_again():
    session = StubSession()
    parts = tables_of(session, "x", budget_rows=100)
    column = pa.array(["a", "b", "a", "c"]).dictionary_encode()
    parts.place({"x": column.slice(0, 2)})
    calls = len(session.lengths)
    other = pa.DictionaryArray.from_arrays(pa.array([2, 1], pa.int32()), pa.array(["a", "b", "c"]))
    assert found_by(parts.place({"x": other})) == expected_of([other])
    assert len(session.lengths) == calls + 1, "only c is new"
    swapped = pa.DictionaryArray.from_arrays(pa.array([2, 1, 0], pa.int32()), pa.array(["c", "b", "a"]))
    assert found_by(parts.place({"x": swapped})) == expected_of([swapped])
    assert len(session.lengths) == calls + 1


def test_zeros_of_either_sign_are_two_inputs():
    parts = tables_of(StubSession(), "x")
    for column in ([0.0], [-0.0], [0.0]):
        array = pa.array(column)
        assert found_by(parts.place({"x": array})) == expected_of([array])


@settings(max_examples=30, deadline=None)
@given(wrong=st.sets(st.integers(0, 7), max_size=3))
def test_positions_that_give_other_bits_stay_empty(wrong):
    session = StubSession(wrong=wrong)
    parts = tables_of(session, "x", budget_rows=100)
    columns = [pa.array(range(LEAST))]
    assert found_by(parts.place({"x": columns[0]})) == expected_of(columns)
    assert parts.positions_left_out == len(wrong)
    assert set(session.lengths) == {8}


def test_a_part_that_gives_another_shape_than_it_says_is_refused():
    class Short(StubSession):
        def call(self, *feeds):
            sums, ones = super().call(*feeds)
            return [sums[:, :1], ones]

    parts = PartTables(Short().call, part_of("x"), head_rows=LEAST, budget_bytes=0)
    with pytest.raises(ModelError, match="E-MODEL-PLAN") as caught:
        parts.place({"x": pa.array(["a"])})
    assert "[8, 1]" in str(caught.value)


def test_a_part_of_numbers_that_numpy_lacks_is_refused():
    table = PlanTable("sum:0", "sum_feed:0", "bfloat16", 2)
    with pytest.raises(ModelError, match="bfloat16"):
        PartTables(StubSession().call, Part("user", part_of("x").inputs, (table,), "rows:0", ()),
                   head_rows=LEAST, budget_bytes=0)  # fmt: skip


def test_the_shape_of_calls_in_earnest():
    assert CALL_ROWS == 1024
