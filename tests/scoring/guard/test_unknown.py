"""Unknown ids: distinct counts against sets, limits, and the early decision that reads only the ids."""

from __future__ import annotations

from unittest import mock

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchscore.errors import ModelError, RefusedError
from batchscore.report_parts import KnownIds
from batchscore.scoring.guard import unknown
from batchscore.scoring.guard.unknown import IdRole, NoLookUpError, UnknownIds, watch_unknown
from batchscore.scoring.pairs import ScorablePairs
from batchscore.settings.limits import Limit

OFF = Limit.parse("off")
HALF = Limit.parse("50%")


def pairs_of(users, candidates=None, type_=None):
    users = pa.array(users, type_ or pa.large_string())
    candidates = users if candidates is None else pa.array(candidates, pa.large_string())
    return ScorablePairs("f", np.arange(len(users)), users, candidates, [], {"u": users, "c": candidates}, {})


class Vocabulary:
    """A look-up that remembers what it was asked."""

    def __init__(self, known):
        self.known = set(known)
        self.asked = []

    def __call__(self, ids):
        assert pa.types.is_large_string(ids.type) or pa.types.is_integer(ids.type), ids.type
        assert len(ids), "the model is not asked for nothing"
        assert not ids.null_count
        self.asked += ids.to_pylist()
        return pl.Series([item in self.known for item in ids.to_pylist()], dtype=pl.Boolean)


def role(known, limit=OFF, name="user", input_="u", reason=None):
    known = None if known is None else known if callable(known) else Vocabulary(known)
    return IdRole(name, input_, limit, f"E-UNKNOWN-{name.upper()}S", known, reason, f"{name} id")


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    kind=st.sampled_from(["text", "int"]),
    first_look=st.integers(1, 30),
)
def test_distinct_ids_are_counted_once_whatever_the_batches(data, kind, first_look):
    ids = (
        st.text(max_size=2)
        if kind == "text"
        else st.sampled_from([-(2**63), -1, 0, 1, 2**53, 2**53 + 1, 2**63 - 1])
    )
    type_ = pa.large_string() if kind == "text" else pa.int64()
    batches = data.draw(st.lists(st.lists(ids, max_size=12), max_size=8))
    every = {item for batch in batches for item in batch}
    vocabulary = Vocabulary(data.draw(st.sets(st.sampled_from(sorted(every)) if every else st.nothing())))
    counted = UnknownIds(role(vocabulary))
    with mock.patch.object(unknown, "_FIRST_LOOK_ROWS", first_look):
        for batch in batches:
            counted.add(pairs_of(batch, type_=type_))
    expected = KnownIds(known=len(vocabulary.known), unknown=len(every - vocabulary.known))
    assert counted.counts() == expected
    assert counted.counts() == expected, "asking changes nothing"
    assert sorted(vocabulary.asked) == sorted(every), "each distinct id is looked up once"


@settings(max_examples=100, deadline=None)
@given(data=st.data(), first_look=st.integers(1, 30))
def test_ids_in_dictionaries_are_counted_as_sets_count_them(data, first_look):
    """Dictionaries come again, change, share values, repeat them, and hold ids and nulls that no row has."""
    names = st.sampled_from([*"abcdefgh", ""])
    dictionaries = data.draw(st.lists(st.lists(names, min_size=1, max_size=6), min_size=1, max_size=3))
    batches = []
    for dictionary in data.draw(st.lists(st.sampled_from(dictionaries), max_size=10)):
        indices = data.draw(st.lists(st.integers(0, len(dictionary) - 1), max_size=8))
        values = pa.array([*dictionary, None], pa.large_string())
        batches.append(pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), values))
    if data.draw(st.booleans()):
        batches.append(pa.array(data.draw(st.lists(names, max_size=5)), pa.large_string()))
    every = {item for batch in batches for item in batch.to_pylist()}
    vocabulary = Vocabulary(data.draw(st.sets(st.sampled_from("aceg"))))
    counted = UnknownIds(role(vocabulary))
    with mock.patch.object(unknown, "_FIRST_LOOK_ROWS", first_look):
        for batch in batches:
            counted.add(ScorablePairs("f", np.arange(len(batch)), batch, batch, [], {"u": batch}, {}))
    expected = KnownIds(known=len(every & vocabulary.known), unknown=len(every - vocabulary.known))
    assert counted.counts() == expected
    assert sorted(vocabulary.asked) == sorted(every), "each distinct id is looked up once"


