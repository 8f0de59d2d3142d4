"""Pair columns and model inputs, brought together once at the door. All problems are reported at once."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from batchscore.columns import RANK, SCORE, USER_ID, plain_type, ranked_schema
from batchscore.config import RunSettings
from batchscore.errors import UsageError, shorten, spell_list
from batchscore.runtime.card import ModelCard
from batchscore.runtime.roles import choose_candidate, looks_like_label
from batchscore.runtime.saved_model import Signature, TensorSpec, is_column
from batchscore.runtime.score import kept_type
from batchscore.scoring.casts import FLOATS, Cast, find_cast, is_text
from batchscore.scoring.constants import parse_constant
from batchscore.scoring.feeding import Feed, choose_feeds


@dataclass(frozen=True)
class BoundColumn:
    """A model input that a pair column feeds. `fill` (length 1, of the input's dtype) stands in for nulls.

    With `nonfinite` the model is given NaN and infinite numbers too; else such a row is bad.
    """

    input: TensorSpec
    column: str
    cast: Cast
    fill: pa.Scalar | None
    nonfinite: bool = False


@dataclass(frozen=True)
class Binding:
    """What the run reads, what it feeds, and what it writes.

    `columns` are the pair columns needed, each once. `user_input` and `candidate_input` name the inputs that the
    two ids feed (None where the model takes no such input). `kept` maps output names to pair columns, in order;
    `kept_outputs` to outputs of the model, whose columns follow.
    """

    user: str
    candidate: str
    inputs: tuple[BoundColumn, ...]
    constants: Mapping[str, pa.Scalar]
    kept: Mapping[str, str]
    kept_outputs: Mapping[str, str]
    user_input: str | None
    candidate_input: str | None
    schema: pa.Schema
    hidden: tuple[Feed, ...] = ()
    """The feeds that hide another one."""

    @property
    def columns(self) -> list[str]:
        """The pair columns that the run reads."""
        fed = [bound.column for bound in self.inputs]
        return list(dict.fromkeys([self.user, self.candidate, *fed, *self.kept.values()]))


def bind(schema: pa.Schema, signature: Signature, card: ModelCard | None, settings: RunSettings) -> Binding:
    """Bind the pair columns of `schema` to the inputs of `signature`.

    Raises UsageError: E-BINDING with every problem, the inputs, the columns, what bound, and a line of flags to
    paste; E-KEEP for kept columns.
    """
    columns = {field.name: field.type for field in schema}
    feeds = choose_feeds(signature, card, settings, columns)
    user, candidate = _roles(signature, card, settings, feeds)
    binder = _Binder(columns, signature, settings, feeds, ids={user, candidate})
    binder.check_flags()
    binder.check_constants(_id_inputs(signature, card, feeds, user, candidate))
    for spec in signature.inputs.values():
        binder.bind_input(spec)
    binder.check_id("user", user)
    binder.check_id("candidate", candidate)
    if user == candidate:
        binder.problems.append(f"user and candidate are the same column {user!r}")
    if binder.problems or user is None or candidate is None:
        raise binder.error()
    _require_keepable(settings, binder.columns, taken={user, candidate, SCORE, RANK})
    kept = [pa.field(name, binder.columns[column]) for name, column in settings.keep.items()]
    kept += _kept_outputs(settings.keep_output, signature, taken={user, candidate, SCORE, RANK, *settings.keep})
    return Binding(
        user=user,
        candidate=candidate,
        inputs=tuple(binder.inputs),
        constants=binder.constants,
        kept=dict(settings.keep),
        kept_outputs=dict(settings.keep_output),
        user_input=binder.input_of(user),
        candidate_input=binder.input_of(candidate),
        schema=ranked_schema(schema.field(user), schema.field(candidate), kept),
        hidden=tuple(feed for feed in feeds.values() if feed.hidden),
    )


class _Binder:
    """Collects what binds, what does not, and the flags that would mend it."""

    def __init__(
        self,
        columns: Mapping[str, pa.DataType],
        signature: Signature,
        settings: RunSettings,
        feeds: Mapping[str, Feed],
        ids: set[str | None],
    ) -> None:
        self.columns = columns
        self.signature = signature
        self.settings = settings
        self.feeds = feeds
        self.ids = ids
        self.inputs: list[BoundColumn] = []
        self.constants: dict[str, pa.Scalar] = {}
        self.problems: list[str] = []
        self.flags: list[str] = []

    def check_flags(self) -> None:
        settings = self.settings
        for flag, given in (("--map", settings.map), ("--set", settings.set), ("--fill", settings.fill)):
            self.problems += [
                f"{flag} {name}: the model has no such input" for name in given if name not in self.signature.inputs
            ]
        self.problems += [
            f"--allow-nonfinite {name}: the model has no such input of floats"
            for name in settings.allow_nonfinite
            if name not in self.signature.inputs or self.signature.inputs[name].dtype not in FLOATS
        ]
        for name in settings.set:
            if name in settings.map or name in settings.fill:
                self.problems.append(f"input {name}: --set excludes --map and --fill")

    def check_constants(self, id_inputs: Mapping[str, str]) -> None:
        """A constant in the place of an id would score every user, or every candidate, alike."""
        self.problems += [
            f"--set {name}: this input takes the {role}'s id, which is no constant; leave the flag out"
            for name, role in id_inputs.items()
            if name in self.feeds and self.feeds[name].constant is not None
        ]

    def bind_input(self, spec: TensorSpec) -> None:
        name, settings, feed = spec.name, self.settings, self.feeds[spec.name]
        column = feed.column
        if not is_column(spec):
            self.problems.append(f"input {spec} takes a list: listwise models cannot be ranked")
        elif feed.constant is not None:
            self.constants[name] = self._constant(spec, feed.constant, "--set")
        elif column not in self.columns:
            label = looks_like_label(spec) and name not in settings.map and column not in self.ids
            hint = "; it looks like the label that the model was trained on" if label else ""
            self.problems.append(f"input {spec} has no column {column!r}{hint}")
            self.flags.append(_constant_flag(spec) if label else self._suggest(spec))
        else:
            self._bind_column(spec, feed)

    def check_id(self, role: str, column: str | None) -> None:
        flag = f"--{role}-column"
        if column is None:
            self.problems.append(f"the {role} column cannot be told from the model's inputs; give {flag}")
            self.flags.append(f"{flag} COLUMN")
        elif column not in self.columns:
            self.problems.append(f"the pairs have no {role} column {column!r}")
            if not any(feed.column == column for feed in self.feeds.values()):
                self.flags.append(f"{flag} COLUMN")
        elif not _is_id(plain_type(self.columns[column])):
            type_ = self.columns[column]
            self.problems.append(f"{role} column {column!r} is {type_}: ids are strings or integers")

    def input_of(self, column: str) -> str | None:
        return next((bound.input.name for bound in self.inputs if bound.column == column), None)

    def error(self) -> UsageError:
        bound = [f"{item.input.name} <- {shorten(item.column)}" for item in self.inputs]
        bound += [f"{name} = {self.feeds[name].constant}" for name in self.constants]
        flags = " ".join(dict.fromkeys(self.flags))
        return UsageError(
            "E-BINDING",
            f"the pair columns do not fit signature {self.signature.name!r}",
            where=self.settings.input,
            found=f"columns {_spell_columns(self.columns)}",
            expected=f"inputs {spell_list(map(str, self.signature.inputs.values()))}",
            details=[*self.problems, f"bound: {spell_list(bound, 'nothing')}"],
            next_step=f"add {flags}" if flags else "correct what is named above",
        )

    def _bind_column(self, spec: TensorSpec, feed: Feed) -> None:
        column, type_ = feed.column, self.columns[feed.column]
        cast = find_cast(type_, spec.dtype, is_id=column in self.ids)
        if cast is None:
            hint = ": ids never pass through floats" if pa.types.is_floating(plain_type(type_)) else ""
            self.problems.append(f"input {spec} cannot take column {column!r} of type {type_}{hint}")
            self.flags.append(f"--map {spec.name}=COLUMN")
            return
        fill = None
        if feed.fill is not None:
            if column in self.ids:
                self.problems.append(f"--fill {spec.name}: an id is never filled in; a null id is a bad row")
            fill = self._constant(spec, feed.fill, "--fill")
        nonfinite = spec.name in self.settings.allow_nonfinite
        self.inputs.append(BoundColumn(spec, column, cast, fill, nonfinite))

    def _constant(self, spec: TensorSpec, text: str, flag: str) -> pa.Scalar:
        try:
            return parse_constant(spec.dtype, text, self.settings.date)
        except ValueError as error:
            self.problems.append(f"{flag} {spec.name}={text}: {error}")
            return pa.scalar(None)

    def _suggest(self, spec: TensorSpec) -> str:
        """The flag that would feed the input; a column is named only for text, and only the one that is left.

        A feature from the wrong column gives a plausible ranking; ids from a wrong one are unknown, and refused.
        """
        if spec.dtype != "string":
            return f"--map {spec.name}=COLUMN"
        used = {feed.column for feed in self.feeds.values()} | self.ids
        fitting = [
            name
            for name, type_ in self.columns.items()
            if name not in used and find_cast(type_, spec.dtype, is_id=True) is not None
        ]
        return f"--map {shlex.quote(f'{spec.name}={fitting[0]}' if len(fitting) == 1 else f'{spec.name}=COLUMN')}"


def _constant_flag(spec: TensorSpec) -> str:
    return f"--set {spec.name}={'false' if spec.dtype == 'bool' else 0}"


def _roles(
    signature: Signature, card: ModelCard | None, settings: RunSettings, feeds: Mapping[str, Feed]
) -> tuple[str | None, str | None]:
    """User and candidate column: flag, else the card's input, else `user_id` and the only other input."""

    def column_of(name: str) -> str:
        return feeds[name].column if name in feeds else name

    user = settings.user_column or (column_of(card.user_input) if card and card.user_input else USER_ID)
    if settings.candidate_column is not None:
        return user, settings.candidate_column
    if card is not None and card.candidate_input is not None:
        return user, column_of(card.candidate_input)
    user_input = next((name for name in signature.inputs if column_of(name) == user), None)
    constants = {name for name, feed in feeds.items() if feed.constant is not None}
    candidate = choose_candidate(signature, user_input, constants)
    return user, column_of(candidate) if candidate is not None else None


def _id_inputs(
    signature: Signature, card: ModelCard | None, feeds: Mapping[str, Feed], user: str | None, candidate: str | None
) -> dict[str, str]:
    """The inputs that take an id, and whose: by the card, else `user_id`; and those called like the id columns."""
    roles = {user: "user", candidate: "candidate"}
    inputs = {name: roles[feed.column] for name, feed in feeds.items() if feed.column in roles}
    if card is not None and card.signature == signature.name:
        by_card = {card.user_input: "user", card.candidate_input: "candidate"}
        return inputs | {name: role for name, role in by_card.items() if name is not None}
    return inputs | ({USER_ID: "user"} if USER_ID in signature.inputs else {})


def _is_id(type_: pa.DataType) -> bool:
    return is_text(type_) or bool(pa.types.is_integer(type_))


def _spell_columns(columns: Mapping[str, pa.DataType]) -> str:
    return spell_list(f"{shorten(name)} {shorten(type_)}" for name, type_ in columns.items())


def _require_keepable(settings: RunSettings, columns: Mapping[str, pa.DataType], taken: set[str]) -> None:
    problems = []
    for name, column in settings.keep.items():
        if name in taken:
            problems.append(f"{name!r} is a column of the output already; rename with --keep other_name={column}")
        if column not in columns:
            problems.append(f"the pairs have no column {column!r}")
        elif not _keepable(plain_type(columns[column])):
            problems.append(f"column {column!r} is {shorten(columns[column])}, which cannot be kept")
    if problems:
        raise UsageError(
            "E-KEEP",
            "kept columns do not fit",
            where=settings.input,
            found=f"columns {_spell_columns(columns)}",
            expected="columns of text, integers, float32, float64, bool, date32, timestamps or decimal128",
            details=problems,
            next_step="correct --keep",
        )


def _kept_outputs(keep: Mapping[str, str], signature: Signature, taken: set[str]) -> list[pa.Field]:
    """The columns of the kept outputs of the model."""
    problems = []
    for name, output in keep.items():
        if name in taken:
            problems.append(
                f"{name!r} is a column of the output already; rename with --keep-output other_name={output}"
            )
        if output not in signature.outputs:
            problems.append(f"the model has no output {output!r}")
        elif pa.types.is_null(kept_type(signature.outputs[output])):
            problems.append(f"output {signature.outputs[output]} is not one number a pair")
    if problems:
        raise UsageError(
            "E-KEEP",
            "kept outputs do not fit",
            found="; ".join(map(str, signature.outputs.values())),
            details=problems,
            next_step="correct --keep-output",
        )
    return [pa.field(name, kept_type(signature.outputs[output])) for name, output in keep.items()]


def _keepable(type_: pa.DataType) -> bool:
    types = pa.types
    if types.is_decimal128(type_):
        return bool(type_.scale >= 0)  # polars has no other
    plain = (types.is_integer, types.is_float32, types.is_float64, types.is_boolean, types.is_date32)
    return any(is_type(type_) for is_type in (*plain, is_text, types.is_timestamp))
