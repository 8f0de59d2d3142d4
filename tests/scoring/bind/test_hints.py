"""Hints to paste: right or refused, and no column twice."""

from __future__ import annotations

import shlex
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.errors import UsageError
from batchscore.savedmodel.card import ModelCard, Probes
from batchscore.savedmodel.saved_model import Signature, TensorSpec
from batchscore.savedmodel.vocabulary import InputVocabulary, LookUpTable
from batchscore.scoring.bind.binding import bind
from batchscore.scoring.bind.evidence import VocabularyEvidence
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings

STRINGS = {"uid": "string", "iid": "string"}


def signature_of(inputs):
    specs = {name: TensorSpec(name, f"{name}:0", dtype, (None,)) for name, dtype in inputs.items()}
    return Signature("serving_default", specs, {})


def paste(message):
    """The settings that the last line's flags make."""
    step = message.splitlines()[-1].removeprefix("  next:").strip()
    line = step.removeprefix("add ") if step.startswith("add --") else ""
    words = shlex.split(line.partition("; no other column")[0].partition(" in place of")[0])
    flags: dict[str, object] = {"input": "i", "output": "o"}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        key = flag.removeprefix("--").replace("-", "_")
        flags[key] = [*flags.get(key, []), value] if key in ("map", "set") else value
    return resolve(RunSettings, "run", flags, environ={}).settings


def bind_or_hint(schema, signature, settings, evidence=None, card=None):
    try:
        return bind(schema, signature, card, settings, evidence)
    except UsageError as error:
        return str(error)


def evidence_of(columns, vocabularies):
    """`columns` maps names to values, `vocabularies` inputs to ids."""

    def table(ids):
        return LookUpTable(
            "t", "HashTableV2", "string", "int64", len(ids), "the graph", lambda count: list(ids)[:count]
        )

    found = {name: InputVocabulary(table(ids), "it is looked up") for name, ids in vocabularies.items()}
    return VocabularyEvidence(lambda column: pa.array(columns[column]), lambda: found)


def hinted(columns, vocabularies, inputs=None):
    """What binds after the hint was pasted, or the second message."""
    schema = pa.schema([(name, pa.array(values).type) for name, values in columns.items()])
    signature, evidence = signature_of(inputs or STRINGS), evidence_of(columns, vocabularies)
    message = bind_or_hint(schema, signature, RunSettings(input="i", output="o"), evidence)
    again = bind_or_hint(schema, signature, paste(message), evidence)
    return again if isinstance(again, str) else {item.input.name: item.column for item in again.inputs}


USERS, ITEMS = [f"u{n}" for n in range(50)], [f"m{n}" for n in range(80)]
NAMES = st.sampled_from(
    ["user_id", "uid", "movie_id", "iid", "User_ID", "movieId", "item", "x", "COLUMN", "a b", "--map", "it's", "=",
     "age", "score"]
)  # fmt: skip
TYPES = st.sampled_from(
    [pa.string(), pa.int64(), pa.int8(), pa.float64(), pa.bool_(), pa.list_(pa.string()), pa.date32(),
     pa.dictionary(pa.int32(), pa.string()), pa.null()]
)  # fmt: skip
DTYPES = st.sampled_from(["string", "int64", "int32", "float32", "bool"])


@given(
    inputs=st.dictionaries(NAMES.filter(lambda name: "=" not in name), DTYPES, min_size=1, max_size=4),
    columns=st.dictionaries(NAMES, TYPES, max_size=5),
    with_card=st.booleans(),
)
def test_a_pasted_hint_binds_each_input_from_a_column_of_its_own_or_is_refused(inputs, columns, with_card):
    schema, signature = pa.schema(list(columns.items())), signature_of(inputs)
    names = list(inputs)
    card = ModelCard(
        signature="serving_default", score_output="s", user_input=names[0], candidate_input=names[-1],
        probes=Probes(inputs={}, scores=[]),
    ) if with_card else None  # fmt: skip
    first = bind_or_hint(schema, signature, RunSettings(input="i", output="o"), card=card)
    if not isinstance(first, str):
        return
    pasted = paste(first)
    again = bind_or_hint(schema, signature, pasted, card=card)
    named = Counter(column for column in pasted.map.values() if column in schema.names)
    assert not [column for column, times in named.items() if times > 1]
    if isinstance(again, str):
        assert "E-BINDING" in again
    else:
        fed = Counter(item.column for item in again.inputs)
        assert max(fed.values(), default=1) == 1
        for name, column in pasted.map.items():
            plain = [text.lower().replace("_", "") for text in (name, column)]
            assert plain[0] == plain[1], "without a vocabulary only the name tells"


def test_the_vocabularies_tell_which_column_is_which():
    found = hinted({"user_id": USERS, "movie_id": ITEMS}, {"uid": USERS, "iid": ITEMS})
    assert found == {"uid": "user_id", "iid": "movie_id"}
    swapped = hinted({"user_id": ITEMS, "movie_id": USERS}, {"uid": USERS, "iid": ITEMS})
    assert swapped == {"uid": "movie_id", "iid": "user_id"} or "E-BINDING" in swapped


def test_without_vocabularies_no_column_is_guessed():
    assert "E-BINDING" in hinted({"user_id": USERS, "movie_id": ITEMS}, {})
    assert "E-BINDING" in hinted({"user_id": USERS, "movie_id": ITEMS}, {"uid": USERS})


def test_numbers_are_told_apart_where_one_vocabulary_is_larger():
    users, items = list(range(1, 944)), list(range(1, 1683))
    found = hinted({"user_id": users, "movie_id": items}, {"uid": users, "iid": items})
    assert found == {"uid": "user_id", "iid": "movie_id"}
    assert "E-BINDING" in hinted({"user_id": items, "movie_id": items}, {"uid": items, "iid": items})


def test_ages_are_not_taken_for_ids_although_the_vocabulary_knows_them():
    users, items = list(range(1, 944)), [f"m{n}" for n in range(80)]
    columns = {"user": [f"member-{n}" for n in users], "age": list(range(10, 90)), "movie_id": items}
    assert "E-BINDING" in hinted(columns, {"uid": users, "iid": items})


def test_a_vocabulary_that_does_not_know_the_values_rules_a_name_out():
    columns = {"user_id": USERS, "movieId": [f"title {n}" for n in range(80)]}
    assert "E-BINDING" in hinted(columns, {"movie_id": ITEMS}, {"user_id": "string", "movie_id": "string"})
    columns["movieId"] = ITEMS
    assert hinted(columns, {"movie_id": ITEMS}, {"user_id": "string", "movie_id": "string"}) == {
        "user_id": "user_id", "movie_id": "movieId"
    }  # fmt: skip


@pytest.mark.parametrize("failure", [OSError("gone"), pa.ArrowInvalid("page"), StopIteration()])
def test_values_that_cannot_be_read_tell_nothing(failure):
    def read(_):
        raise failure

    table = LookUpTable("t", "HashTableV2", "string", "int64", 1, "the graph", lambda _: ["a"])
    evidence = VocabularyEvidence(read, lambda: {"uid": InputVocabulary(table, "")})
    assert evidence.knows("uid", "user_id") is None
    assert VocabularyEvidence(lambda _: pa.array(["a"]), lambda: read(0)).knows("uid", "user_id") is None