def test_a_model_without_a_look_up_says_why_and_never_refuses():
    counted = UnknownIds(role(None, Limit.parse("0"), reason="its values are hashed: there is no vocabulary"))
    counted.add(pairs_of(["a"]))
    counted.require_within_limit()
    assert counted.counts() == KnownIds(reason="its values are hashed: there is no vocabulary")


def test_an_id_that_the_model_does_not_take_is_not_counted():
    counted = UnknownIds(role([], Limit.parse("0"), input_=None, reason="the model has no input for it"))
    counted.add(pairs_of(["a"]))
    counted.require_within_limit()
    assert counted.counts() == KnownIds(reason="the model has no input for it")


@pytest.mark.parametrize(
    ("limit", "known", "unknown", "refused"),
    [
        ("50%", 2, 2, False),
        ("50%", 2, 3, True),
        ("0", 5, 0, False),
        ("0", 5, 1, True),
        ("3", 0, 3, False),
        ("3", 0, 4, True),
        ("off", 0, 9, False),
        ("100%", 0, 9, False),
        ("50%", 0, 0, False),
    ],
)
def test_limits_are_on_distinct_ids(limit, known, unknown, refused):
    inside, outside = [f"k{number}" for number in range(known)], [f"x{number}" for number in range(unknown)]
    counted = UnknownIds(role(inside, Limit.parse(limit)))
    for _ in range(3):
        counted.add(pairs_of(inside + outside * 5))
    if not refused:
        counted.require_within_limit()
        return
    with pytest.raises(RefusedError) as caught:
        counted.require_within_limit()
    assert (caught.value.error_id, caught.value.exit_code) == ("E-UNKNOWN-USERS", 6)
    message = str(caught.value)
    assert f"{unknown} of {known + unknown} distinct users are unknown to the model" in message
    assert f"at most {limit} (--max-unknown-users)" in message
    assert "such as 'x0'" in message
    assert "--max-unknown-users off" in message


def test_at_most_five_examples_are_told_and_they_are_unknown_ones():
    counted = UnknownIds(role(["k"], Limit.parse("0")))
    with mock.patch.object(unknown, "_FIRST_LOOK_ROWS", 1):
        for start in range(0, 9, 3):
            counted.add(pairs_of(["k", *(f"x{number}" for number in range(start, start + 3))]))
    with pytest.raises(RefusedError, match=r"such as 'x0', 'x1', 'x2', 'x3', 'x4'\n"):
        counted.require_within_limit()


# the early decision


def watch(batches, roles, all_ids, first_look):
    read = []

    def read_all_ids():
        for ids in all_ids:
            read.append(ids)
            yield ids

    passed = []
    refusal = None
    with mock.patch.object(unknown, "_FIRST_LOOK_ROWS", first_look):
        try:
            passed.extend(watch_unknown(iter(batches), roles, read_all_ids))
        except RefusedError as error:
            refusal = error
    return passed, read, refusal


def test_a_wrong_column_is_refused_on_the_first_rows_before_anything_is_scored():
    batches = [pairs_of([f"x{batch}-{row}" for row in range(10)]) for batch in range(20)]
    passed, read, refusal = watch(batches, [UnknownIds(role(["k"], HALF))], batches, first_look=10)
    assert refusal is not None
    assert passed == [], "no batch may reach the scorer"
    assert read == batches, "all ids were read, so the count is whole"
    assert "200 of 200 distinct users" in str(refusal)


def test_first_rows_that_only_look_bad_do_not_refuse_a_good_file():
    batches = [pairs_of(["x1", "x2", "x3"]), pairs_of(["a", "b", "c", "d"])]
    counted = UnknownIds(role("abcd", HALF))
    passed, read, refusal = watch(batches, [counted], batches, first_look=2)
    assert (passed, read, refusal) == (batches, batches, None)
    assert counted.counts() == KnownIds(known=4, unknown=3)


def test_first_rows_that_look_good_cost_no_second_reading():
    batches = [pairs_of(["a", "b"]), pairs_of(["x1", "x2", "x3"])]
    passed, read, refusal = watch(batches, [UnknownIds(role("ab", HALF))], batches, first_look=2)
    assert (passed, read) == (batches, [])
    assert "3 of 5" in str(refusal)


