"""Who feeds an input of the model, if several could.

An explicit `--map` or `--set` of this run wins; otherwise the pairs' own column (the one that the card names, or
that of the input's name); otherwise the card's constant. What loses is hidden, and told.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from batchscore.savedmodel.card import ModelCard
from batchscore.savedmodel.saved_model import Signature
from batchscore.settings.run import RunSettings


@dataclass(frozen=True)
class Feed:
    """What feeds the input `name`: a column of the pairs, or a constant as a flag spells it.

    `column` is set in both cases: with a constant it is the one that the pairs would have. `fill` stands in for
    nulls of the column, `separator` between the values of a text that holds several. `hidden` says in words what
    else could have fed the input; it `is_surprising` if it is the card's constant, and no one said in this run that
    it should lose.
    """

    name: str
    column: str
    constant: str | None = None
    fill: str | None = None
    separator: str | None = None
    hidden: tuple[str, ...] = ()
    is_surprising: bool = False

    def describe_hidden(self) -> str:
        """`input timestamp <- column timestamp; the card's constant 5 is not used`."""
        source = f"column {self.column}" if self.constant is None else f"constant {self.constant}"
        return f"input {self.name} <- {source}; {' and '.join(self.hidden)} " + (
            "is not used" if len(self.hidden) == 1 else "are not used"
        )


def choose_feeds(
    signature: Signature, card: ModelCard | None, settings: RunSettings, columns: Collection[str]
) -> dict[str, Feed]:
    """The feed of each input of `signature`, by its name; `columns` are those of the pairs.

    A feed may name a column that the pairs do not have: nothing feeds that input.
    """
    if card is not None and card.signature != signature.name:
        card = None
    feeds = {name: _choose(name, card, settings, columns) for name in signature.inputs}
    separators = {} if card is None else card.lists
    return {name: replace(feed, separator=separators.get(name)) for name, feed in feeds.items()}


def _choose(name: str, card: ModelCard | None, settings: RunSettings, columns: Collection[str]) -> Feed:
    own = name if card is None else card.map.get(name, name)
    card_constant = None if card is None else card.set.get(name)
    fill = settings.fill.get(name, None if card is None else card.fill.get(name))
    if name in settings.set:
        constant = settings.set[name]
        lost = _lost(columns=[own] if own in columns else [], constant=card_constant, than=constant)
        return Feed(name, settings.map.get(name, own), constant, hidden=lost)
    if name in settings.map:
        column = settings.map[name]
        same_name = [own] if own in columns and own != column else []
        return Feed(name, column, fill=fill, hidden=_lost(same_name, card_constant))
    if own in columns or card_constant is None:
        same_name = [name] if own in columns and name in columns and name != own else []
        lost = _lost(same_name, card_constant)
        return Feed(name, own, fill=fill, hidden=lost, is_surprising=card_constant is not None)
    unfilled = (f"--fill {settings.fill[name]}",) if name in settings.fill else ()
    return Feed(name, own, card_constant, hidden=unfilled)


def _lost(columns: Collection[str], constant: str | None, than: str | None = None) -> tuple[str, ...]:
    lost = [f"the pairs' column {column}" for column in columns]
    if constant is not None and constant != than:
        lost.append(f"the card's constant {constant}")
    return tuple(lost)
