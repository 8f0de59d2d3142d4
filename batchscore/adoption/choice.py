"""What the model is to the ranking job: signature, score, roles, columns and constants, before it is loaded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from batchscore.engine.known_ids import require_known_signature
from batchscore.errors import UsageError
from batchscore.savedmodel.card import KnownSignature, KnownTable, ModelCard
from batchscore.savedmodel.chosen import choose_scoring
from batchscore.savedmodel.pair_inputs import describe_list_problem
from batchscore.savedmodel.roles import choose_roles, looks_like_label
from batchscore.savedmodel.saved_model import (
    SavedModel,
    Signature,
    TensorSpec,
    read_saved_model,
    takes_list,
)
from batchscore.savedmodel.score import Score
from batchscore.savedmodel.vocabulary import InputVocabulary, read_vocabularies
from batchscore.scoring.bind.casts import find_cast
from batchscore.scoring.bind.constants import find_lists_of_one, parse_constant, spells_constant
from batchscore.settings.adopt import AdoptSettings

_ID_TYPES = (pa.string(), pa.int64())


@dataclass(frozen=True)
class Choice:
    """The settled facts.

    `card` is the one that the SavedModel has already; `map`, `set` and `fill` are that card's with the flags over
    them; `vocabularies` are those of the inputs; `date` is what `{date}` in a constant stands for today.
    """

    saved: SavedModel
    card: ModelCard | None
    signature: Signature
    score: Score
    user_input: str
    candidate_input: str
    map: dict[str, str]
    set: dict[str, str]
    fill: dict[str, str]
    lists: dict[str, str]
    vocabularies: Mapping[str, InputVocabulary]
    date: dt.date
    warnings: tuple[str, ...]

    def column_of(self, name: str) -> str:
        """The pair column that feeds the input `name`."""
        return self.map.get(name, name)

    def id_input(self, role: str) -> str:
        """The input that takes the ids of the user or the candidate."""
        return self.user_input if role == "user" else self.candidate_input

    def known_tables(self) -> dict[str, KnownTable]:
        """For each role the table that knows its ids, if there is one."""
        inputs = {"user": self.user_input, "candidate": self.candidate_input}
        tables = {role: self.vocabularies[name].table for role, name in inputs.items()}
        return {role: table.for_card() for role, table in tables.items() if table is not None}

    def describe_known(self, tables: Mapping[str, KnownTable]) -> dict[str, str]:
        """For each role how a run tells known ids from unknown ones, or why it cannot."""
        if self.card is not None and self.card.known is not None:
            return dict.fromkeys(("user", "candidate"), f"signature {self.card.known.signature}")
        described = {}
        for role, name in (("user", self.user_input), ("candidate", self.candidate_input)):
            table = tables.get(role)
            entries = "" if table is None or table.entries is None else f" of {table.entries:,} ids"
            found = self.vocabularies[name]
            reason = found.reason if found.table is None else "its table cannot be looked up"
            described[role] = f"look-up table{entries}" if table else f"not counted: {reason}"
        return described


def choose(settings: AdoptSettings) -> Choice:
    """Everything about the model that can be settled from its bytes and the flags.

    Raises ModelError if it cannot be scored, UsageError (E-BINDING) with every problem and the flags that would
    fix it.
    """
    saved = read_saved_model(settings.saved_model, settings.model_version, trust_model=settings.trust_model)
    _require_elsewhere(settings, saved)
    chosen = choose_scoring(saved, settings.signature, settings.score_output)
    signature = chosen.signature
    card = saved.card if saved.card is not None and saved.card.signature == signature.name else None
    constants = {name: text for name, text in (card.set if card else {}).items() if name not in settings.map}
    constants |= settings.set
    mapped = {**(card.map if card else {}), **settings.map}
    mapped = {name: column for name, column in mapped.items() if name not in constants}
    filled = {**(card.fill if card else {}), **settings.fill}
    filled = {name: text for name, text in filled.items() if name not in constants}
    roles = choose_roles(
        signature, card, mapped, constants,
        user_input=settings.user_input, candidate_input=settings.candidate_input,
    )  # fmt: skip
    user, candidate = roles.user_input, roles.candidate_input
    labels = _labels(signature, {user, candidate, *constants, *mapped})
    problems = [
        *_fill_problems(signature, settings, ids={user, candidate}),
        *(f"--map {name}: the model has no such input" for name in settings.map if name not in signature.inputs),
        *(f"input {name}: --set excludes --map" for name in settings.set if name in settings.map),
        *_constant_problems(signature, constants, settings.date),
        *_list_problems(signature, {user, candidate, *constants}),
        *_role_problems(signature, {"user": user, "candidate": candidate}, constants),
        *(
            f"input {spec} looks like the label that the model was trained on, which no pair has at night; "
            f"if it is a feature, say --map {spec.name}={spec.name}"
            for spec in labels
        ),
    ]
    flags = [f"--{role}-input INPUT" for role, name in (("user", user), ("candidate", candidate)) if name is None]
    flags += [f"--set {spec.name}={'false' if spec.dtype == 'bool' else 0}" for spec in labels]
    if problems or user is None or candidate is None:
        raise UsageError(
            "E-BINDING",
            f"what signature {signature.name!r} takes is not clear from the model alone",
            where=saved.path,
            found="inputs " + (", ".join(map(str, signature.inputs.values())) or "none"),
            expected="one input that takes the user's id, one that takes the candidate's, and no label",
            details=problems,
            next_step=f"add {' '.join(flags)}" if flags else "correct what is named above",
        )
    if card is not None and card.known is not None:
        card = _with_fitting_known(saved, card, card.known, (user, candidate))
    return Choice(
        saved=saved,
        card=card,
        signature=signature,
        score=chosen.score,
        user_input=user,
        candidate_input=candidate,
        map=mapped,
        set=constants,
        fill=filled,
        lists=dict(card.lists) if card else {},
        vocabularies=read_vocabularies(saved.path, signature),
        date=settings.date,
        warnings=(*chosen.warnings, *find_lists_of_one(signature, constants)),
    )


def _list_problems(signature: Signature, settled: Collection[str | None]) -> Iterator[str]:
    for name, spec in signature.inputs.items():
        if takes_list(spec) and name not in settled:
            yield f"{describe_list_problem(spec)}, or give it one value with --set {name}=VALUE"


def _constant_problems(signature: Signature, constants: Mapping[str, str], date: dt.date) -> Iterator[str]:
    for name, text in constants.items():
        if name not in signature.inputs:
            yield f"--set {name}: the model has no such input"
            continue
        try:
            parse_constant(signature.inputs[name].dtype, text, date)
        except ValueError as error:
            yield f"--set {name}={text}: {error}"


def _fill_problems(signature: Signature, settings: AdoptSettings, ids: Collection[str | None]) -> Iterator[str]:
    for name, text in settings.fill.items():
        if name not in signature.inputs:
            yield f"--fill {name}: the model has no such input"
        elif name in ids:
            yield f"--fill {name}: an id is never filled in"
        elif name in settings.set:
            yield f"input {name}: --set excludes --fill"
        elif not spells_constant(signature.inputs[name].dtype, text):
            yield f"--fill {name}={text}: not a value of {signature.inputs[name].dtype}"


def _with_fitting_known(
    saved: SavedModel, card: ModelCard, known: KnownSignature, roles: tuple[str, str]
) -> ModelCard:
    """The card, without a `known` signature of other roles than these. Raises ModelError as a run does."""
    if roles != (card.user_input, card.candidate_input):
        return card.model_copy(update={"known": None})
    require_known_signature(saved, known, roles)
    return card


def _require_elsewhere(settings: AdoptSettings, saved: SavedModel) -> None:
    if settings.output.resolve().is_relative_to(saved.path):
        raise UsageError(
            "E-OUTPUT-IS-INPUT",
            "the output lies inside the SavedModel that would be copied",
            where=settings.output,
            expected=f"a directory outside {saved.path}",
            next_step="give another directory with --output",
        )


def _role_problems(
    signature: Signature, roles: Mapping[str, str | None], constants: Mapping[str, str]
) -> Iterator[str]:
    for role, name in roles.items():
        if name is None:
            yield f"the {role} input is not clear; give --{role}-input"
        elif name not in signature.inputs:
            yield f"--{role}-input {name}: the model has no such input"
        elif name in constants:
            yield f"input {name} takes the {role}'s id, and --set makes it a constant"
        elif not any(find_cast(type_, signature.inputs[name].dtype, is_id=True) for type_ in _ID_TYPES):
            yield f"input {signature.inputs[name]} cannot take the {role}'s id: ids are strings or integers"
    if roles["user"] is not None and roles["user"] == roles["candidate"]:
        yield f"input {roles['user']} takes both ids"


def _labels(signature: Signature, settled: Collection[str | None]) -> list[TensorSpec]:
    """Inputs of numbers that nothing was said about and that are called like a label."""
    return [spec for name, spec in signature.inputs.items() if name not in settled and looks_like_label(spec)]
