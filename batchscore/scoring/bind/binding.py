"""Pair columns and model inputs, brought together once at the door. All problems are reported at once."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from batchscore.columns import RANK, SCORE, USER_ID, is_id_type, is_text, plain_type, ranked_schema
from batchscore.errors import UsageError, did_you_mean, format_list, shorten
from batchscore.savedmodel.card import ModelCard
from batchscore.savedmodel.pair_inputs import describe_list_problem, describe_values
from batchscore.savedmodel.roles import looks_like_label
from batchscore.savedmodel.saved_model import Signature, TensorSpec, is_column, takes_list
from batchscore.scoring.bind.casts import FLOATS, Cast, advise_type, find_cast
from batchscore.scoring.bind.constants import find_lists_of_one, parse_constant
from batchscore.scoring.bind.feeding import Feed, choose_feeds
from batchscore.scoring.bind.hints import Evidence, fitting_columns, map_flag, match_columns, no_column
from batchscore.scoring.bind.id_columns import IdColumn, choose_id_columns, id_inputs
from batchscore.scoring.bind.kept import format_columns, keep_columns, keep_outputs
from batchscore.settings.run import RunSettings


@dataclass(frozen=True)
class BoundColumn:
    """A model input that a pair column feeds. `fill` (length 1, of the input's dtype) stands in for nulls.

    With `nonfinite` the model is given NaN and infinite numbers too; otherwise such a row is bad.
    """

    input: TensorSpec
    column: str
    cast: Cast
    fill: pa.Scalar | None
    nonfinite: bool = False


@dataclass(frozen=True)
class Binding:
    """What the run reads, what it feeds, and what it writes.

    `columns` are the pair columns needed, each once. `user_input` and `candidate_input` name the inputs that take
    the two ids, also where a `--map` feeds one from another column (None if the model takes no such input).
    `kept` maps output names to pair columns, in order; `kept_outputs` to outputs of the model, which follow.
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
    warnings: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The pair columns that the run reads."""
        fed = [bound.column for bound in self.inputs]
        return list(dict.fromkeys([self.user, self.candidate, *fed, *self.kept.values()]))

    def fed_from(self, input_: str | None) -> str | None:
        """The pair column that feeds the input; None if none does."""
        return next((bound.column for bound in self.inputs if bound.input.name == input_), None)


def bind(
    schema: pa.Schema,
    signature: Signature,
    card: ModelCard | None,
    settings: RunSettings,
    evidence: Evidence | None = None,
    *,
    folder_keys: Collection[str] = (),
) -> Binding:
    """Bind the pair columns of `schema` to the inputs of `signature`.

    `evidence` is asked which column a message should name; `folder_keys` are the keys of `key=value` subfolders,
    which are no columns. Raises UsageError: E-BINDING with every problem, the
    inputs, the columns, what bound, and a line of flags to paste; E-KEEP for kept columns.
    """
    if card is not None and card.signature != signature.name:
        card = None
    columns = {field.name: field.type for field in schema}
    feeds = choose_feeds(signature, card, settings, columns)
    ids = choose_id_columns(signature, card, settings, feeds)
    user, candidate = (item.column for item in ids)
    binder = _Binder(columns, signature, settings, feeds, ids, folder_keys=folder_keys)
    binder.check_flags()
    binder.check_constants(id_inputs(card, feeds, ids))
    for spec in signature.inputs.values():
        binder.bind_input(spec)
    for item in ids:
        binder.check_id(item)
    if user == candidate:
        binder.problems.append(f"user and candidate are the same column {user!r}")
    if not binder.problems and evidence is not None:
        binder.check_separators(evidence)
    if binder.problems or user is None or candidate is None:
        raise binder.error(card, evidence)
    kept = keep_columns(settings, columns, taken={user, candidate, SCORE, RANK})
    kept += keep_outputs(settings.keep_output, signature, taken={user, candidate, SCORE, RANK, *settings.keep})
    return Binding(
        user=user,
        candidate=candidate,
        inputs=tuple(binder.inputs),
        constants=binder.constants,
        kept=dict(settings.keep),
        kept_outputs=dict(settings.keep_output),
        user_input=ids[0].input,
        candidate_input=ids[1].input,
        schema=ranked_schema(schema.field(user), schema.field(candidate), kept),
        hidden=tuple(feed for feed in feeds.values() if feed.hidden),
        warnings=(*binder.doubts(), *binder.unfed_ids(card)),
    )


class _Binder:
    """Collects what binds, what does not, and what a message would name."""

    def __init__(
        self,
        columns: Mapping[str, pa.DataType],
        signature: Signature,
        settings: RunSettings,
        feeds: Mapping[str, Feed],
        id_columns: tuple[IdColumn, IdColumn],
        *,
        folder_keys: Collection[str],
    ) -> None:
        self.columns = columns
        self.signature = signature
        self.settings = settings
        self.feeds = feeds
        self.id_columns = id_columns
        self.folder_keys = folder_keys
        self.ids = {item.column for item in id_columns}
        self.inputs: list[BoundColumn] = []
        self.constants: dict[str, pa.Scalar] = {}
        self.problems: list[str] = []
        self.unfed: list[TensorSpec] = []
        self.labels: list[TensorSpec] = []

    def check_flags(self) -> None:
        settings = self.settings
        for flag, given in (("--map", settings.map), ("--set", settings.set), ("--fill", settings.fill)):
            self.problems += [
                f"{flag} {name}: the model has no such input{did_you_mean(name, self.signature.inputs)}"
                for name in given
                if name not in self.signature.inputs
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
            f"--set {name}: this input takes the {role}'s id, which cannot be a constant; leave the flag out"
            for name, role in id_inputs.items()
            if name in self.feeds and self.feeds[name].constant is not None
        ]

    def bind_input(self, spec: TensorSpec) -> None:
        feed = self.feeds[spec.name]
        if not is_column(spec):
            self.problems.append(f"input {spec} takes {describe_values(spec)}, and a column has one value per pair")
        elif feed.constant is not None:
            self.constants[spec.name] = self._constant(spec, feed.constant, "--set")
        elif takes_list(spec) and feed.column not in self.ids:
            self.problems.append(describe_list_problem(spec))
        elif feed.column not in self.columns:
            self._note_unfed(spec, feed.column)
        else:
            self._bind_column(spec, feed)

    def check_id(self, item: IdColumn) -> None:
        role, column = item.role, item.column
        if column is None:
            self.problems.append(f"the {role} column is not clear from the model's inputs; give --{role}-column")
        elif column not in self.columns:
            hint = did_you_mean(column, self.columns) if column in self._told_ids() else ""
            self.problems.append(f"the pairs have no {role} column {column!r}{hint}")
        elif not is_id_type(self.columns[column]):
            type_ = self.columns[column]
            self.problems.append(f"{role} column {column!r} is {type_}: ids are strings or integers")
        elif len(self.ids) > 1 and item.other in self.columns and (problem := item.problem()):
            self.problems.append(problem)

    def check_separators(self, evidence: Evidence) -> None:
        """Texts of several values with another separator than the model's would each be one unknown value."""
        for bound in self.inputs:
            separator = self.feeds[bound.input.name].separator
            if separator is None or not is_text(plain_type(self.columns[bound.column])):
                continue
            if other := evidence.other_separator(bound.column, separator):
                self.problems.append(
                    f"input {bound.input} splits its text at {separator!r}, which no text of column "
                    f"{bound.column!r} holds; most hold {other!r}: write them as the model was trained"
                )

    def _told_ids(self) -> set[str | None]:
        return {self.settings.user_column, self.settings.candidate_column}

    def doubts(self) -> Iterator[str]:
        """What binds and may not be meant: a column that feeds several inputs, an id as a list of one."""
        for column in dict.fromkeys(bound.column for bound in self.inputs):
            names = [bound.input.name for bound in self.inputs if bound.column == column]
            if len(names) > 1 and any(name in self.settings.map for name in names):
                yield f"column {column} feeds {len(names)} inputs: {', '.join(names)}"
        for bound in self.inputs:
            if takes_list(bound.input):
                yield f"input {bound.input} takes a list: each pair is scored with a list of one id"
        texts = {name: self.feeds[name].constant or "" for name in self.constants}
        yield from find_lists_of_one(self.signature, texts)

    def unfed_ids(self, card: ModelCard | None) -> Iterator[str]:
        """An id that the model does not see although no one said so, or although a `--map` said so."""
        told = (self.settings.user_column, self.settings.candidate_column)
        no_input = (card and card.user_input is None, card and card.candidate_input is None)
        for item, by_flag, by_card in zip(self.id_columns, told, no_input, strict=True):
            if item.other is not None:
                yield f"{item.describe_other()}: lists are those of {item.column}, scores those of {item.other}"
            elif by_flag is None and not by_card and item.input is None:
                yield f"the {item.role} column {item.column} feeds no input of the model"

    def error(self, card: ModelCard | None, evidence: Evidence | None) -> UsageError:
        bound = [f"{item.input.name} <- {shorten(item.column)}" for item in self.inputs]
        bound += [f"{name} = {self.feeds[name].constant}" for name in self.constants]
        return UsageError(
            "E-BINDING",
            f"the pair columns do not fit signature {self.signature.name!r}",
            where=self.settings.input,
            found=f"columns {format_columns(self.columns)}",
            expected=f"inputs {format_list(map(str, self.signature.inputs.values()))}",
            details=[*self.problems, f"bound: {format_list(bound, 'nothing')}"],
            next_step=self._next_step(card, evidence),
        )

    def _next_step(self, card: ModelCard | None, evidence: Evidence | None) -> str:
        """The flags to paste, otherwise what to do."""
        by_role = self._by_role()
        unfed = [spec for spec in self.unfed if spec.name not in by_role]
        taken = {feed.column for feed in self.feeds.values() if feed.constant is None} | set(by_role.values())
        free = {name: type_ for name, type_ in self.columns.items() if name not in taken}
        matched = match_columns(unfed, free, evidence)
        left = {name: type_ for name, type_ in free.items() if name not in matched.values()}
        flags, without = [map_flag(name, column) for name, column in by_role.items()], []
        for spec in unfed:
            if spec.name in matched or fitting_columns(spec, left):
                flags.append(map_flag(spec.name, matched.get(spec.name, no_column(self.columns))))
            else:
                without.append(spec.name)
        flags += [f"--set {spec.name}={'false' if spec.dtype == 'bool' else 0}" for spec in self.labels]
        flags += self._role_flags(card, matched)
        steps = [f"add {' '.join(flags)}"] if flags else []
        replaced = [map_flag(name, self.settings.map[name]) for name in matched if name in self.settings.map]
        if replaced:
            steps[0] += f" in place of {' '.join(replaced)}"
        id_names = {item.input for item in self.id_columns}
        for names, constant in (
            ([name for name in without if name in id_names], ""),
            ([name for name in without if name not in id_names], ", or give one value for every pair with --set"),
        ):
            if names:
                steps.append(f"no other column could feed {format_list(names)}: write it into the pairs{constant}")
        return "; ".join(steps) or "correct what is named above"

    def _by_role(self) -> dict[str, str]:
        """The id inputs that a `--map` from the column of their role would put right."""
        wrong = [item for item in self.id_columns if item.other is not None and not item.is_mapped]
        if len(self.ids) == 1:
            return {}
        return {
            item.input: item.column
            for item in wrong
            if item.input is not None and item.column is not None and item.column in self.columns
        }

    def _role_flags(self, card: ModelCard | None, matched: Mapping[str, str]) -> Iterator[str]:
        """A flag for each id whose column is not there even with the columns that were matched."""
        settings = self.settings.model_copy(update={"map": {**self.settings.map, **matched}})
        if card is None and settings.user_column is None and USER_ID in matched:
            yield f"--user-column {shlex.quote(matched[USER_ID])}"
            settings = settings.model_copy(update={"user_column": matched[USER_ID]})
        feeds = choose_feeds(self.signature, card, settings, self.columns)
        mappable = {feed.column for name, feed in feeds.items() if name not in matched}
        for item in choose_id_columns(self.signature, card, settings, feeds):
            if item.column is None or (item.column not in self.columns and item.column not in mappable):
                yield f"--{item.role}-column {no_column(self.columns)}"

    def _note_unfed(self, spec: TensorSpec, column: str) -> None:
        is_label = looks_like_label(spec) and spec.name not in self.settings.map and column not in self.ids
        (self.labels if is_label else self.unfed).append(spec)
        hint = "; it looks like the label that the model was trained on" if is_label else ""
        if spec.name in self.settings.map:
            hint = did_you_mean(column, self.columns)
        if column in self.folder_keys:
            hint = f"; the key of the folders {column}=... is not a column: write it into the files"
        self.problems.append(f"input {spec} has no column {column!r}{hint}")

    def _bind_column(self, spec: TensorSpec, feed: Feed) -> None:
        column, type_ = feed.column, self.columns[feed.column]
        cast = find_cast(type_, spec.dtype, is_id=column in self.ids, separator=feed.separator)
        if cast is None:
            advice = advise_type(type_, spec.dtype, is_id=column in self.ids)
            self.problems.append(f"input {spec} cannot take column {column!r} of type {shorten(type_)}: {advice}")
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
