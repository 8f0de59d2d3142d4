"""What a ranking model is made of, as the TOML of `batchscore train` declares it: features, model and tasks."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from batchscore.settings.values import Widths

Role = Literal["user", "candidate", "context"]
"""Whom a feature describes: the user, the candidate, or the pair and its moment."""

Share = Annotated[float, Field(ge=0, lt=1)]


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class _Feature(_Declared):
    """A column that the model is given. `fill` stands for a null; without it a null is an error."""

    role: Role
    dimension: PositiveInt | None = None
    """Numbers that stand for one value; `embedding_dimension` if it is left out."""


class Vocabulary(_Feature):
    """An embedding of each value (text or whole numbers) that at least `min_count` training rows have.

    All others share `oov_buckets` embeddings.
    """

    kind: Literal["vocabulary"] = "vocabulary"
    min_count: PositiveInt = 1
    oov_buckets: PositiveInt = 1
    fill: str | int | None = None


class Hashed(_Feature):
    """An embedding of the value's hash: for vocabularies that are too large, or never end."""

    kind: Literal["hashed"]
    buckets: PositiveInt
    fill: str | int | None = None


class Number(_Feature):
    """The number itself, less the training mean and divided by the training standard deviation."""

    kind: Literal["number"]
    normalise: bool = True
    fill: float | None = None

    @model_validator(mode="after")
    def _one_wide(self) -> Number:
        if self.dimension is not None:
            raise ValueError("dimension changes nothing: a number is one number")
        return self


class Buckets(_Feature):
    """An embedding of the interval that a number falls into: `boundaries`, otherwise `count` training quantiles."""

    kind: Literal["buckets"]
    boundaries: tuple[float, ...] | None = None
    count: Annotated[int, Field(ge=2)] | None = None
    fill: float | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Buckets:
        if (self.boundaries is None) == (self.count is None):
            raise ValueError("give either boundaries or count")
        if self.boundaries is not None:
            ascending = all(low < high for low, high in zip(self.boundaries, self.boundaries[1:], strict=False))
            if not self.boundaries or not ascending or not all(map(math.isfinite, self.boundaries)):
                raise ValueError("boundaries are finite numbers in ascending order, at least one")
        return self


class Timestamp(_Feature):
    """A moment (epoch seconds, or a timestamp column): an embedding of its interval, and the moment normalised.

    There are `buckets` intervals (1,000 unless given) of equal length from the first to the last training row. With
    `bucket_seconds` they have that length, and those that at least `min_count` training rows lie in have their own
    embedding; all others, and so the future, share one. A quarter of an hour or so tells sessions apart.
    """

    kind: Literal["timestamp"]
    buckets: Annotated[int, Field(ge=2)] | None = None
    bucket_seconds: Annotated[PositiveInt, Field(lt=2**63)] | None = None
    min_count: PositiveInt = 1
    fill: int | None = None

    @model_validator(mode="after")
    def _number_or_length(self) -> Timestamp:
        if self.buckets is not None and self.bucket_seconds is not None:
            raise ValueError("give either buckets or bucket_seconds")
        if self.bucket_seconds is None and self.min_count > 1:
            raise ValueError("min_count changes nothing without bucket_seconds")
        return self


class Text(_Feature):
    """The mean of the embeddings of a text's words: lower case, no punctuation, the `max_tokens` most frequent."""

    kind: Literal["text"]
    max_tokens: PositiveInt = 10_000
    fill: str | None = None


class Labels(_Feature):
    """The mean of the embeddings of several values in one text, such as genres: `Comedy|Drama`."""

    kind: Literal["list"]
    separator: Annotated[str, Field(min_length=1)] = "|"
    min_count: PositiveInt = 1
    oov_buckets: PositiveInt = 1
    fill: str | None = None


Feature = Annotated[Vocabulary | Hashed | Number | Buckets | Timestamp | Text | Labels, Field(discriminator="kind")]


