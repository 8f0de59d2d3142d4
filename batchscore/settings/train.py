"""The settings of `batchscore train`, apart from the others', so that a nightly run does not load them."""

from __future__ import annotations

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
from batchscore.settings.setting import Setting, Switch
from batchscore.settings.toml_tables import DECLARATION_TABLES
from batchscore.settings.values import Constants, InputColumn, Widths, input_name, require_number, share, tabular


class TrainSettings(Settings):
    """Settings of `batchscore train`. The defaults are the TFRS ranking tutorial's.

    `features`, `model` and `tasks` are tables of their own in TOML (see recipe.py). Without `features` the model
    knows the two ids, without `tasks` it predicts `rating_column`. `users` and `candidates` are side tables, joined
    by the id of that name. `layers` are the widths of the hidden layers.

    `split` is how the share `held_out` that the model is tested on is chosen: the latest rows (`time`, the default
    if there is a `timestamp_column`), rows at random, or the `last` rows of each user. With `patience`, the
    share `validation` of the other rows decides when to stop: after so many epochs without a better one. With
    `refit` the published model has then learned all rows, for the number of epochs that was best.

    `set` goes into the model's card: what features get in the nightly run whose pairs lack their column, such as
    `{date}` for a moment. `seed` decides the split and every random number of training.
    """

    tables: ClassVar[tuple[str, ...]] = DECLARATION_TABLES

    input: Annotated[
        Path, AfterValidator(tabular), Setting("FILE", "The interactions to learn from: .parquet or .csv.")
    ]
    output: Annotated[
        Path, Setting("DIR", "The model's directory; each training adds a version to it.", written=True)
    ]
    users: Annotated[
        Path | None,
        Setting(
            "FILE",
            "A row of features for each user, joined by the user column.",
            "Side tables are joined in training alone: every feature is a column of the nightly pairs, or a "
            "constant (`set`).",
        ),
    ] = None
    candidates: Annotated[
        Path | None, Setting("FILE", "The same for candidates, joined by the candidate column.")
    ] = None
    user_column: Annotated[InputColumn, Setting("COLUMN", "Who rated.")] = "user_id"
    candidate_column: Annotated[InputColumn, Setting("COLUMN", "What was rated.")] = "movie_id"
    rating_column: Annotated[
        str, Setting("COLUMN", "The rating, a number.", "Declared tasks name their labels themselves.")
    ] = "user_rating"
    timestamp_column: Annotated[str | None, Setting("COLUMN", "When it was rated; needed for a split by time.")] = (
        None
    )
    embedding_dimension: Annotated[PositiveInt, Setting("N", "Numbers that stand for one value.")] = 32
    layers: Annotated[Widths, Setting("N,N,...", "Widths of the hidden layers.")] = (256, 64)
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False), Setting("X", "The optimizer's step.")] = 0.1
    batch_rows: Annotated[
        PositiveInt,
        Setting("N", "Interactions per training step. Fewer for small data: 256 for some ten thousand."),
    ] = 8192
    shuffle_rows: Annotated[PositiveInt, Setting("N", "Interactions that are shuffled at once.")] = 100_000
    epochs: Annotated[PositiveInt, Setting("N", "Passes over the training rows.")] = 3
    held_out: Annotated[float, Field(gt=0, lt=1), Setting("SHARE", "Share of the rows to test the model on.")] = 0.2
    split: Annotated[
        Literal["time", "random", "last"] | None,
        Setting(
            "HOW",
            "What is held out: the latest rows (time), rows at random (random), or each user's last ones (last).",
            "A random split goes by the two ids, not by the place of the row: a pair stays on its side when rows "
            "are added, so the shares are only about right.",
            default="time with --timestamp-column, otherwise random",
        ),
    ] = None
    last: Annotated[
        PositiveInt,
        Setting(
            "N",
            "Rows of each user that --split last holds out.",
            "A user with no more rows than that keeps them for training. Without a `timestamp_column` the last "
            "rows are those that come last in the file.",
        ),
    ] = 1
    validation: Annotated[
        float, Field(gt=0, lt=1), Setting("SHARE", "Share of the other rows that --patience watches.")
    ] = 0.1
    patience: Annotated[
        NonNegativeInt,
        Setting(
            "N",
            "Stop after so many epochs without a better one; 0: never.",
            "The best epoch's weights are then taken.",
        ),
    ] = 0
    refit: Annotated[
        bool,
        Switch(
            "Publish a model that has learned the held-out rows too.",
            "It learns all rows for as many epochs as were best; `--no-refit` publishes the evaluated model.",
        ),
    ] = True
    max_regression: Annotated[
        Limit,
        AfterValidator(share),
        Setting("SHARE", "How much worse than the live version it may be, or off.", "On the same held-out rows."),
    ] = Limit.parse("2%")
    keep_versions: Annotated[
        PositiveInt,
        Field(le=1000),
        Setting(
            "N",
            "Versions that stay below --output; older ones are removed.",
            "Only versions that `batchscore train` made are removed, with their reports.",
        ),
    ] = 5
    set: Annotated[
        Constants,
        Setting(
            "FEATURE=VALUE",
            "What a feature is fed each night if the pairs lack it: {date} or a value.",
            "It goes into the model card.",
        ),
    ] = Field(default_factory=dict)
    tensorboard: Annotated[
        Path | None, Setting("DIR", "Write logs for TensorBoard here (extra tensorboard).", written=True)
    ] = None
    seed: Annotated[NonNegativeInt, Field(lt=2**31), Setting("N", "Decides the split and every random number.")] = (
        42
    )
    features: Annotated[
        dict[str, Feature],
        Setting("[features.COLUMN]", "What the model is given: one table per column.", default="the two ids"),
    ] = Field(default_factory=dict)
    model: Annotated[
        Model, Setting("[model]", "How the model is made.", default="the TensorFlow Recommenders tutorial's model")
    ] = Model()
    tasks: Annotated[
        dict[str, Task],
        Setting(
            "[tasks.NAME]",
            "What the model predicts: one table per task. The first one gives the score.",
            default="the rating",
        ),
    ] = Field(default_factory=dict)

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
            raise ValueError(f"{', '.join(unfair)} is what the model predicts, so it cannot be a feature")
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
            raise ValueError('split = "time" needs timestamp_column')
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
                raise ValueError(f"set: {name}: {unknown} is not a placeholder: only {DATE} is filled in")
        return self

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> Self:
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        if self.last != defaults["last"] and self.split != "last":
            raise ValueError('last counts rows of each user and needs split = "last"; other splits use held_out')
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
