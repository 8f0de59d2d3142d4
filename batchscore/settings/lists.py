"""The settings of `batchscore diff` and `evaluate`, apart from those of a nightly run, which does not load them."""

from __future__ import annotations

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
from batchscore.settings.setting import Argument, Setting
from batchscore.settings.values import Cutoffs, score_shift, share, tabular


class ListSettings(Settings):
    """The columns of tables of ranked lists that are no outputs of a run; `score_column` may be `off`."""

    user_column: Annotated[
        str | None,
        Setting(
            "COLUMN",
            "The user column of lists that are not an output of `run`.",
            "A flag applies to every file that has the column.",
            default="user_id, otherwise the first",
        ),
    ] = None
    candidate_column: Annotated[
        str | None,
        Setting(
            "COLUMN",
            "Their candidate column.",
            default="the second if the user's is the first, otherwise the only other column of ids",
        ),
    ] = None
    rank_column: Annotated[
        str | None,
        Setting(
            "COLUMN",
            "Their rank: integers, whose order counts.",
            "Lists without a rank are in the order of a run: score descending, then candidate.",
            default="rank",
        ),
    ] = None
    score_column: Annotated[
        str | None,
        Setting(
            "COLUMN", "Their score, by which lists without a rank are ordered; off: none.", default="score, if any"
        ),
    ] = None

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

    old: Annotated[Path, Argument("OLD.parquet", "The output, or table of lists, to compare with.")]
    new: Annotated[Path, Argument("NEW.parquet", "The output, or table of lists, that is compared.")]
    max_users_lost: Annotated[Limit, Setting("LIMIT", "Users only in OLD: 100, 0.1% or off.")] = Limit.parse("0")
    max_users_gained: Annotated[Limit, Setting("LIMIT", "Users only in NEW, as a share of OLD's.")] = Limit.parse(
        "0"
    )
    max_changed_users: Annotated[
        Limit, Setting("LIMIT", "Users whose list really differs.", "Near ties never count.")
    ] = Limit.parse("0")
    max_changed_first: Annotated[Limit, Setting("LIMIT", "Users whose first place really differs.")] = Limit.parse(
        "0"
    )
    min_overlap: Annotated[
        Limit, AfterValidator(share), Setting("SHARE", "Mean share of candidates that two lists share: 95%.")
    ] = Limit.parse("0%")
    max_score_shift: Annotated[
        float | Literal["tolerance", "off"],
        BeforeValidator(score_shift),
        Setting(
            "SCORE",
            "Largest change of a pair's score: a number, tolerance or off.",
            "`tolerance` is 1e-4 of the spread (standard deviation) of a file's scores, at least 8 float32 steps "
            "of the largest; of the two files, the smaller one. "
            "Unless both files have scores, a number is exceeded.",
        ),
    ] = "tolerance"


class EvaluateSettings(ListSettings):
    """Settings of `batchscore evaluate`: ranked lists, what users really did, and how to compare.

    `truth` and `training` have the user and candidate column of `ranked`, or those that `truth_user_column` and
    `truth_candidate_column` name. A pair is relevant if its label is at
    least `relevant`, without it if it is above 0, and without `label_column` always.
    """

    ranked: Annotated[
        Path, Argument("RANKED.parquet", "An output of `run`, or any table of user, candidate and rank.")
    ]
    truth: Annotated[
        Path,
        AfterValidator(tabular),
        Argument("TRUTH", "What users really did, .parquet or .csv: user, candidate, and a label if there is one."),
    ]
    label_column: Annotated[
        str | None, Setting("COLUMN", "The label of TRUTH: a rating, or 1 and 0.", default="none")
    ] = None
    relevant: Annotated[
        FiniteFloat | None,
        Setting(
            "X",
            "Pairs with labels of at least X are relevant.",
            default="labels above 0; without a label, every pair",
        ),
    ] = None
    k: Annotated[Cutoffs, Setting("K,...", "Measure the first K of each list.")] = (10,)
    gain: Annotated[
        Literal["linear", "exponential", "binary"],
        Setting(
            "HOW",
            "What a pair is worth to NDCG: its label (linear), 2^label - 1 (exponential), or 1 if it is relevant "
            "(binary).",
        ),
    ] = "linear"
    training: Annotated[
        Path | None,
        Setting(
            "FILE",
            "The rows that the model has learned: adds baselines and popularity bias.",
            "The baselines order the same lists and predict the same pairs. Rows without the label give popularity "
            "alone.",
        ),
    ] = None
    scores: Annotated[
        Literal["probabilities", "logits"] | None,
        Setting(
            "WHAT",
            "What scores are if labels are 0 and 1: probabilities or logits.",
            default="probabilities if all are from 0 to 1, otherwise logits",
        ),
    ] = None
    bootstrap: Annotated[
        NonNegativeInt, Field(le=100_000), Setting("N", "Resamples of the users for the intervals; 0: none.")
    ] = 1000
    seed: Annotated[NonNegativeInt, Field(lt=2**31), Setting("N", "Decides the resamples.")] = 42
    truth_user_column: Annotated[
        str | None, Setting("COLUMN", "The user column of TRUTH and of the training rows.", default="as in RANKED")
    ] = None
    truth_candidate_column: Annotated[
        str | None, Setting("COLUMN", "Their candidate column.", default="as in RANKED")
    ] = None

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
