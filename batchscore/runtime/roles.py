"""Which input of a signature takes the user's id, and which the candidate's."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from batchscore.columns import USER_ID
from batchscore.runtime.card import ModelCard
from batchscore.runtime.saved_model import Signature, TensorSpec

_LABEL = re.compile(r"(^|_)(rating|label|target|click(ed)?|y|y_true|relevance|reward)s?$", re.IGNORECASE)


@dataclass(frozen=True)
class Roles:
    """The inputs that take the two ids, and why; None where the model alone does not tell."""

    user_input: str | None
    user_why: str
    candidate_input: str | None
    candidate_why: str


def choose_roles(signature: Signature, card: ModelCard | None, constants: Collection[str] = ()) -> Roles:
    """The roles that the card gives, else `user_id` and what `choose_candidate` finds."""
    if card is not None and card.signature == signature.name:
        return Roles(card.user_input, "model card", card.candidate_input, "model card")
    user = USER_ID if USER_ID in signature.inputs else None
    candidate = choose_candidate(signature, user, constants)
    return Roles(
        user,
        "the default" if user else f"no input {USER_ID!r}: {_hint('user')}",
        candidate,
        "the only other input that can take ids" if candidate else f"several could be it: {_hint('candidate')}",
    )


def _hint(role: str) -> str:
    return f"give `run` --{role}-column, or tell it once with `adopt` --{role}-input"


def choose_candidate(signature: Signature, user_input: str | None, constants: Collection[str] = ()) -> str | None:
    """The only input besides the user's and constants, else the only one of those that takes text or integers."""
    others = [name for name in signature.inputs if name != user_input and name not in constants]
    if len(others) > 1:
        others = [name for name in others if takes_ids(signature.inputs[name])]
    return others[0] if len(others) == 1 else None


def looks_like_label(spec: TensorSpec) -> bool:
    """Whether an input of numbers is called like what a model is trained on (`user_rating`, `label`, `click`)."""
    return spec.dtype != "string" and _LABEL.search(spec.name) is not None


def takes_ids(spec: TensorSpec) -> bool:
    """Whether an input can take ids: text or integers."""
    return spec.dtype == "string" or spec.dtype.startswith(("int", "uint"))
