"""The two id columns of the pairs, and which input of the model takes each id.

Lists are written under the id columns. An id input that another column feeds scores everyone as someone else, and
nothing in the scores shows it: so it is a problem, unless a `--map` of this run says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from batchscore.columns import USER_ID
from batchscore.savedmodel.card import ModelCard
from batchscore.savedmodel.roles import choose_candidate, takes_ids
from batchscore.savedmodel.saved_model import Signature
from batchscore.scoring.bind.feeding import Feed
from batchscore.scoring.bind.hints import map_flag
from batchscore.settings.run import RunSettings


@dataclass(frozen=True)
class IdColumn:
    """The column of a role's ids (None if it cannot be told) and the input that takes them (None if there is none).

    `other` is the column that feeds `input` in place of `column`, None if that is as it should be; with
    `is_mapped` a `--map` of this run says so.
    """

    role: Literal["user", "candidate"]
    column: str | None
    input: str | None
    other: str | None = None
    is_mapped: bool = False

    def describe_other(self) -> str:
        """`input user_id takes the user's id and is fed from column 'home', not from the user column 'uid'`."""
        return (
            f"input {self.input} takes the {self.role}'s id and is fed from column {self.other!r}, "
            f"not from the {self.role} column {self.column!r}"
        )

    def problem(self) -> str | None:
        """What is wrong if another column feeds the input and no one said so, and how to say it."""
        if self.input is None or self.other is None or self.is_mapped:
            return None
        return f"{self.describe_other()} (if that is meant, say so: {map_flag(self.input, self.other)})"


def choose_id_columns(
    signature: Signature, card: ModelCard | None, settings: RunSettings, feeds: Mapping[str, Feed]
) -> tuple[IdColumn, IdColumn]:
    """User and candidate.

    Columns: the flag, otherwise that of the card's input, otherwise `user_id` and that of the only other input.
    Inputs: the card's, otherwise `user_id` and the only other input, otherwise the one that the column feeds. A
    candidate column that is named and feeds an input which is not the user's is believed before the only other
    input, and so is one that feeds nothing if the only other input takes floats.
    """

    def fed_by(column: str | None) -> list[str]:
        return [name for name, feed in feeds.items() if feed.column == column and feed.constant is None]

    by_card = (None, None) if card is None else (card.user_input, card.candidate_input)
    user_input = USER_ID if card is None and USER_ID in signature.inputs else by_card[0]
    user = settings.user_column or _column_of(by_card[0], feeds) or USER_ID
    user_input = user_input or next(iter(fed_by(user)), None)

    candidate_input, candidate = by_card[1], settings.candidate_column
    if candidate_input is None and candidate is not None:
        candidate_input = next((name for name in fed_by(candidate) if name != user_input), None)
    if candidate_input is None and (card is None or candidate is None):
        constants = {name for name, feed in feeds.items() if feed.constant is not None}
        only_other = choose_candidate(signature, user_input, constants)
        if only_other is not None and (candidate is None or takes_ids(signature.inputs[only_other])):
            candidate_input = only_other
    candidate = candidate or _column_of(candidate_input, feeds)
    return (
        _id_column("user", user, user_input, feeds, settings),
        _id_column("candidate", candidate, candidate_input, feeds, settings),
    )


def id_inputs(card: ModelCard | None, feeds: Mapping[str, Feed], ids: Iterable[IdColumn]) -> dict[str, str]:
    """The inputs that take an id, and whose: those of `ids`, the card's, and those fed from an id column."""
    roles = {item.column: item.role for item in ids}
    inputs: dict[str, str] = {name: roles[feed.column] for name, feed in feeds.items() if feed.column in roles}
    by_card = {} if card is None else {card.user_input: "user", card.candidate_input: "candidate"}
    by_input = {item.input: item.role for item in ids} | by_card
    return inputs | {name: role for name, role in by_input.items() if name is not None}


def _column_of(name: str | None, feeds: Mapping[str, Feed]) -> str | None:
    return feeds[name].column if name is not None and name in feeds else name


def _id_column(
    role: Literal["user", "candidate"],
    column: str | None,
    input_: str | None,
    feeds: Mapping[str, Feed],
    settings: RunSettings,
) -> IdColumn:
    fed = feeds.get(input_) if input_ is not None else None
    if fed is None or fed.constant is not None or fed.column == column:
        return IdColumn(role, column, input_)
    return IdColumn(role, column, input_, other=fed.column, is_mapped=input_ in settings.map)
