"""Top N against sorting everything, whatever the order, the batches and the merges."""

from __future__ import annotations

import math
import struct
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.arrays.distinct_ids import DistinctIds
from batchscore.columns import ranked_schema
from batchscore.scoring.pairs import ScorablePairs, ScoredPairs
from batchscore.scoring.rank import topn, writer
from batchscore.scoring.rank.topn import TopN
from batchscore.scoring.rank.writer import write_lists

KEPT = [pa.field("weight", pa.float64()), pa.field("title", pa.string()), pa.field("new", pa.bool_())]

FLOAT32_MAX = float(np.finfo(np.float32).max)
TEXT_IDS = st.sampled_from(["", "a", "A", "aa", "b", "ä", "é", "e\u0301", "\U0001f600", "\x00", "10", "9"])
IDS = {
    pa.string(): TEXT_IDS | st.text(max_size=3),
    pa.int64(): st.sampled_from([-(2**63), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1]),
    pa.uint64(): st.sampled_from([0, 1, 2**63, 2**64 - 1]),
}
SCORES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0**-149, -(2.0**-149), 2.0**-127, FLOAT32_MAX, -FLOAT32_MAX]) | (
    st.floats(width=32, allow_nan=False, allow_infinity=False)
)
WEIGHTS = st.none() | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, -5e-324, 1.0])


@st.composite
def pair_rows(draw):
    """Rows over a few users, candidates and scores, so that pairs repeat and scores tie."""
    user_type, candidate_type = draw(st.sampled_from(list(IDS))), draw(st.sampled_from(list(IDS)))

    def few(values, at_most):
        return st.sampled_from(draw(st.lists(values, min_size=1, max_size=at_most)))

    columns = [few(IDS[user_type], 3), few(IDS[candidate_type], 5), few(SCORES, 4), WEIGHTS]
    row = st.tuples(*columns, few(st.none() | TEXT_IDS, 2), few(st.none() | st.booleans(), 2))
    return user_type, candidate_type, draw(st.lists(row, max_size=30))


def _bytewise(value):
    return value.encode() if isinstance(value, str) else value


def _weight_order(value):
    return () if value is None else (math.isnan(value), 0 if math.isnan(value) else value, math.copysign(1, value))


def _order(row):
    user, candidate, score, weight, title, new = row
    kept = (_weight_order(weight), () if title is None else (title.encode(),), () if new is None else (new,))
    return _bytewise(user), -score, _bytewise(candidate), *kept


def sort_everything(rows, top_n):
    lists = {}
    for row in sorted(rows, key=_order):
        ranked = lists.setdefault(row[0], {})
        ranked.setdefault(row[1], row)
    return [(*row, rank) for ranked in lists.values() for rank, row in enumerate(list(ranked.values())[:top_n], 1)]


def schema_of(user_type, candidate_type, kept=KEPT):
    return ranked_schema(pa.field("u", user_type), pa.field("c", candidate_type), kept)


def as_checked(array):
    """The array as the stage before hands it on."""
    return array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array


def batch_of(rows, user_type, candidate_type, kept=KEPT):
    columns = list(zip(*rows, strict=True)) or [[]] * (3 + len(kept))
    types = [user_type, candidate_type, pa.float32(), *(field.type for field in kept)]
    user, candidate, _, *kept_arrays = (
        as_checked(pa.array(column, type_)) for column, type_ in zip(columns, types, strict=True)
    )
    pairs = ScorablePairs("f", np.arange(len(rows)), user, candidate, kept_arrays, {}, {})
    return ScoredPairs(pairs, np.array(columns[2], np.float32))


def rank(batches, top_n, schema):
    top = TopN(top_n, schema, np.dtype(np.float32))
    for batch in batches:
        top.add(batch)
    return top.finish()


def rows_of(path):
    names = ("u", "c", "score", "weight", "title", "new", "rank")
    return [tuple(row[name] for name in names) for row in pq.read_table(path).to_pylist()]


def _exact(rows):
    """Rows with floats as their bits, so that NaN equals NaN and -0.0 differs from 0.0."""
    return [tuple(struct.pack("<d", item) if isinstance(item, float) else item for item in row) for row in rows]


