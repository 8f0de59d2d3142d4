"""Binding: which column feeds which input, and every problem at once with flags to paste."""

from __future__ import annotations

import shlex
from pathlib import Path

import pyarrow as pa
import pytest

from batchscore.errors import UsageError
from batchscore.savedmodel.card import ModelCard, Probes
from batchscore.savedmodel.saved_model import Signature, TensorSpec
from batchscore.scoring.bind.binding import bind
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings

PAIRS = pa.schema(
    [("user_id", pa.string()), ("movie_id", pa.int64()), ("age", pa.int64()), ("price", pa.float64())]
)


def signature_of(**inputs):
    """Inputs as `dtype` or `(dtype, shape)`."""
    specs = {}
    for name, how in inputs.items():
        dtype, shape = how if isinstance(how, tuple) else (how, (None,))
        specs[name] = TensorSpec(name, f"serve_{name}:0", dtype, shape)
    return Signature("serving_default", specs, {"score": TensorSpec("score", "s:0", "float32", (None,))})


BOTH = signature_of(user_id="string", movie_id="string")


def card_of(user="user_id", candidate="movie_id"):
    return ModelCard(
        signature="serving_default", score_output="score", user_input=user, candidate_input=candidate,
        probes=Probes(inputs={}, scores=[]),
    )  # fmt: skip


def settings_of(**how):
    return RunSettings(input="pairs.parquet", output="ranked.parquet", **how)


def refused(schema, signature, card=None, error_id="E-BINDING", **how):
    with pytest.raises(UsageError) as caught:
        bind(schema, signature, card, settings_of(**how))
    assert (caught.value.error_id, caught.value.exit_code) == (error_id, 2)
    return str(caught.value)


def fed(binding):
    return {bound.input.name: bound.column for bound in binding.inputs}


# what binds


def test_columns_bind_by_name_and_the_rest_is_not_read():
    binding = bind(PAIRS, BOTH, None, settings_of())
    assert fed(binding) == {"user_id": "user_id", "movie_id": "movie_id"}
    assert (binding.user, binding.candidate) == ("user_id", "movie_id")
    assert (binding.user_input, binding.candidate_input) == ("user_id", "movie_id")
    assert binding.columns == ["user_id", "movie_id"]
    assert binding.schema == pa.schema([
        pa.field("user_id", pa.string(), nullable=False), pa.field("movie_id", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False), pa.field("rank", pa.int32(), nullable=False),
    ])  # fmt: skip


@pytest.mark.parametrize("shape", [(None,), (None, 1), (8,), (8, 1), None])
def test_inputs_of_one_value_a_row_bind_whatever_their_shape(shape):
    signature = signature_of(user_id=("string", shape), movie_id=("string", shape))
    assert len(bind(PAIRS, signature, None, settings_of()).inputs) == 2


def test_a_list_shaped_input_is_refused():
    message = refused(PAIRS, signature_of(user_id="string", movie_id=("string", (None, 20))))
    assert (
        "movie_id string [n, 20] takes a list of 20 values per row, and a column has one value per pair" in message
    )


def test_map_feeds_an_input_from_another_column_and_moves_the_id_with_it():
    schema = pa.schema([("uid", pa.string()), ("item", pa.int64())])
    binding = bind(schema, BOTH, card_of(), settings_of(map={"user_id": "uid", "movie_id": "item"}))
    assert fed(binding) == {"user_id": "uid", "movie_id": "item"}
    assert (binding.user, binding.candidate) == ("uid", "item")
    assert binding.schema.names[:2] == ["uid", "item"]


def test_one_column_may_feed_two_inputs_and_is_read_once():
    signature = signature_of(user_id="string", movie_id="string", movie_number="int64")
    binding = bind(PAIRS, signature, card_of(), settings_of(map={"movie_number": "movie_id"}))
    assert fed(binding) == {"user_id": "user_id", "movie_id": "movie_id", "movie_number": "movie_id"}
    assert binding.columns == ["user_id", "movie_id"]


