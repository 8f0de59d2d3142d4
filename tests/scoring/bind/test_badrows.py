"""Bad rows: exact numbers, one reason a row, budgets, and the rejects file."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.errors import InputError, ModelError
from batchscore.savedmodel.saved_model import Signature, TensorSpec
from batchscore.scoring.bind import rejects
from batchscore.scoring.bind.badrows import BadRows
from batchscore.scoring.bind.binding import bind
from batchscore.scoring.pairs import ScoredPairs
from batchscore.scoring.source.pair_source import PairBatch
from batchscore.scoring.source.parquet_source import open_pairs
from batchscore.settings.limits import Limit
from batchscore.settings.run import RunSettings

OFF = Limit.parse("off")
SCHEMA = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("age", pa.int64()), ("note", pa.string())])


def signature_of(**dtypes):
    return Signature(
        "serving_default",
        {name: TensorSpec(name, name, dtype, (None,)) for name, dtype in dtypes.items()},
        {"score": TensorSpec("score", "score", "float32", (None,))},
    )


def binding_of(schema=SCHEMA, **how):
    signature = (
        signature_of(user_id="string", item_id="string", age="int8") if schema is SCHEMA else how.pop("signature")
    )
    given_settings = RunSettings(input="i", output="o", candidate_column="item_id", **how)
    return bind(schema, signature, None, given_settings)


def batches_of(table, size=1000, path="pairs.parquet"):
    for at in range(0, table.num_rows, size):
        for batch in table.slice(at, size).combine_chunks().to_batches():
            yield PairBatch(path, at, batch)


def check(table, binding=None, budget=OFF, size=1000):
    bad = BadRows(budget, table.num_rows)
    pairs = list(bad.drop_unusable(batches_of(table, size), binding or binding_of()))
    return bad, pairs


def users_of(bad):
    users = bad.left_out.users().values()
    return set() if users is None else set(users.to_pylist())


def found(bad):
    return [(reject.row, reject.column, reject.reason, reject.value) for reject in bad.rejects.rows]


def table_of(rows, schema=SCHEMA):
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)


GOOD = ("u", "a", 1, None)


# which rows


def test_each_kind_of_bad_row_is_named_with_column_reason_and_value():
    table = table_of([
        GOOD,
        (None, "a", 1, None),
        ("u", None, 1, None),
        ("u", "a", None, None),
        ("u", "a", 128, None),
        ("", "", -128, None),
    ])  # fmt: skip
    bad, pairs = check(table)
    assert found(bad) == [
        (1, "user_id", "null id", None),
        (2, "item_id", "null id", None),
        (3, "age", "null feature", None),
        (4, "age", "not a whole number that int8 holds", "128"),
    ]
    assert pairs[0].rows.tolist() == [0, 5]
    assert pairs[0].user.to_pylist() == ["u", ""], "an empty string is a valid id"
    assert pairs[0].feeds["age"].to_pylist() == [1, -128]
    assert pairs[0].feeds["age"].type == pa.int8()
    assert (bad.count, bad.rows, bad.left_out.pairs["null id"]) == (4, 6, 2)
    assert users_of(bad) == {"u"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_numbers_that_are_not_finite_are_bad_unless_the_model_takes_them(dtype):
    schema = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("price", pa.float64())])
    signature = signature_of(user_id="string", item_id="string", price=dtype)
    prices = [1.5, math.nan, None, math.inf, -math.inf, 1e300]
    table = table_of([("u", "a", price) for price in prices], schema)

    def bad_of(**how):
        bad, pairs = check(table, binding_of(schema, signature=signature, fill={"price": "7"}, **how))
        return {reject.row: reject.reason for reject in bad.rejects.rows}, pairs[0].feeds["price"].to_pylist()

    reasons, fed = bad_of()
    overflows = {} if dtype == "float64" else {5: f"overflows {dtype}"}
    assert reasons == {1: "NaN or infinite", 3: "NaN or infinite", 4: "NaN or infinite"} | overflows
    assert fed[:2] == [1.5, 7]
    reasons, fed = bad_of(allow_nonfinite=["price"])
    assert reasons == overflows
    assert math.isnan(fed[1])
    assert fed[2:5] == [7, math.inf, -math.inf]


def test_a_column_of_nulls_alone_is_filled_or_bad():
    schema = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("age", pa.null())])
    signature = signature_of(user_id="string", item_id="string", age="int8")
    table = table_of([("u", "a", None), ("u", "b", None)], schema)
    bad, _ = check(table, binding_of(schema, signature=signature))
    assert dict(bad.left_out.pairs) == {"null feature": 2}
    bad, pairs = check(table, binding_of(schema, signature=signature, fill={"age": "7"}))
    assert (bad.count, pairs[0].feeds["age"].to_pylist(), bad.filled["age"]) == (0, [7, 7], 2)


def test_the_first_thing_that_is_wrong_wins_a_row():
    bad, pairs = check(table_of([(None, None, 999, None)]))
    assert found(bad) == [(0, "user_id", "null id", None)]
    assert (bad.count, len(pairs[0])) == (1, 0)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(1, 25))
def test_row_numbers_are_those_of_the_file_whatever_the_batches(data, size):
    kinds = {
        "good": GOOD, "no user": (None, "a", 1, None), "no item": ("u", None, 1, None),
        "no age": ("u", "a", None, None), "too old": ("u", "a", 1000, None), "nothing": (None, None, None, None),
    }  # fmt: skip
    drawn = data.draw(st.lists(st.sampled_from(list(kinds)), max_size=40))
    bad, pairs = check(table_of([kinds[kind] for kind in drawn]), size=size)
    assert sorted(row for row, *_ in found(bad)) == [row for row, kind in enumerate(drawn) if kind != "good"]
    assert [row for part in pairs for row in part.rows.tolist()] == [
        row for row, kind in enumerate(drawn) if kind == "good"
    ]
    assert all(
        not array.null_count for part in pairs for array in (part.user, part.candidate, *part.feeds.values())
    )
    assert bad.rows == len(drawn)
    assert sum(bad.left_out.pairs.values()) == bad.count == len(bad.rejects.rows)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(1, 12), cap=st.integers(0, 6))
def test_what_is_told_is_the_first_rows_up_to_the_cap_and_the_first_of_each_kind(data, size, cap):
    kinds = {
        "good": (GOOD, None),
        "no user": ((None, "a", 1, None), ("user_id", "null id")),
        "no item": (("u", None, 1, None), ("item_id", "null id")),
        "no age": (("v", "a", None, None), ("age", "null feature")),
        "too old": (("w", "a", 1000, None), ("age", "not a whole number that int8 holds")),
    }
    drawn = data.draw(st.lists(st.sampled_from(list(kinds)), max_size=40))
    with mock.patch.object(rejects, "REJECTS_CAP", cap):
        bad, _ = check(table_of([kinds[kind][0] for kind in drawn]), size=size)
    wrong = [(row, *kinds[kind][1]) for row, kind in enumerate(drawn) if kind != "good"]
    assert [reject[:3] for reject in found(bad)] == wrong[:cap]
    firsts = {}
    for row, *kind in wrong:
        firsts.setdefault(tuple(kind), row)
    assert [(reject.kind, reject.row) for reject in bad.rejects.in_order()] == list(firsts.items())
    assert bad.count == len(wrong)
    assert bad.left_out.pairs == Counter(reason for _, _, reason in wrong)
    users = {"no item": "u", "no age": "v", "too old": "w"}
    assert users_of(bad) == {users[kind] for kind in drawn if kind in users}


def test_kept_columns_may_be_null_but_not_invalid():
    binding = binding_of(keep={"remark": "note"})
    bad, pairs = check(table_of([("u", "a", 1, None), ("u", "a", 1, "x")]), binding)
    assert bad.count == 0
    assert pairs[0].kept[0].to_pylist() == [None, "x"]


def test_dictionaries_are_read_as_their_values():
    schema = pa.schema([(name, pa.dictionary(pa.int8(), pa.string())) for name in ("user_id", "item_id")])
    ids = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2], pa.int8()), pa.array(["u", "unused", None]))
    table = pa.table([ids, pa.array(["a"] * 4).dictionary_encode()], schema.names)
    binding = binding_of(table.schema, signature=signature_of(user_id="string", item_id="string"))
    bad, pairs = check(table, binding)
    assert [row for row, *_ in found(bad)] == [2, 3]
    assert pairs[0].user.to_pylist() == ["u", "unused"]
    assert pairs[0].user.type == pa.dictionary(pa.int32(), pa.string())


# invalid UTF-8


def raw_text(items, type_=None):
    """An array of string type whose bytes nobody has checked."""
    binary = pa.array(items, pa.binary())
    if type_ == pa.string_view():
        views = binary.cast(pa.binary_view())
        return pa.Array.from_buffers(type_, len(views), views.buffers(), views.null_count)
    if type_ == pa.large_string():
        wide = binary.cast(pa.large_binary())
        return pa.Array.from_buffers(type_, len(wide), wide.buffers(), wide.null_count)
    return pa.Array.from_buffers(pa.string(), len(binary), binary.buffers(), binary.null_count)


@pytest.mark.parametrize(
    ("type_", "encoded"),
    [(pa.string(), False), (pa.string(), True), (pa.large_string(), False), (pa.large_string(), True),
     (pa.string_view(), False)],
    ids=str,
)  # fmt: skip
def test_invalid_utf8_in_any_text_column_is_a_bad_row(type_, encoded):
    users = raw_text([b"u", b"\xff\xfe", None, b"caf\xc3", b"\xed\xa0\x80", "ü".encode(), b"u"], type_)
    if encoded:
        users = pa.DictionaryArray.from_arrays(pa.array(range(7), pa.int8()), users)
    notes = raw_text([None, b"", b"", b"", b"", b"fine", b"\x80"])
    items = pa.array(["a"] * 7)
    table = pa.table([users, items, notes], ["user_id", "item_id", "note"])
    binding = binding_of(table.schema, signature=signature_of(user_id="string", item_id="string"), keep=["note"])
    bad, pairs = check(table, binding)
    assert sorted(found(bad)) == [
        (1, "user_id", "invalid UTF-8", r"b'\xff\xfe'"),
        (2, "user_id", "null id", None),
        (3, "user_id", "invalid UTF-8", r"b'caf\xc3'"),
        (4, "user_id", "invalid UTF-8", r"b'\xed\xa0\x80'"),
        (6, "note", "invalid UTF-8", r"b'\x80'"),
    ]
    assert pairs[0].user.to_pylist() == ["u", "ü"]
    text = pa.large_string() if type_ == pa.string_view() else type_
    assert pairs[0].user.type in (text, pa.dictionary(pa.int32(), text))


def test_bytes_that_a_parquet_file_calls_text_are_checked(tmp_path):
    path = tmp_path / "pairs.parquet"
    users = raw_text([b"u1", b"\xff", b"u3"])
    pq.write_table(pa.table([users, pa.array(["a", "b", "c"])], ["user_id", "item_id"]), path)
    pairs = open_pairs(path)
    binding = binding_of(pairs.schema, signature=signature_of(user_id="string", item_id="string"))
    bad = BadRows(OFF, pairs.row_count.known)
    usable = list(bad.drop_unusable(pairs.batches(binding.columns), binding))
    assert found(bad) == [(1, "user_id", "invalid UTF-8", r"b'\xff'")]
    assert usable[0].candidate.to_pylist() == ["a", "c"]


# values of any type can be told


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (pa.array([2**62], pa.timestamp("s")), "int8"),
        (pa.array([2**62 + 1], pa.timestamp("s", "Mars/Olympus")), "float32"),
        (pa.array([2**62 + 1], pa.timestamp("ns")), "int8"),
        (pa.array([2**31 - 1], pa.int32()).view(pa.date32()), "int8"),
        (pa.array([2**62], pa.int64()).view(pa.date64()), "int8"),
        (pa.array(["9" * 70]).cast(pa.decimal256(76, 0)), "float32"),
        (pa.array([1e300]), "float32"),
        (pa.array(["x" * 1000]), "int8"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else value,
)
def test_a_bad_value_of_any_type_is_told_and_short(array, dtype):
    table = pa.table([pa.array(["u"]), pa.array(["a"]), array], ["user_id", "item_id", "x"])
    binding = binding_of(table.schema, signature=signature_of(user_id="string", item_id="string", x=dtype))
    bad, _ = check(table, binding)
    assert bad.count == 1
    assert 0 < len(bad.rejects.rows[0].value) <= 200


# fills


def test_fills_stand_in_for_nulls_and_are_counted_for_the_rows_that_go_on():
    table = table_of([("u", "a", None, None), ("u", "a", 5, None), (None, "a", None, None), ("u", "b", None, None)])
    bad, pairs = check(table, binding_of(fill={"age": "7"}))
    assert pairs[0].feeds["age"].to_pylist() == [7, 5, 7]
    assert bad.filled == {"age": 2}
    assert found(bad) == [(2, "user_id", "null id", None)]


def test_a_fill_does_not_hide_a_value_that_cannot_be_cast():
    bad, pairs = check(table_of([("u", "a", 1000, None), ("u", "a", None, None)]), binding_of(fill={"age": "7"}))
    assert found(bad) == [(0, "age", "not a whole number that int8 holds", "1000")]
    assert pairs[0].feeds["age"].to_pylist() == [7]


# budgets


def bad_table(total, bad_rows):
    return table_of([(None, "a", 1, None) if row in bad_rows else GOOD for row in range(total)])


@pytest.mark.parametrize(
    ("budget", "total", "count", "refused"),
    [
        ("0", 10, 0, False),
        ("0", 10, 1, True),
        ("2", 10, 2, False),
        ("2", 10, 3, True),
        ("10%", 30, 3, False),
        ("10%", 30, 4, True),
        ("29%", 100, 29, False),
        ("100%", 5, 5, False),
        ("off", 5, 5, False),
    ],
)
def test_the_budget_is_what_may_be_bad_and_not_a_row_more(budget, total, count, refused):
    table = bad_table(total, range(total - count, total))
    if not refused:
        bad, pairs = check(table, budget=Limit.parse(budget), size=4)
        assert (bad.count, sum(map(len, pairs))) == (count, total - count)
        return
    with pytest.raises(InputError) as caught:
        check(table, budget=Limit.parse(budget), size=4)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-BAD-ROWS", 3)
    message = str(caught.value)
    assert f"{count:,} bad row" in message
    assert f"pairs.parquet, row {total - count:,}, column user_id: null id" in message
    assert f"at most {budget} of {total:,} rows (--max-bad-rows)" in message


def test_over_the_budget_the_rest_is_only_checked_and_the_count_is_whole():
    table = bad_table(100, {10, 55, 56, 99})
    bad = BadRows(Limit.parse("1"), 100)
    passed = []
    with pytest.raises(InputError, match=r"E-BAD-ROWS: 4 bad rows"):
        passed.extend(bad.drop_unusable(batches_of(table, 10), binding_of()))
    assert (bad.count, bad.rows) == (4, 100)
    assert [reject.row for reject in bad.rejects.rows] == [10, 55, 56, 99]


def test_over_the_budget_nothing_more_is_passed_on():
    bad = BadRows(Limit.parse("0"), 30)
    passed = []
    with pytest.raises(InputError):  # noqa: PT012 - what came before the refusal is the point
        for pairs in bad.drop_unusable(batches_of(bad_table(30, {10}), 10), binding_of()):
            passed += pairs.rows.tolist()
    assert passed == list(range(10))


# scores


def scored(scores, failures=None, first_row=0, dtype=np.float32):
    rows = range(first_row, first_row + len(scores))
    table = table_of([(f"u{row}", "a", 1, None) for row in rows])
    _, pairs = check(table)
    return ScoredPairs(pairs[0], np.array(scores, dtype), failures or {})


def test_scores_that_are_not_finite_are_bad_rows():
    bad = BadRows(OFF, 6)
    batch = scored([1.0, np.nan, -np.inf, 2.0, np.inf, 0.0], {1: "E-MODEL-RUN: no such id"})
    kept = list(bad.drop_unranked(iter([batch])))
    assert kept[0].scores.tolist() == [1.0, 2.0, 0.0]
    assert kept[0].pairs.user.to_pylist() == ["u0", "u3", "u5"]
    assert found(bad) == [
        (1, "score", "the model failed on the row", "E-MODEL-RUN: no such id"),
        (2, "score", "score is not finite", "-inf"),
        (4, "score", "score is not finite", "inf"),
    ]
    assert (bad.scored, bad.finite) == (6, 3)
    assert users_of(bad) == {"u1", "u2", "u4"}


def test_a_finite_score_that_float32_cannot_hold_is_a_bad_row():
    bad = BadRows(OFF, 5)
    kept = list(bad.drop_unranked(iter([scored([1e-300, 3.5e38, np.nan, -1e300, 3.4e38], dtype=np.float64)])))
    assert kept[0].scores.tolist() == [1e-300, 3.4e38]
    assert found(bad) == [
        (1, "score", "score overflows float32", "3.5e+38"),
        (2, "score", "score is not finite", "nan"),
        (3, "score", "score overflows float32", "-1e+300"),
    ]


def test_pairs_without_an_integer_score_are_those_on_which_the_model_failed():
    bad = BadRows(OFF, 3)
    kept = list(bad.drop_unranked(iter([scored([2**63 - 1, 0, 0], {1: "no such id"}, dtype=np.int64)])))
    assert kept[0].scores.tolist() == [2**63 - 1, 0]
    assert kept[0].scores.dtype == np.int64
    assert found(bad) == [(1, "score", "the model failed on the row", "no such id")]


def test_a_score_that_is_not_finite_uses_up_the_same_budget():
    bad = BadRows(Limit.parse("1"), 10)
    list(bad.drop_unusable(batches_of(bad_table(10, {3})), binding_of()))
    with pytest.raises(InputError) as caught:
        list(bad.drop_unranked(iter([scored([1.0, np.nan])])))
    assert caught.value.error_id == "E-BAD-ROWS"
    assert "null id: 1; score is not finite: 1" in str(caught.value)


@pytest.mark.parametrize("budget", ["2", "20%"])
def test_a_budget_for_rows_that_nobody_counted_before_is_kept(budget):
    bad = BadRows(Limit.parse(budget), None)
    passed = list(bad.drop_unusable(batches_of(bad_table(10, {0, 1}), size=5), binding_of()))
    assert [len(pairs) for pairs in passed] == [3, 5]


@pytest.mark.parametrize("budget", ["1", "19%"])
def test_a_share_of_rows_that_nobody_counted_before_is_settled_at_the_end(budget):
    bad = BadRows(Limit.parse(budget), None)
    with pytest.raises(InputError, match="of 10 rows"):
        list(bad.drop_unusable(batches_of(bad_table(10, {0, 1}), size=5), binding_of()))


@pytest.mark.parametrize("budget", ["0", "100%", "off"])
def test_where_no_score_is_finite_the_model_is_at_fault(budget):
    bad = BadRows(Limit.parse(budget), 4)

    def run():
        list(bad.drop_unranked(iter([scored([np.nan, np.inf]), scored([np.nan, np.nan], first_row=2)])))
        bad.require_some_finite()

    with pytest.raises(ModelError) as caught:
        run()
    assert (caught.value.error_id, caught.value.exit_code) == ("E-MODEL-NONFINITE", 4)


def test_no_pairs_at_all_are_nobodys_fault():
    bad = BadRows(Limit.parse("0"), 0)
    list(bad.drop_unranked(iter([])))
    bad.require_some_finite()
    bad.require_within_budget()


# the rejects file


def test_rejects_are_json_lines_of_five_keys(tmp_path):
    bad, _ = check(table_of([("ü\n", None, 1, None), GOOD, ("u", "a", 1000, None)]))
    bad.rejects.write(tmp_path / "rejects.jsonl", bad.count)
    lines = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert lines == [
        {"file": "pairs.parquet", "row": 0, "column": "item_id", "reason": "null id", "value": None},
        {"file": "pairs.parquet", "row": 2, "column": "age", "reason": "not a whole number that int8 holds",
         "value": "1000"},
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["rejects.jsonl"]


@pytest.mark.parametrize(("count", "last"), [(5, None), (6, {"written": 5, "total": 6})])
def test_the_file_is_capped_with_the_total_stated(tmp_path, count, last):
    with mock.patch.object(rejects, "REJECTS_CAP", 5):
        bad, _ = check(bad_table(10, range(count)))
        bad.rejects.write(tmp_path / "rejects.jsonl", bad.count)
    lines = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [line.get("row") for line in lines[:5]] == [0, 1, 2, 3, 4]
    assert lines[5:] == ([] if last is None else [last])
    assert bad.count == count


def test_rejects_that_cannot_be_written_leave_no_half_file(tmp_path, monkeypatch):
    bad, _ = check(bad_table(1, {0}))
    target = tmp_path / "rejects.jsonl"
    target.write_text("old\n")
    monkeypatch.setattr(Path, "replace", mock.Mock(side_effect=OSError))
    with pytest.raises(OSError):  # noqa: PT011 - any will do
        bad.rejects.write(target, bad.count)
    assert target.read_text() == "old\n"


def test_the_message_names_the_flag_or_the_type_that_would_take_the_rows():
    seconds = pa.array([1_709_251_201, None, 3], pa.int64())
    schema = pa.schema([("user_id", pa.string()), ("movie_id", pa.string()), ("at", pa.int64())])
    specs = {name: TensorSpec(name, name, "string", (None,)) for name in ("user_id", "movie_id")}
    specs["at"] = TensorSpec("at", "at", "float32", (None,))
    signature = Signature("s", specs, {})
    how = RunSettings(input="i", output="o", candidate_column="movie_id")
    binding = bind(schema, signature, None, how)
    ids = pa.array(["a", "b", "c"])
    table = pa.record_batch([ids, ids, seconds], names=schema.names)
    with pytest.raises(InputError) as caught:
        list(BadRows(Limit.parse(0), 3).drop_unusable(iter([PairBatch("f", 0, table)]), binding))
    step = str(caught.value).splitlines()[-1]
    assert "float32 is exact for whole numbers up to 16,777,216 and cannot hold epoch seconds" in step
    assert "a column of double is rounded; --fill at replaces the nulls of at; " in step
