"""Who feeds an input (this run's flags, the pairs' column, the card's constant), and what is told of the losers."""

from __future__ import annotations

import datetime as dt
import itertools

import pyarrow as pa
import pytest

from batchscore.errors import UsageError
from batchscore.savedmodel.card import ModelCard, Probes
from batchscore.savedmodel.saved_model import Signature, TensorSpec
from batchscore.scoring.bind.binding import bind
from batchscore.scoring.bind.feeding import choose_feeds
from batchscore.settings.run import RunSettings

NAMES = ("user_id", "movie_id", "timestamp")
SPECS = {name: TensorSpec(name, f"{name}:0", "int64", (None,)) for name in NAMES}
SIGNATURE = Signature("serving_default", SPECS, {})
IDS = ["user_id", "movie_id"]


def card_of(**how):
    return ModelCard(
        signature="serving_default", score_output="score", user_input="user_id", candidate_input="movie_id",
        probes=Probes(inputs={}, scores=[]), **how,
    )  # fmt: skip


def feed_of(columns, card=None, **how):
    settings = RunSettings(input="i", output="o", **how)
    return choose_feeds(SIGNATURE, card or card_of(), settings, [*IDS, *columns])["timestamp"]


def source(feed):
    return feed.column if feed.constant is None else f"= {feed.constant}"


@pytest.mark.parametrize(
    ("flags", "columns", "card", "expected"),
    [
        (flags, columns, card, expected)
        for (flags, by_flag), columns, card in itertools.product(
            [({}, None), ({"map": {"timestamp": "at"}}, "at"), ({"set": {"timestamp": "7"}}, "= 7")],
            [[], ["timestamp"]],
            [{}, {"set": {"timestamp": "5"}}],
        )
        for expected in [by_flag or (columns or ["= 5" if card else "timestamp"])[0]]
    ],
)
def test_flags_win_over_the_column_and_that_over_the_card(flags, columns, card, expected):
    assert source(feed_of([*columns, "at"], card_of(**card), **flags)) == expected


def test_a_column_that_hides_the_cards_constant_is_a_surprise():
    feed = feed_of(["timestamp"], card_of(set={"timestamp": "875071561"}))
    assert feed.is_surprising
    assert feed.describe_hidden() == (
        "input timestamp <- column timestamp; the card's constant 875071561 is not used"
    )
    said = feed_of(["timestamp"], card_of(set={"timestamp": "5"}), map={"timestamp": "timestamp"})
    assert (said.is_surprising, said.hidden) == (False, ("the card's constant 5",)), "somebody said so in this run"


def test_a_constant_of_this_run_hides_column_and_card():
    feed = feed_of(["timestamp"], card_of(set={"timestamp": "5"}), set={"timestamp": "7"})
    assert feed.describe_hidden() == (
        "input timestamp <- constant 7; the pairs' column timestamp and the card's constant 5 are not used"
    )
    assert not feed.is_surprising


def test_the_column_that_the_card_names_hides_that_of_the_inputs_name():
    card = card_of(map={"timestamp": "at"})
    assert source(feed_of(["at", "timestamp"], card)) == "at"
    assert feed_of(["at", "timestamp"], card).hidden == ("the pairs' column timestamp",)
    assert feed_of(["at"], card).hidden == ()
    missing = feed_of(["timestamp"], card)
    assert source(missing) == "at", "a column of another name is never taken instead"


def test_a_fill_for_a_constant_is_told():
    card = card_of(set={"timestamp": "5"}, fill={"timestamp": "6"})
    assert feed_of([], card).fill is None
    assert feed_of([], card, fill={"timestamp": "8"}).hidden == ("--fill 8",)
    assert feed_of(["timestamp"], card, fill={"timestamp": "8"}).fill == "8"
    assert feed_of(["timestamp"], card).fill == "6"


def test_a_card_of_another_signature_feeds_nothing():
    card = card_of(set={"timestamp": "5"}).model_copy(update={"signature": "other"})
    assert source(feed_of([], card)) == "timestamp"


def test_the_card_keeps_the_date_open_and_the_night_fills_it():
    schema = pa.schema([(name, pa.int64()) for name in IDS])
    for day, seconds in ((dt.date(2024, 2, 29), 1_709_164_800), (dt.date(2024, 3, 1), 1_709_251_200)):
        settings = RunSettings(input="i", output="o", date=day)
        bound = bind(schema, SIGNATURE, card_of(set={"timestamp": "{date}"}), settings)
        assert bound.constants["timestamp"].as_py() == seconds
        assert bound.hidden == ()


TAGS = Signature(
    "serving_default",
    {name: TensorSpec(name, f"{name}:0", "string", (None,)) for name in ("user_id", "movie_id", "genres")},
    {},
)


class Texts:
    """Evidence of a column whose texts hold `separator`."""

    def __init__(self, separator):
        self.separator = separator

    def knows(self, input_, column):
        del input_, column

    def other_separator(self, column, separator):
        assert column == "genres"
        return None if separator == self.separator else self.separator


def bind_tags(type_, evidence, lists):
    schema = pa.schema([("user_id", pa.string()), ("movie_id", pa.string()), ("genres", type_)])
    return bind(schema, TAGS, card_of(lists=lists), RunSettings(input="i", output="o"), evidence)


def test_a_column_of_lists_is_joined_as_the_model_was_trained():
    genres = bind_tags(pa.list_(pa.string()), Texts("|"), {"genres": ";"}).inputs[-1]
    values, bad = genres.cast.apply(pa.array([["a", "b"], [], None, ["a;b"], [None]], pa.list_(pa.string())))
    assert values.to_pylist() == ["a;b", "", None, None, None]
    assert bad.tolist() == [False, False, False, True, True]
    assert genres.cast.describe == "list<item: string> joined by ;"


def test_lists_without_a_separator_in_the_card_are_refused():
    with pytest.raises(UsageError, match="takes one value, not a list; if the model splits text, write it as one"):
        bind_tags(pa.list_(pa.string()), Texts("|"), {})


def test_texts_with_another_separator_than_the_models_are_refused():
    assert bind_tags(pa.string(), Texts("|"), {"genres": "|"}).inputs
    assert bind_tags(pa.string(), Texts(","), {}).inputs, "the card does not say that it is a list"
    with pytest.raises(UsageError) as caught:
        bind_tags(pa.string(), Texts(","), {"genres": "|"})
    assert "splits its text at '|', which no text of column 'genres' holds; most hold ','" in str(caught.value)
