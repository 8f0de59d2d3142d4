"""Which input of a signature takes the user's id, and which the candidate's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from batchscore.columns import USER_ID
from batchscore.runtime.card import ModelCard
from batchscore.runtime.saved_model import Signature


@dataclass(frozen=True)
class Roles:
    """The inputs that take the two ids, and why; None where the model alone does not tell."""

    user_input: str | None
    user_why: str
    candidate_input: str | None
    candidate_why: str


def choose_roles(signature: Signature, card: ModelCard | None, constants: Collection[str] = ()) -> Roles:
    """The roles that the card gives, else `user_id` and the only other input that is no constant."""
    if card is not None and card.signature == signature.name:
        return Roles(card.user_input, "model card", card.candidate_input, "model card")
    user = USER_ID if USER_ID in signature.inputs else None
    others = [name for name in signature.inputs if name not in (user, *constants)]
    candidate = others[0] if user is not None and len(others) == 1 else None
    return Roles(
        user,
        "the default" if user else f"no input {USER_ID!r}: give --user-column",
        candidate,
        "the only other input" if candidate else f"{len(others)} other inputs: give --candidate-column",
    )
