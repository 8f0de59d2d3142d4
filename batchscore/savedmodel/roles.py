"""Which input of a signature takes the user's id, and which the candidate's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from batchscore.columns import USER_ID
from batchscore.savedmodel.card import ModelCard
from batchscore.savedmodel.saved_model import Signature, TensorSpec

_LABEL = re.compile(r"(^|_)(rating|label|target|click(ed)?|y|y_true|relevance|reward)s?$", re.IGNORECASE)


@dataclass(frozen=True)
class Roles:
    """The inputs that take the two ids, and the reason; None if the model alone does not tell."""

    user_input: str | None
    user_reason: str
    candidate_input: str | None
    candidate_reason: str


def choose_roles(
    signature: Signature,
    card: ModelCard | None,
    columns: Mapping[str, str],
    constants: Collection[str],
    *,
    user_input: str | None = None,
    candidate_input: str | None = None,
) -> Roles:
    """The inputs of the two ids: those asked for, the card's, or that fed from `user_id` and the only other.

    `columns` maps inputs to the columns that feed them, where those have other names; `constants` are fed none.
    """
    if card is not None and card.signature != signature.name:
        card = None
    by_card = (None, None) if card is None else (card.user_input, card.candidate_input)
    fed = [name for name in signature.inputs if columns.get(name, name) == USER_ID]
    by_column = next((name for name in (*fed, USER_ID) if name in signature.inputs), None)
    user, user_reason = _first(
        (user_input, "--user-input"), (by_card[0], "model card"), (by_column, "the default"),
        otherwise=f"no input {USER_ID!r}: {_hint('user')}",
    )  # fmt: skip
    only_other = choose_candidate(signature, user, constants)
    candidate, candidate_reason = _first(
        (candidate_input, "--candidate-input"), (by_card[1], "model card"),
        (only_other, "the only other input that can take ids"),
        otherwise=f"several inputs could be it: {_hint('candidate')}",
    )  # fmt: skip
    return Roles(user, user_reason, candidate, candidate_reason)


def _first(*choices: tuple[str | None, str], otherwise: str) -> tuple[str | None, str]:
    return next(((name, reason) for name, reason in choices if name is not None), (None, otherwise))


def _hint(role: str) -> str:
    return f"give `run` --{role}-column, or set it once with `adopt` --{role}-input"


def choose_candidate(signature: Signature, user_input: str | None, constants: Collection[str] = ()) -> str | None:
    """The only input besides the user's and constants, or the only one of those that takes text or integers."""
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