class Model(_Declared):
    """How the features become a score. The default is the TFRS ranking tutorial's: concatenated, then dense layers.

    `user_layers` and `candidate_layers` are the widths of the towers over each side's features (none: the features
    as they are). `interaction` is what meets the hidden layers `[train] layers`: both sides and the context
    concatenated (`concat`), that after `cross_layers` cross layers (`cross`, DCN; low rank with `cross_rank`), or
    that with the dot product of both sides (`dot`; they need equal width). `biases` adds a learned number for each
    user and candidate to every prediction.

    Layers have relu, but for the last one of a tower. `dropout` is the share of the outputs of each layer with relu
    that a training step leaves out.

    `factory` (`package.module:function`) replaces all this by a function that returns a `tfrs.Model`. Its module is
    looked for in `factory_folder` (the TOML's folder unless given), then in the working directory, then among what
    is installed.
    """

    factory: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = None
    factory_folder: Path | None = None
    user_layers: Widths = ()
    candidate_layers: Widths = ()
    interaction: Literal["concat", "cross", "dot"] = "concat"
    cross_layers: PositiveInt = 1
    cross_rank: PositiveInt | None = None
    biases: bool = False
    l2: NonNegativeFloat = 0.0
    """Weight of the squared entries of dense kernels in the loss."""
    embedding_l2: NonNegativeFloat = 0.0
    """Weight of the squared entries of the embeddings that a batch looks up, a row of it, in the loss."""
    dropout: Share = 0.0
    optimizer: Literal["adagrad", "adam"] = "adagrad"
    weight_average: Share = 0.0
    """What a moving average of the weights keeps at a step; it takes their place after each epoch (0: none)."""

    @model_validator(mode="after")
    def _factory_alone(self) -> Model:
        others = self._declared() - {"factory", "factory_folder", "optimizer"}
        if self.factory is not None and others:
            raise ValueError(f"with a factory the model is yours: {', '.join(sorted(others))} would change nothing")
        if self.factory is None and self.factory_folder is not None:
            raise ValueError("factory_folder without factory changes nothing")
        return self

    def _declared(self) -> set[str]:
        return {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}

    @model_validator(mode="after")
    def _crosses(self) -> Model:
        crossing = self._declared() & {"cross_layers", "cross_rank"}
        if self.interaction != "cross" and crossing:
            raise ValueError(f'{", ".join(sorted(crossing))} changes nothing without interaction = "cross"')
        return self


class _Task(_Declared):
    label: str
    """The column to predict; it is never an input of the exported model."""
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    @property
    def has_label_column(self) -> bool:
        """Whether the interactions hold the label; it is drawn in training if they do not."""
        return True


class _Graded(_Task):
    relevant: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """The least label of a row that a good list should hold; None: the mean label of the training rows."""


class Rating(_Graded):
    """A number: mean squared error."""

    kind: Literal["rating"]


class Click(_Task):
    """Yes or no (1 or 0, or a bool): binary cross-entropy on logits.

    With `negatives`, every row stands for a yes, `label` is not a column of the input, and each epoch draws so many
    candidates a row as a no.
    """

    kind: Literal["click"]
    negatives: NonNegativeInt = 0

    @property
    def has_label_column(self) -> bool:
        return self.negatives == 0


class Ranking(_Graded):
    """The order of each user's rows by `label`: a loss over pairs (`pairwise`) or whole lists (`listwise`).

    A training list has up to `list_length` rows of one user.
    """

    kind: Literal["pairwise", "listwise"]
    list_length: Annotated[int, Field(ge=2)] = 32


Task = Annotated[Rating | Click | Ranking, Field(discriminator="kind")]


def require_one_model(tasks: Collection[Task]) -> None:
    """Raises ValueError if no one model can have all these tasks."""
    if len({task.kind for task in tasks} & {"pairwise", "listwise"}) > 1:
        raise ValueError("one model has pairwise or listwise tasks, not both")
    lengths = sorted({task.list_length for task in tasks if isinstance(task, Ranking)})
    if len(lengths) > 1:
        told = ", ".join(map(str, lengths))
        raise ValueError(f"tasks of one model share their lists, so their list_length is one: {told}")
    given = {task.label for task in tasks if task.has_label_column}
    drawn = {task.label for task in tasks if not task.has_label_column}
    if unclear := sorted(given & drawn):
        raise ValueError(f"{', '.join(unclear)} is a column for one task, and drawn with its negatives by another")
    if sum(not task.has_label_column for task in tasks) > 1:
        raise ValueError("at most one task draws negatives")