@settings(max_examples=120, deadline=None)
@given(data=st.data(), drawn=pair_rows(), top_n=st.integers(1, 4), sizes=st.tuples(*[st.integers(1, 12)] * 3))
def test_equals_sorting_everything_for_any_arrival_order(tmp_path_factory, data, drawn, top_n, sizes):
    least_pending, most_sorted, samples = sizes
    user_type, candidate_type, rows = drawn
    schema = schema_of(user_type, candidate_type)
    expected = [
        (user, candidate, score + 0.0, *kept) for user, candidate, score, *kept in sort_everything(rows, top_n)
    ]
    folder = tmp_path_factory.getbasetemp()
    written = []
    for name in ("first", "second"):
        arrived = data.draw(st.permutations(rows)) if name == "second" else rows
        cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
        parts = [arrived[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
        with mock.patch.multiple(
            topn, _MIN_PENDING_ROWS=least_pending, _MAX_SORTED_ROWS=most_sorted, _SAMPLES_A_PART=samples
        ):
            lists = rank((batch_of(part, user_type, candidate_type) for part in parts), top_n, schema)
        write_lists(lists, folder / name)
        assert _exact(rows_of(folder / name)) == _exact(expected)
        written.append((folder / name).read_bytes())
    assert written[0] == written[1]
    users = {row[0] for row in rows}
    assert lists.users == len(users)
    assert lists.users_short == sum(1 for user in users if len({r[1] for r in rows if r[0] == user}) < top_n)
    assert lists.rows == len(expected)


@settings(max_examples=60, deadline=None)
@given(drawn=pair_rows(), top_n=st.integers(1, 3))
def test_ties_at_the_cut_are_users_whose_next_pair_has_the_same_score(drawn, top_n):
    user_type, candidate_type, rows = drawn
    longer = sort_everything(rows, top_n + 1)
    at_cut = {(row[0], row[2]) for row in longer if row[-1] == top_n}
    expected = sum((row[0], row[2]) in at_cut for row in longer if row[-1] == top_n + 1)
    lists = rank([batch_of(rows, user_type, candidate_type)], top_n, schema_of(user_type, candidate_type))
    assert lists.ties_at_cut == expected


def test_of_equal_scores_the_smallest_kept_values_win(tmp_path):
    """Null before all numbers, -0.0 before 0.0, NaN after them; then the next column decides."""
    schema = schema_of(pa.string(), pa.string())
    ordered = [(None, "z", True), (-math.inf, "z", True), (-0.0, "z", True), (0.0, None, True), (0.0, "", None),
               (0.0, "", False), (0.0, "", True), (5e-324, None, None), (math.nan, None, None)]  # fmt: skip
    for first in range(len(ordered)):
        rows = [("u", "c", 1.0, *kept) for kept in reversed(ordered[first:])]
        write_lists(rank([batch_of(rows, pa.string(), pa.string())], 1, schema), tmp_path / "out")
        assert _exact(rows_of(tmp_path / "out")) == _exact([("u", "c", 1.0, *ordered[first], 1)])


def test_a_tie_at_the_cut_is_a_user_whose_next_pair_has_the_same_score():
    rows = [("tie", item, 1.0) for item in "abc"] + [
        ("none", item, score) for item, score in zip("abc", (3, 2, 1), strict=True)
    ]
    rows += [("short", item, 1.0) for item in "ab"] + [
        ("above", item, score) for item, score in zip("abc", (2, 2, 1), strict=True)
    ]
    rows += [("zero", "a", 1.0), ("zero", "b", 0.0), ("zero", "c", -0.0)]
    lists = rank([batch_of(rows, pa.string(), pa.string(), [])], 2, schema_of(pa.string(), pa.string(), []))
    assert lists.ties_at_cut == 2


def test_kept_nans_of_other_bits_do_not_change_the_bytes(tmp_path):
    quiet, odd, negative = (
        np.uint64(bits).view(np.float64) for bits in (0x7FF8 << 48, 0x7FF8 << 48 | 7, 0xFFF8 << 48)
    )
    schema = schema_of(pa.string(), pa.string(), KEPT[:1])
    written = set()
    for index, order in enumerate(([quiet, odd, negative], [odd, negative, quiet], [negative, quiet, odd])):
        batch = batch_of([("u", "c", 1.0, None)] * 3, pa.string(), pa.string(), KEPT[:1])
        batch.pairs.kept[0] = pa.array(np.array(order))
        lists = rank([batch], 1, schema)
        write_lists(lists, tmp_path / str(index))
        assert math.isnan(pq.read_table(tmp_path / str(index))["weight"][0].as_py())
        written.add((tmp_path / str(index)).read_bytes())
    assert len(written) == 1


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (pa.timestamp("ms", "Mars/Olympus"), [1, 2]),
        (pa.timestamp("us", "+02:00"), [-1, 2**62]),
        (pa.timestamp("ns"), [-(2**63) + 1, 2**63 - 1]),
        (pa.date32(), [-(2**31), 2**31 - 1]),
        (pa.decimal128(38, 38), None),
        (pa.int8(), [-128, 127]),
        (pa.large_string(), ["", "z"]),
        (pa.string_view(), ["", "a string that is too long to be inlined"]),
    ],
    ids=str,
)
def test_a_kept_column_comes_out_as_it_went_in(tmp_path, type_, values):
    if values is None:
        array = pa.array(["0." + "1" * 38, "-0." + "9" * 38]).cast(type_)
    else:
        array = pa.array(values, pa.int32()).cast(type_) if type_ == pa.date32() else pa.array(values, type_)
    array = pa.concat_arrays([array, pa.nulls(1, type_)])
    rows = [("u", candidate, 3.0 - index) for index, candidate in enumerate("abc")]
    batch = batch_of(rows, pa.string(), pa.string(), [])
    batch.pairs.kept.append(as_checked(array))
    schema = schema_of(pa.string(), pa.string(), [pa.field("kept", type_)])
    write_lists(rank([batch], 5, schema), tmp_path / "out")
    column = pq.read_table(tmp_path / "out")["kept"]
    assert column.type == type_
    assert column.combine_chunks().equals(array)


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.string_view(), pa.int8(), pa.uint32()], ids=str
)
def test_ids_keep_their_type_and_nothing_else_is_written(tmp_path, type_):
    values = ["x", "y"] if "str" in str(type_) else [1, 2]
    batch = batch_of([(value, value, 1.0) for value in values], type_, type_, [])
    write_lists(rank([batch], 1, schema_of(type_, type_, [])), tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out")
    assert schema.names == ["u", "c", "score", "rank"]
    assert schema.types == [type_, type_, pa.float32(), pa.int32()]
    assert not any(field.nullable for field in schema)
    assert schema.metadata is None


def test_no_pairs_give_a_valid_empty_file(tmp_path):
    schema = schema_of(pa.string(), pa.int64())
    lists = rank([batch_of([], pa.string(), pa.int64())], 3, schema)
    write_lists(lists, tmp_path / "out")
    assert pq.read_table(tmp_path / "out").schema == schema
    assert (lists.rows, lists.users, lists.users_short, lists.ties_at_cut) == (0, 0, 0, 0)


def test_row_groups_are_cut_at_a_fixed_number_of_rows(tmp_path):
    rows = [(user, 1, 0.5) for user in range(10)]
    lists = rank([batch_of(rows, pa.int64(), pa.int64(), [])], 1, schema_of(pa.int64(), pa.int64(), []))
    with mock.patch.object(writer, "_ROW_GROUP_ROWS", 4):
        write_lists(lists, tmp_path / "out")
    metadata = pq.read_metadata(tmp_path / "out")
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == [4, 4, 2]
    assert pq.read_table(tmp_path / "out")["u"].to_pylist() == list(range(10))


@pytest.mark.parametrize(("type_", "users"), [(pa.string(), ["a", "b", "c"]), (pa.uint64(), [1, 2, 2**64 - 1])])
def test_users_without_a_row_are_counted_once(type_, users):
    lists = rank([batch_of([(users[0], "x", 1.0)], type_, pa.string(), [])], 2, schema_of(type_, pa.string(), []))
    for ids, missing in ((users, 2), (users[:1], 0), ([], 0)):
        wanted = DistinctIds()
        wanted.add(pa.array(ids, type_))
        assert lists.count_missing(wanted) == missing