def test_set_feeds_a_constant_of_the_inputs_dtype():
    signature = signature_of(user_id="string", movie_id="string", user_rating="float32", live="bool", kind="string")
    binding = bind(PAIRS, signature, None, settings_of(set={"user_rating": "0.5", "live": "True", "kind": ""}))
    assert {name: (value.as_py(), value.type) for name, value in binding.constants.items()} == {
        "user_rating": (0.5, pa.float32()), "live": (True, pa.bool_()), "kind": ("", pa.large_string()),
    }  # fmt: skip
    assert binding.candidate == "movie_id", "an input that is set is no candidate"


@pytest.mark.parametrize(
    ("dtype", "text", "expected"),
    [
        ("int8", "-128", -128),
        ("uint64", str(2**64 - 1), 2**64 - 1),
        ("float16", "0.5", 0.5),
        ("bfloat16", "1", 1.0),
        ("float64", "1e300", 1e300),
        ("bool", "false", False),
    ],
)
def test_constants_are_parsed_as_the_dtype(dtype, text, expected):
    signature = signature_of(user_id="string", movie_id="string", x=dtype)
    assert bind(PAIRS, signature, None, settings_of(set={"x": text})).constants["x"].as_py() == expected


@pytest.mark.parametrize(
    ("dtype", "text"),
    [
        ("int8", "128"), ("int8", "1.0"), ("int64", ""), ("uint8", "-1"), ("float32", "1e39"), ("float16", "70000"),
        ("float32", "nan"), ("float64", "inf"), ("bool", "1"), ("float32", "x"), ("resource", "1"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("flag", ["set", "fill"])
def test_a_constant_that_is_no_value_of_the_dtype_is_named(dtype, text, flag):
    column = {"bool": pa.bool_()}.get(dtype, pa.int64())
    signature = signature_of(user_id="string", movie_id="string", x=dtype)
    message = refused(PAIRS.append(pa.field("x", column)), signature, card_of(), **{flag: {"x": text}})
    if not (dtype == "resource" and flag == "fill"):
        assert f"--{flag} x={text}: not a value of {dtype}" in message


def test_fill_is_a_scalar_of_the_inputs_dtype():
    signature = signature_of(user_id="string", movie_id="string", age="float32")
    bound = bind(PAIRS, signature, card_of(), settings_of(fill={"age": "7"})).inputs[-1]
    assert (bound.fill.as_py(), bound.fill.type) == (7.0, pa.float32())


def test_inputs_of_floats_may_be_given_what_is_not_finite():
    signature = signature_of(user_id="string", movie_id="string", age="float32", price="float64")
    bound = bind(PAIRS, signature, card_of(), settings_of(allow_nonfinite=["age"])).inputs
    assert {item.input.name for item in bound if item.nonfinite} == {"age"}
    message = refused(PAIRS, signature, card_of(), allow_nonfinite=["movie_id", "height"])
    for name in ("movie_id", "height"):
        assert f"--allow-nonfinite {name}: the model has no such input of floats" in message


def test_the_card_fills_nulls_unless_a_flag_says_otherwise():
    signature = signature_of(user_id="string", movie_id="string", age="float32", price="float32")
    card = card_of().model_copy(update={"fill": {"age": "7", "price": "1.5"}})

    def filled(**how):
        binding = bind(PAIRS, signature, card, settings_of(**how))
        return {item.input.name: item.fill.as_py() for item in binding.inputs if item.fill is not None}

    assert filled() == {"age": 7.0, "price": 1.5}
    assert filled(fill={"age": "8"}) == {"age": 8.0, "price": 1.5}
    assert filled(map={"age": "price"}) == {"age": 7.0, "price": 1.5}
    assert filled(set={"age": "9"}) == {"price": 1.5}


# which columns are user and candidate


def test_the_user_is_user_id_and_the_candidate_the_only_other_input():
    signature = signature_of(user_id="string", item="int64")
    schema = pa.schema([("item", pa.int64()), ("user_id", pa.string())])
    binding = bind(schema, signature, None, settings_of())
    assert (binding.user, binding.candidate) == ("user_id", "item")


def test_the_card_says_which_they_are_and_flags_override_it():
    schema = pa.schema([("a", pa.string()), ("b", pa.string()), ("c", pa.string())])
    signature = signature_of(a="string", b="string", c="string")
    assert bind(schema, signature, card_of("b", "c"), settings_of()).user == "b"
    told = {"user_column": "c", "candidate_column": "a"}
    binding = bind(schema, signature, card_of("b", "c"), settings_of(**told, map={"b": "c", "c": "a"}))
    assert (binding.user, binding.candidate, binding.user_input, binding.candidate_input) == ("c", "a", "b", "c")


HOUSEHOLDS = pa.schema([("member", pa.int32()), ("user_id", pa.string()), ("movie_id", pa.string())])


@pytest.mark.parametrize("card", [None, card_of()], ids=["no card", "card"])
def test_an_id_input_that_another_column_feeds_is_refused_with_the_flag_that_feeds_it(card):
    """Lists of members with the scores of households look like any other lists."""
    told = {"user_column": "member", "candidate_column": "movie_id"}
    message = refused(HOUSEHOLDS, BOTH, card, **told)
    assert (
        "input user_id takes the user's id and is fed from column 'user_id', not from the user column 'member' "
        "(if that is meant, say so: --map user_id=user_id)"
    ) in message
    assert message.endswith("next:     add --map user_id=member")
    binding = bind(HOUSEHOLDS, BOTH, card, settings_of(**told, map={"user_id": "member"}))
    assert (fed(binding)["user_id"], binding.user, binding.user_input) == ("member", "member", "user_id")
    assert binding.warnings == ()


@pytest.mark.parametrize("card", [None, card_of()], ids=["no card", "card"])
def test_a_map_may_feed_an_id_input_from_another_column_with_a_warning(card):
    told = {"user_column": "member", "map": {"user_id": "user_id"}}
    binding = bind(HOUSEHOLDS, BOTH, card, settings_of(**told))
    assert (binding.user, binding.user_input, binding.fed_from(binding.user_input)) == (
        "member",
        "user_id",
        "user_id",
    )
    assert (binding.candidate, binding.candidate_input) == ("movie_id", "movie_id")
    assert binding.columns == ["member", "movie_id", "user_id"]
    assert binding.warnings == (
        (
            "input user_id takes the user's id and is fed from column 'user_id', not from the user column 'member'"
            ": lists are those of member, scores those of user_id"
        ),
    )


@pytest.mark.parametrize("card", [None, card_of()], ids=["no card", "card"])
def test_role_flags_that_swap_the_ids_are_refused_until_the_inputs_follow(card):
    told = {"user_column": "movie_id", "candidate_column": "user_id"}
    message = refused(PAIRS, BOTH, card, **told)
    assert message.endswith("next:     add --map user_id=movie_id --map movie_id=user_id")
    how = settings_of(**told, map={"user_id": "movie_id", "movie_id": "user_id"})
    binding = bind(PAIRS, BOTH, card, how)
    assert fed(binding) == {"user_id": "movie_id", "movie_id": "user_id"}
    assert (binding.user_input, binding.candidate_input, binding.warnings) == ("user_id", "movie_id", ())


@pytest.mark.parametrize("card", [None, card_of()], ids=["no card", "card"])
def test_a_candidate_that_does_not_feed_its_input_is_refused(card):
    schema = PAIRS.append(pa.field("offer", pa.int64()))
    message = refused(schema, BOTH, card, candidate_column="offer")
    assert (
        "input movie_id takes the candidate's id and is fed from column 'movie_id', not from the candi" in message
    )
    assert message.endswith("next:     add --map movie_id=offer")


def test_the_column_that_a_card_maps_is_no_more_right_than_that_of_the_name():
    card = card_of().model_copy(update={"map": {"user_id": "household"}})
    schema = pa.schema([("household", pa.string()), ("member", pa.string()), ("movie_id", pa.string())])
    assert bind(schema, BOTH, card, settings_of()).user == "household"
    message = refused(schema, BOTH, card, user_column="member")
    assert "fed from column 'household', not from the user column 'member'" in message


def test_an_id_input_without_a_column_is_fed_from_the_column_of_its_role_by_the_hint():
    schema = pa.schema([("member", pa.string()), ("movie_id", pa.string())])
    message = refused(schema, BOTH, user_column="member")
    assert "input user_id string [n] has no column 'user_id'" in message
    assert message.endswith("next:     add --map user_id=member")


def test_an_id_that_is_the_key_of_folders_is_no_column_and_no_constant():
    schema = pa.schema([("movie_id", pa.string())])
    with pytest.raises(UsageError) as caught:
        bind(schema, BOTH, card_of(), settings_of(), folder_keys={"user_id"})
    message = str(caught.value)
    assert (
        "input user_id string [n] has no column 'user_id'; the key of the folders user_id=... is not a column: "
        "write it into the files"
    ) in message
    assert message.endswith("next:     no other column could feed user_id: write it into the pairs")
    assert "--set" not in refused(schema, BOTH, card_of())


def test_a_user_column_that_is_not_there_is_told_alone():
    message = refused(HOUSEHOLDS, BOTH, user_column="membr")
    assert "the pairs have no user column 'membr'; did you mean 'member'?" in message
    assert "takes the user's id" not in message


def test_a_candidate_column_that_feeds_an_input_of_its_own_is_believed():
    """`kind` is the only other input of text or integers; `item` feeds a float."""
    signature = signature_of(user_id="string", kind="string", item="float32")
    schema = pa.schema([("user_id", pa.string()), ("kind", pa.string()), ("item", pa.int64())])
    binding = bind(schema, signature, None, settings_of(candidate_column="item"))
    assert (binding.candidate_input, binding.warnings) == ("item", ())


def test_an_only_other_input_of_floats_takes_no_candidate():
    binding = bind(PAIRS, signature_of(price="float32"), None, settings_of(candidate_column="movie_id"))
    assert (binding.candidate, binding.candidate_input) == ("movie_id", None)


@pytest.mark.parametrize("card", [None, card_of(user=None)], ids=["no card", "card"])
def test_a_model_without_the_users_id_takes_any_user_column(card):
    segments = signature_of(segment="string", movie_id="string")
    schema = pa.schema([("member", pa.int64()), ("segment", pa.string()), ("movie_id", pa.string())])
    binding = bind(schema, segments, card, settings_of(user_column="member", candidate_column="movie_id"))
    assert (binding.user, binding.user_input, binding.candidate_input) == ("member", None, "movie_id")
    assert binding.warnings == ()


def test_two_other_inputs_leave_the_candidate_open():
    message = refused(PAIRS, signature_of(user_id="string", movie_id="string", age="int64"))
    assert "the candidate column is not clear from the model's inputs; give --candidate-column" in message
    assert "add --candidate-column COLUMN" in message


@pytest.mark.parametrize(
    "type_", [pa.float32(), pa.float64(), pa.bool_(), pa.binary(), pa.timestamp("s"), pa.date32()]
)
def test_ids_are_strings_or_integers(type_):
    schema = pa.schema([("user_id", type_), ("movie_id", pa.int64())])
    message = refused(schema, BOTH)
    assert f"user column 'user_id' is {type_}: ids are strings or integers" in message


def test_float_ids_say_why():
    schema = pa.schema([("user_id", pa.float64()), ("movie_id", pa.int64())])
    assert "ids never pass through floats; write them as integers or text" in refused(schema, BOTH)


def test_dictionary_ids_are_their_values():
    schema = pa.schema([("user_id", pa.dictionary(pa.int32(), pa.string())), ("movie_id", pa.int64())])
    assert bind(schema, BOTH, None, settings_of()).schema.field("user_id").type == pa.string()


def test_user_and_candidate_are_two_columns():
    assert "user and candidate are the same column 'user_id'" in refused(PAIRS, BOTH, candidate_column="user_id")


# every problem at once


def test_all_problems_are_told_together_with_inputs_and_columns():
    signature = signature_of(user_id="string", item="string", age="int8", label="float32")
    message = refused(
        PAIRS, signature, card_of(candidate="item"), set={"lable": "0", "age": "1"}, map={"age": "price"},
        fill={"user_id": "x"},
    )  # fmt: skip
    for said in (
        "--set lable: the model has no such input",
        "input age: --set excludes --map and --fill",
        "--fill user_id: an id is never filled in; a null id is a bad row",
        "input item string [n] has no column 'item'",
        "input label float32 [n] has no column 'label'",
        "the pairs have no candidate column 'item'",
        f"where:    {Path('pairs.parquet').absolute()}",
        "found:    columns user_id string, movie_id int64, age int64, price double",
        "expected: inputs user_id string [n], item string [n], age int8 [n], label float32 [n]",
        "bound: user_id <- user_id, age = 1",
    ):
        assert said in message


def test_the_suggested_flags_mend_the_binding():
    schema = pa.schema([("user_id", pa.string()), ("movie id", pa.string())])
    signature = signature_of(user_id="string", movie_id="string", user_rating="float32")
    message = refused(schema, signature, card_of())
    flags = shlex.split(message.splitlines()[-1].partition("add ")[2])
    assert flags == ["--map", "movie_id=movie id", "--set", "user_rating=0"]
    pasted = {}
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        pasted.setdefault(flag.removeprefix("--"), []).append(value)
    mended = resolve(RunSettings, "run", {"input": "i", "output": "o"} | pasted, environ={}).settings
    assert fed(bind(schema, signature, card_of(), mended)) == {"user_id": "user_id", "movie_id": "movie id"}


def test_the_suggested_flags_name_the_user_column_where_the_input_of_it_was_matched():
    schema = pa.schema([("USER_ID", pa.string()), ("Movie_Id", pa.string())])
    message = refused(schema, BOTH)
    assert message.endswith("next:     add --map user_id=USER_ID --map movie_id=Movie_Id --user-column USER_ID")
    binding = bind(
        schema, BOTH, None, settings_of(map={"user_id": "USER_ID", "movie_id": "Movie_Id"}, user_column="USER_ID")
    )
    assert (binding.user, binding.candidate) == ("USER_ID", "Movie_Id")


@pytest.mark.parametrize("dtype", ["string", "int64", "int32", "float32", "bool"])
def test_an_input_without_a_column_is_never_fed_a_constant_or_a_column_in_use_by_the_hint(dtype):
    schema = pa.schema([("user_id", pa.string()), ("movie_id", pa.string())])
    signature = signature_of(user_id="string", movie_id="string", weight=dtype)
    message = refused(schema, signature, card_of())
    assert "next:     no other column could feed weight: write it into the pairs, or give one value" in message
    assert "--map" not in message
    more = refused(PAIRS.append(pa.field("live", pa.bool_())), signature, card_of())
    assert more.endswith("next:     add --map weight=COLUMN") == (dtype != "string" or "age" in PAIRS.names)


def test_the_word_for_a_column_is_no_column():
    schema = pa.schema([("user_id", pa.string()), ("movie_id", pa.string()), ("COLUMN", pa.string())])
    signature = signature_of(user_id="string", movie_id="string", kind="string")
    assert refused(schema, signature, card_of()).endswith("add --map kind=COLUMN_NAME")


def test_a_column_of_the_wrong_type_gets_advice_and_no_flag():
    for dtype, type_, advice in (
        (
            "string",
            pa.list_(pa.string()),
            "it takes one value, not a list; if the model splits text, write it as one (a|b|c)",
        ),
        ("float32", pa.large_list(pa.float32()), "it takes one value, not a list"),
        ("float32", pa.struct([("a", pa.int8())]), "it takes one value, not a struct or map"),
        ("int64", pa.float64(), "write it as whole numbers that int64 holds"),
        ("float32", pa.string(), "write it as numbers"),
        ("string", pa.float32(), "write it as text or integers"),
        ("bool", pa.int8(), "write it as bool"),
    ):
        signature = signature_of(user_id="string", movie_id="string", x=dtype)
        message = refused(PAIRS.append(pa.field("x", type_)), signature, card_of())
        assert advice in message.splitlines()[4]
        assert message.endswith("next:     correct what is named above")
        assert "ids never pass" not in message


def test_a_hint_for_an_input_that_was_mapped_says_what_it_replaces():
    schema = pa.schema([("user_id", pa.string()), ("movieId", pa.string())])
    message = refused(schema, BOTH, card_of(), map={"movie_id": "film"})
    assert message.endswith("next:     add --map movie_id=movieId in place of --map movie_id=film")


def test_a_list_of_any_length_takes_no_feature():
    """`a|b|c` would be scored as a list of one unknown value."""
    signature = signature_of(user_id="string", movie_id="string", genres=("string", (None, None)))
    message = refused(PAIRS.append(pa.field("genres", pa.string())), signature, card_of())
    assert "input genres string [n, L] takes a list of any length" in message
    assert "text such as a|b|c would be a list of one" in message
    binding = bind(PAIRS, signature, card_of(), settings_of(set={"genres": "Comedy"}))
    assert binding.constants["genres"].as_py() == "Comedy", "somebody said one value"
    assert binding.warnings == ()
    binding = bind(PAIRS, signature, card_of(), settings_of(set={"genres": "Comedy|Drama"}))
    (warning,) = binding.warnings
    assert "is scored with a list of one value, Comedy|Drama, which is not split at '|'" in warning


def test_a_list_of_any_length_takes_an_id_with_a_warning():
    signature = signature_of(user_id="string", movie_id=("string", (None, None)))
    binding = bind(PAIRS, signature, card_of(), settings_of())
    assert binding.warnings == (
        "input movie_id string [n, L] takes a list: each pair is scored with a list of one id",
    )


def test_a_column_that_this_run_maps_to_two_inputs_is_a_warning():
    signature = signature_of(user_id="string", movie_id="string", movie_number="int64")
    binding = bind(PAIRS, signature, card_of(), settings_of(map={"movie_number": "movie_id"}))
    assert binding.warnings == ("column movie_id feeds 2 inputs: movie_id, movie_number",)
    by_card = card_of().model_copy(update={"map": {"movie_number": "movie_id"}})
    assert bind(PAIRS, signature, by_card, settings_of()).warnings == (), "whoever adopted the model said so"


def test_an_id_that_feeds_nothing_is_a_warning_unless_somebody_said_so():
    signature = signature_of(uid="string", iid="string")
    how = {"map": {"uid": "movie_id", "iid": "movie_id"}, "candidate_column": "movie_id"}
    assert bind(PAIRS, signature, None, settings_of(**how)).warnings == (
        "column movie_id feeds 2 inputs: uid, iid", "the user column user_id feeds no input of the model",
    )  # fmt: skip
    popular = signature_of(movie_id="string")
    assert bind(PAIRS, popular, card_of(user=None), settings_of()).warnings == ()


@pytest.mark.parametrize(("name", "dtype"), [("user_rating", "float32"), ("label", "int64"), ("click", "bool")])
def test_a_label_is_fed_a_constant_by_the_hint(name, dtype):
    schema = pa.schema([("user_id", pa.string()), ("movie_id", pa.string())])
    signature = signature_of(user_id="string", movie_id="string", **{name: dtype})
    message = refused(schema, signature, card_of())
    assert f"has no column {name!r}; it looks like the label that the model was trained on" in message
    assert message.endswith(f"next:     add --set {name}={'false' if dtype == 'bool' else 0}")


def test_a_candidate_that_is_called_like_a_label_is_none():
    schema = pa.schema([("user_id", pa.string()), ("item", pa.int64()), ("price", pa.int64())])
    message = refused(schema, signature_of(user_id="string", target="int64"), card_of(candidate="target"))
    assert "--set" not in message


@pytest.mark.parametrize(
    ("inputs", "card", "how", "role"),
    [
        ({"user_id": "string", "movie_id": "string"}, None, {"set": {"user_id": "7"}}, "user"),
        ({"user_id": "int64", "movie_id": "string"}, card_of(), {"set": {"user_id": "7"}}, "user"),
        ({"uid": "string", "movie_id": "string"}, card_of("uid"), {"set": {"uid": "7"}}, "user"),
        ({"uid": "string", "movie_id": "string"}, None, {"set": {"uid": "7"}, "user_column": "uid"}, "user"),
        ({"user_id": "string", "movie_id": "string"}, None,
         {"set": {"user_id": "7"}, "user_column": "age", "candidate_column": "movie_id"}, "user"),
        ({"user_id": "string", "movie_id": "string"}, card_of(), {"set": {"movie_id": "7"}}, "candidate"),
        ({"user_id": "string", "movie_id": "string"}, None,
         {"set": {"movie_id": "7"}, "candidate_column": "movie_id"}, "candidate"),
    ],
)  # fmt: skip
def test_an_id_is_no_constant(inputs, card, how, role):
    schema = PAIRS.append(pa.field("uid", pa.string()))
    (name,) = how["set"]
    message = refused(schema, signature_of(**inputs), card, **how)
    assert (
        f"--set {name}: this input takes the {role}'s id, which cannot be a constant; leave the flag out" in message
    )


def test_a_model_without_an_input_for_the_user_may_have_a_constant():
    signature = signature_of(movie_id="string", hour="int64")
    binding = bind(PAIRS, signature, card_of(user=None), settings_of(set={"hour": "3"}))
    assert (binding.user, binding.user_input, binding.constants["hour"].as_py()) == ("user_id", None, 3)


def test_a_pair_file_without_columns_says_so():
    assert "found:    columns none" in refused(pa.schema([]), BOTH)


def test_lists_of_columns_are_short():
    schema = pa.schema(
        [(f"{number:02}" + "x" * 1000, pa.struct([("y" * 1000, pa.int64())])) for number in range(50)]
    )
    for message in (
        refused(schema, BOTH),
        refused(PAIRS.append(schema[0]), BOTH, error_id="E-KEEP", keep={"k": "z"}),
    ):
        assert f"00{'x' * 55}... struct<{'y' * 50}..." in message
        assert len(message) < 5_000
    assert ", and 20 more\n" in refused(schema, BOTH)


# kept columns


def test_kept_columns_follow_in_order_with_their_types_and_new_names():
    binding = bind(PAIRS, BOTH, None, settings_of(keep={"cost": "price", "age": "age"}))
    assert binding.schema.names == ["user_id", "movie_id", "score", "rank", "cost", "age"]
    assert binding.schema.types[4:] == [pa.float64(), pa.int64()]
    assert binding.columns == ["user_id", "movie_id", "price", "age"]


def test_an_id_or_a_fed_column_may_be_kept_under_another_name():
    binding = bind(PAIRS, BOTH, None, settings_of(keep={"who": "user_id"}))
    assert binding.schema.names[-1] == "who"
    assert binding.columns == ["user_id", "movie_id"]


@pytest.mark.parametrize("name", ["user_id", "movie_id", "score", "rank"])
def test_a_kept_column_must_not_clash_with_an_output_column(name):
    message = refused(PAIRS, BOTH, error_id="E-KEEP", keep={name: "price"})
    assert f"{name!r} is a column of the output already; rename with --keep other_name=price" in message


def test_a_kept_column_must_exist():
    message = refused(PAIRS, BOTH, error_id="E-KEEP", keep={"title": "title"})
    assert "the pairs have no column 'title'" in message
    where = Path("pairs.parquet").absolute()
    assert f"  where:    {where}\n  found:    columns user_id string, movie_id int64" in message
    assert (
        "expected: columns of text, integers, float32, float64, bool, date32, timestamps or decimal128\n" in message
    )


@pytest.mark.parametrize(
    "type_",
    [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.binary(), pa.float16(), pa.duration("s"), pa.null(),
     pa.time64("us"), pa.decimal256(50, 0), pa.decimal128(5, -2)],
    ids=str,
)  # fmt: skip
def test_a_column_that_top_n_cannot_order_is_not_kept(type_):
    message = refused(PAIRS.append(pa.field("x", type_)), BOTH, error_id="E-KEEP", keep={"x": "x"})
    assert f"column 'x' is {type_}, which cannot be kept" in message


def test_input_schema_metadata_is_dropped():
    schema = PAIRS.with_metadata({"pandas": "{}"})
    binding = bind(schema, BOTH, None, settings_of(keep={"age": "age"}))
    assert binding.schema.metadata is None
    assert all(field.metadata is None for field in binding.schema)


def test_a_card_of_another_signature_says_nothing_of_this_one():
    card = card_of("member", "item").model_copy(update={"signature": "rank"})
    binding = bind(PAIRS, BOTH, card, settings_of())
    assert (binding.user, binding.candidate) == ("user_id", "movie_id")
