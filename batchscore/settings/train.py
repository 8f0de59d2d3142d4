"""The settings of `batchscore train`, apart from the others', so that a nightly run does not load them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from batchscore.settings.base import Settings
from batchscore.settings.limits import Limit
from batchscore.settings.paths import DATE, fill_date, find_placeholder
from batchscore.settings.recipe import Feature, Model, Rating, Task, Vocabulary, require_one_model
from batchscore.settings.toml_tables import DECLARATION_TABLES
from batchscore.settings.values import Constants, InputColumn, Widths, input_name, require_number, share, tabular


class TrainSettings(Settings):
    """Settings of `batchscore train`. The defaults are the TFRS ranking tutorial's.

    `features`, `model` and `tasks` are tables of their own in TOML (see recipe.py). Without `features` the model
    knows the two ids, without `tasks` it predicts `rating_column`. `users` and `candidates` are side tables, joined
    by the id of that name. `layers` are the widths of the hidden layers.

    `split` is how the share `held_out` that the model is tested on is chosen: the latest rows (`time`, the default
    where there is a `timestamp_column`), rows at random, or the `last` rows of each user. With `patience`, the
    share `validation` of the other rows decides when to stop: after so many epochs without a better one. With
    `refit` the published model has then learned all rows, for the number of epochs that was best.

    `set` goes into the model's card: what features get in the nightly run whose pairs lack their column, such as
    `{date}` for a moment. `seed` decides the split and every random number of training.
    """

    tables: ClassVar[tuple[str, ...]] = DECLARATION_TABLES

    input: Annotated[Path, AfterValidator(tabular)]
    output: Path
    users: Path | None = None
    candidates: Path | None = None
    user_column: InputColumn = "user_id"
    candidate_column: InputColumn = "movie_id"
    rating_column: str = "user_rating"
    timestamp_column: str | None = None
    embedding_dimension: PositiveInt = 32
    layers: Widths = (256, 64)
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    batch_rows: PositiveInt = 8192
    shuffle_rows: PositiveInt = 100_000
    epochs: PositiveInt = 3
    split: Literal["time", "random", "last"] | None = None
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    last: PositiveInt = 1
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: NonNegativeInt = 0
    refit: bool = True
    max_regression: Annotated[Limit, AfterValidator(share)] = Limit("2%", fraction=Fraction(1, 50))
    keep_versions: Annotated[PositiveInt, Field(le=1000)] = 5
    tensorboard: Path | None = None
    set: Constants = Field(default_factory=dict)
    seed: Annotated[NonNegativeInt, Field(lt=2**31)] = 42
    features: dict[str, Feature] = Field(default_factory=dict)
    model: Model = Model()
    tasks: dict[str, Task] = Field(default_factory=dict)

    @field_validator("candidate_column", "rating_column")
    @classmethod
    def _distinct(cls, name: str, info: ValidationInfo) -> str:
        for other in ("user_column", "candidate_column"):
            if info.data.get(other) == name:
                raise ValueError(f"{name!r} is the {other} already: user, candidate and rating are three columns")
        return name

    @field_validator("users", "candidates")
    @classmethod
    def _tabular(cls, side_table: Path | None) -> Path | None:
        return None if side_table is None else tabular(side_table)

    @field_validator("features", "tasks")
    @classmethod
    def _nameable(cls, declared: dict[str, Any]) -> dict[str, Any]:
        for name in declared:
            input_name(name)
        return declared

    @model_validator(mode="after")
    def _tasks_together(self) -> Self:
        require_one_model(self.all_tasks().values())
        if self.tasks and self.rating_column != type(self).model_fields["rating_column"].default:
            told = ", ".join(sorted({task.label for task in self.tasks.values()}))
            raise ValueError(f"rating_column changes nothing beside tasks: their labels are {told}")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels = {task.label for task in self.all_tasks().values()}
        if unfair := sorted(labels & set(self.all_features())):
            raise ValueError(f"{', '.join(unfair)} is what the model shall predict, so it cannot be a feature")
        for name, role in ((self.user_column, "user"), (self.candidate_column, "candidate")):
            declared = self.all_features()[name]
            if declared.role != role or declared.kind not in ("vocabulary", "hashed"):
                raise ValueError(f"{name} holds {role} ids: its role is {role}, its kind vocabulary or hashed")
        if self.timestamp_column in labels:
            raise ValueError(f"{self.timestamp_column} is the timestamp_column, so no task can predict it")
        moment = self.all_features().get(self.timestamp_column or "")
        if moment is not None and moment.kind != "timestamp":
            raise ValueError(f"{self.timestamp_column} is the timestamp_column: as a feature its kind is timestamp")
        if self.split == "time" and self.timestamp_column is None:
            raise ValueError("a split by time needs timestamp_column")
        return self

    @model_validator(mode="after")
    def _set_features(self) -> Self:
        for name, text in self.set.items():
            declared = self.all_features().get(name)
            if declared is None or name in (self.user_column, self.candidate_column):
                raise ValueError(f"set: {name} is no feature beside the two ids")
            if declared.kind in ("number", "buckets", "timestamp") and text != DATE:
                require_number(name, text, whole=declared.kind == "timestamp")
            elif unknown := find_placeholder(fill_date(text, "")):
                raise ValueError(f"set: {name}: {unknown} stands for nothing: only {DATE} is filled in")
        return self

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> Self:
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        if self.last != defaults["last"] and self.split != "last":
            raise ValueError(
                'last is how many rows of each user are held out with split = "last"; else it is held_out'
            )
        if self.held_out != defaults["held_out"] and self.split == "last":
            raise ValueError('held_out changes nothing with split = "last": each user\'s newest rows are held out')
        if self.validation != defaults["validation"] and not self.patience:
            raise ValueError("validation says by which rows training stops early, so it needs patience")
        return self

    def all_features(self) -> dict[str, Feature]:
        """The declared features, by column; the two ids come first and are vocabularies unless declared."""
        ids: dict[str, Feature] = {
            self.user_column: Vocabulary(role="user"),
            self.candidate_column: Vocabulary(role="candidate"),
        }
        return ids | self.features

    def all_tasks(self) -> dict[str, Task]:
        """The declared tasks, by name; the first one gives the score."""
        return self.tasks or {"rating": Rating(kind="rating", label=self.rating_column)}