def test_the_second_reading_happens_once():
    batches = [pairs_of(["x1", "x2"]), pairs_of(["a", "b"]), pairs_of(["x3"])]
    passed, read, refusal = watch(batches, [UnknownIds(role("ab", Limit.parse("60%")))], batches, first_look=2)
    assert (passed, read, refusal) == (batches, batches, None)


def test_each_role_has_its_own_limit():
    batches = [pairs_of(["a", "b"], ["x1", "x2"])]
    roles = [
        UnknownIds(role("ab", Limit.parse("0"))),
        UnknownIds(role("ab", Limit.parse("1"), name="candidate", input_="c")),
    ]
    _, _, refusal = watch(batches, roles, batches, first_look=100)
    assert refusal.error_id == "E-UNKNOWN-CANDIDATES"
    assert "at most 1 (--max-unknown-candidates)" in str(refusal)


def test_a_small_file_is_decided_at_its_end():
    batches = [pairs_of(["x1"])]
    passed, read, refusal = watch(batches, [UnknownIds(role("a", HALF))], batches, first_look=10)
    assert (passed, read) == (batches, [])
    assert refusal.error_id == "E-UNKNOWN-USERS"


def test_no_rows_are_within_every_limit():
    passed, _, refusal = watch([], [UnknownIds(role("a", Limit.parse("0")))], [], first_look=10)
    assert (passed, refusal) == ([], None)


def test_a_model_that_turns_out_not_to_tell_is_not_asked_again():
    asked = []

    def cannot_tell(ids):
        asked.append(len(ids))
        raise NoLookUpError("its table cannot be looked up: gone")

    counted = UnknownIds(role(cannot_tell, Limit.parse("0")))
    for _ in range(2):
        counted.add(pairs_of(["a", "b"]))
        assert counted.counts() == KnownIds(reason="its table cannot be looked up: gone")
        assert not counted.exceeded()
    assert asked == [2]


def test_a_look_up_that_fails_on_ids_ends_the_run():
    failure = ModelError("E-MODEL-RUN", "the model failed in the table that knows users", next_step="roll back")
    counted = UnknownIds(role(mock.Mock(side_effect=failure), Limit.parse("0")))
    counted.add(pairs_of(["a"]))
    with pytest.raises(ModelError):
        counted.counts()


USERS, ITEMS = [f"u{n}" for n in range(30)], [f"m{n}" for n in range(30)]


def refusal_of(users, candidates, user_known=USERS, candidate_known=ITEMS):
    roles = [
        UnknownIds(role(user_known, HALF)), UnknownIds(role(candidate_known, HALF, "candidate", "c")),
    ]  # fmt: skip
    with pytest.raises(RefusedError) as caught:
        list(watch_unknown(iter([pairs_of(users, candidates)]), roles, lambda: iter([])))
    return str(caught.value)


def test_swapped_ids_are_called_swapped():
    message = refusal_of(ITEMS, USERS)
    assert message.startswith("E-UNKNOWN-USERS: 30 of 30 distinct users")
    assert "next:     user and candidate column look swapped: the model knows these users as candidates" in message
    assert (
        "to swap them, add --user-column 'candidate id' --map 'u=candidate id' "
        "--candidate-column 'user id' --map 'c=user id'; accept once with --max-unknown-users off "
        "--max-unknown-candidates off"
    ) in message
    assert "check that" not in message, "that flag alone would not put it right"


def test_candidates_in_the_place_of_users_are_called_that():
    message = refusal_of(ITEMS, ITEMS)
    assert "the model knows these users as candidates: does --user-column name the candidate column?" in message
    message = refusal_of(USERS, USERS)
    assert message.startswith("E-UNKNOWN-CANDIDATES")
    assert "the model knows these candidates as users: does --candidate-column name the user column?" in message


def test_ids_that_nobody_knows_are_not_called_swapped():
    assert "swapped" not in refusal_of([f"x{n}" for n in range(30)], USERS)

    def broken(ids):
        if ids[0].as_py().startswith("m"):
            raise ModelError("E-MODEL-RUN", "no such dtype", next_step="n")
        return np.zeros(len(ids), bool)

    assert "next:     check that --user-column" in refusal_of(ITEMS, USERS, candidate_known=broken)


def test_an_example_of_half_a_megabyte_is_short():
    message = refusal_of(["x" * 500_000, "y"], ["m1", "m2"])
    assert len(message) < 1_000
