"""The parts of a run's report. The docstring of a field is its description in the manual and in the JSON Schema."""

from __future__ import annotations

import datetime as dt

from pydantic import AliasChoices, Field

from batchscore.system.json_document import JsonDocument


class InputFile(JsonDocument):
    """An input file as it was when the run opened it."""

    path: str
    """Where it lies."""
    rows: int
    """Its rows, by its footer."""
    bytes: int
    """Its size."""
    modified_at: dt.datetime
    """When it was last modified, by the file system."""
    fingerprint: str | None = None
    """SHA-256 over three parts of the file: head, middle and end. Equal bytes have equal
    fingerprints. Null in older reports."""
    checksums: bool | None = None
    """Whether its pages have checksums, which the run checks; null if it has no page."""


class ModelUsed(JsonDocument):
    """The model of the run, and how it was chosen."""

    path: str
    """The SavedModel directory, links resolved."""
    version: int | None
    """Its version; null if the path is a SavedModel itself."""
    fingerprint: str
    """SHA-256 over paths, sizes and SHA-256 of its files, without a plan."""
    chosen: str
    """How it was chosen, in words: a flag, the environment, the highest complete version."""
    signature: str
    """The signature that was scored."""
    signature_chosen: str
    """How that was chosen: `--signature`, the model card, the default."""
    score_output: str
    """The output, or the sum or product of outputs, that is the score."""
    score_output_chosen: str
    """How that was chosen: `--score-output`, the model card, the only one."""
    probes: int | None = None
    """Rows with the scores of its export that the run compares; 0 if no model card has some of this signature and
    score. Null in older reports."""


class InputBinding(JsonDocument):
    """Where one input of the model came from."""

    input: str
    """The name of the input."""
    dtype: str
    """The input's type in TensorFlow's words."""
    column: str | None = None
    """The pair column that fed it; null for a constant."""
    constant: str | None = None
    """The constant that fed it, as text; null for a column."""
    cast: str | None = None
    """From which type to which, and by which rule; null for a constant."""
    filled: int = 0
    """Nulls for which `--fill` stood in, in pairs that are ranked."""
    hidden: list[str] = Field(default_factory=list)
    """What else could have fed it, in words: the pairs' own column, the card's constant."""


class KnownIds(JsonDocument):
    """Distinct ids inside and outside the model's vocabulary; null if the model cannot tell."""

    known: int | None = None
    """Distinct ids in the vocabulary."""
    unknown: int | None = None
    """Distinct ids outside it."""
    reason: str | None = Field(default=None, validation_alias=AliasChoices("reason", "why"))
    """Why they were not counted; null if they were. Older reports call it `why`."""

    @property
    def unknown_share(self) -> float | None:
        """Share of the distinct ids that are unknown, 0 to 1; None if nothing is known or there are no ids."""
        if self.known is None or self.unknown is None or self.known + self.unknown == 0:
            return None
        return self.unknown / (self.known + self.unknown)


class Scores(JsonDocument):
    """The scores of all scored pairs, ranked or not; null if there are none.

    Minimum and maximum are whole numbers if the model's scores are integers of 64 bits.
    """

    minimum: int | float | None = None
    """The least score."""
    mean: float | None = None
    """The mean."""
    maximum: int | float | None = None
    """The greatest score."""
    spread: float | None = None
    """The standard deviation."""


class PlanUsed(JsonDocument):
    """Whether the run was scored by a plan, and the pair that differed most when plan and model were compared.

    What was measured is null if they were not compared.
    """

    used: bool = False
    """Whether the scores are those of a plan."""
    reason: str | None = Field(default=None, validation_alias=AliasChoices("reason", "why_not"))
    """Why they are not; null if they are. Older reports call it `why_not`."""
    sha256: str | None = None
    """SHA-256 of the plan that was compared: with the model's fingerprint it tells what gave the scores."""
    checked_pairs: int = 0
    """Pairs that were scored both ways."""
    worst_difference: float | None = None
    """The greatest difference of two scores of a pair."""
    tolerance: float | None = None
    """How much they may differ."""
    user: str | None = None
    """The user of that pair."""
    candidate: str | None = None
    """Its candidate."""
    model_score: float | None = None
    """Its score by the model."""
    plan_score: float | None = None
    """Its score by the plan."""


class Output(JsonDocument):
    """The published file."""

    path: str
    """Where it lies."""
    rows: int
    """Its rows."""
    bytes: int
    """Its size."""
    sha256: str
    """SHA-256 of its bytes."""
    file_id: str | None = None
    """By what the file is known again without reading it: inode and time of the last write. Null in
    older reports."""


class GuardResult(JsonDocument):
    """A guard's figure against its limit. Shares are 0 to 1, ages seconds; null if nothing can be measured."""

    name: str
    """The setting that has the limit: `max_user_drop`."""
    figure: float | None
    """What was measured."""
    limit: str
    """The limit as it was given: `20%`, `off`."""
    ok: bool
    """Whether the figure keeps the limit."""
    reason: str | None = None
    """Why the figure is null."""
