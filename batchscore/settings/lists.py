"""The settings of `batchscore diff` and `evaluate`, apart from those of a nightly run, which does not load them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    field_validator,
    model_validator,
)

from batchscore.columns import WantedColumns
from batchscore.settings.base import Settings
from batchscore.settings.limits import Limit
from batchscore.settings.values import Cutoffs, score_shift, share, tabular


class ListSettings(Settings):
    """The columns of tables of ranked lists that are no outputs of a run; `score_column` may be `off`."""

    user_column: str | None = None
    candidate_column: str | None = None
    rank_column: str | None = None
    score_column: str | None = None

    @property
    def list_columns(self) -> WantedColumns:
        """The columns as they are named here."""
        return WantedColumns(self.user_column, self.candidate_column, self.rank_column, self.score_column)

    @model_validator(mode="after")
    def _distinct_columns(self) -> Self:
        names = self.list_columns.names()
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(f"{repeated[0]!r} is named as more than one of user, candidate, rank and score column")
        return self


class DiffSettings(ListSettings):
    """Settings of `batchscore diff`: two outputs and how far they may differ (by default in near ties)."""

    old: Path
    new: Path
    max_users_lost: Limit = Limit("0", count=0)
    max_users_gained: Limit = Limit("0", count=0)
    max_changed_users: Limit = Limit("0", count=0)
    max_changed_first: Limit = Limit("0", count=0)
    min_overlap: Annotated[Limit, AfterValidator(share)] = Limit("0%", fraction=Fraction(0))
    max_score_shift: Annotated[float | Literal["tolerance", "off"], BeforeValidator(score_shift)] = "tolerance"


class EvaluateSettings(ListSettings):
    """Settings of `batchscore evaluate`: ranked lists, what users really did, and how to compare.

    `truth` and `training` have the user and candidate column of `ranked`, or those that `truth_user_column` and
    `truth_candidate_column` name. A pair is relevant where its label is at
    least `relevant`, without it where it is above 0, and without `label_column` always.
    """

    ranked: Path
    truth: Annotated[Path, AfterValidator(tabular)]
    training: Path | None = None
    truth_user_column: str | None = None
    truth_candidate_column: str | None = None
    label_column: str | None = None
    relevant: FiniteFloat | None = None
    k: Cutoffs = (10,)
    gain: Literal["linear", "exponential", "binary"] = "linear"
    scores: Literal["probabilities", "logits"] | None = None
    bootstrap: Annotated[NonNegativeInt, Field(le=100_000)] = 1000
    seed: Annotated[NonNegativeInt, Field(lt=2**31)] = 42

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.relevant is not None and self.label_column is None:
            raise ValueError("relevant says which labels count, so it needs label_column")
        if self.scores is not None and self.label_column is None:
            raise ValueError("scores says how they are compared with labels, so it needs label_column")
        return self

    @field_validator("training")
    @classmethod
    def _tabular(cls, rows: Path | None) -> Path | None:
        return None if rows is None else tabular(rows)
