"""The settings of `batchscore run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, PositiveInt

from batchscore.settings.base import DatedSettings
from batchscore.settings.execution import ExecutionSettings
from batchscore.settings.guards import GuardSettings
from batchscore.settings.limits import Limit
from batchscore.settings.paths import DatedPath
from batchscore.settings.setting import Setting
from batchscore.settings.values import ColumnMap, Constants, JobName, KeptColumns
from batchscore.system.environment import MODEL_ENVIRONMENT


class RunSettings(GuardSettings, ExecutionSettings, DatedSettings):
    """Settings of `batchscore run`. `date` is what `{date}` stands for, in paths and in constants."""

    input: Annotated[
        Path,
        Setting(
            "PAIRS.parquet",
            "The pairs of user and candidate to score: a file, or a folder of files.",
            "The files of a folder are read in the order of their names, `key=value` subfolders included; names "
            "that begin with `_` or `.` are left out.",
        ),
    ]
    require_success: Annotated[
        Literal["auto", "yes", "no"],
        Setting(
            "auto|yes|no",
            "Wait for _SUCCESS in the folder; auto: if Spark or Hadoop wrote it.",
            "`auto` tells by names such as `part-00000-3f0c9a52-...` and `part-m-00000`. `yes` is for a writer of "
            "your own, or for a file beside which `_SUCCESS` lies; `no` if Spark is told to write none.",
        ),
    ] = "auto"
    output: Annotated[DatedPath, Setting("RANKED.parquet", "Where each user's top N is published.", written=True)]
    job: Annotated[
        JobName | None,
        Setting(
            "NAME",
            "Keep the job's history under this name.",
            "For an output whose path or name changes. At most 100 letters, digits, `_`, `-` and `.`.",
            default="the output's",
        ),
    ] = None
    model: Annotated[
        Path | None,
        Setting(
            "DIR",
            "A SavedModel, or a directory of integer versions of it.",
            default=f"{MODEL_ENVIRONMENT}, otherwise model/ beside the input",
            environment=MODEL_ENVIRONMENT,
        ),
    ] = None
    model_version: Annotated[
        PositiveInt | None, Setting("N", "Use this version of the model.", default="the highest complete one")
    ] = None
    signature: Annotated[
        str | None,
        Setting("NAME", "The signature that scores.", default="the model card's, otherwise serving_default"),
    ] = None
    score_output: Annotated[
        str | None,
        Setting(
            "NAME",
            "The output that is the score.",
            "A sum or product of outputs will do: `0.7*rating + 0.3*click`.",
            default="the model card's, otherwise the only one with one number per pair",
        ),
    ] = None
    top_n: Annotated[
        PositiveInt,
        Field(lt=2**31),
        Setting("N", "Candidates per user.", "A user with fewer candidates gets a short list."),
    ] = 10
    min_score: Annotated[
        FiniteFloat | None,
        Setting(
            "SCORE",
            "Rank no pair with a lower score.",
            "Users of whom no pair is left have no list (`users_none` in the report). Guards of users and pairs "
            "count who is left; the figures of scores count all scored pairs.",
            default="every pair is ranked",
        ),
    ] = None
    user_column: Annotated[
        str | None,
        Setting(
            "COLUMN",
            "The column of user ids; the lists are written under it.",
            "The model's user input must be fed from it: `--map user_id=COLUMN`.",
            default="the model card's, otherwise user_id",
        ),
    ] = None
    candidate_column: Annotated[
        str | None,
        Setting(
            "COLUMN",
            "The column of candidate ids.",
            default="the model card's, otherwise that of the only other input",
        ),
    ] = None
    keep: Annotated[
        KeptColumns,
        Setting(
            "[NEW=]COLUMN",
            "Carry a pair column into the output.",
            "The first `=` splits: a column called `a=b` is kept with `--keep x=a=b`.",
        ),
    ] = Field(default_factory=dict)
    keep_output: Annotated[
        KeptColumns, Setting("[NEW=]NAME", "Carry another output of the model into the output.")
    ] = Field(default_factory=dict)
    map: Annotated[
        ColumnMap,
        Setting(
            "INPUT=COLUMN",
            "Feed a model input from another column.",
            "`--map` and `--set` win over the pairs' column of the input's name, and that over the model card's "
            "constant.",
        ),
    ] = Field(default_factory=dict)
    set: Annotated[
        Constants,
        Setting(
            "INPUT=VALUE",
            "Feed a model input with a constant.",
            "Never an id. `{date}` is 00:00 UTC of `--date` in epoch seconds for an input of numbers, YYYY-MM-DD "
            "for one of text.",
        ),
    ] = Field(default_factory=dict)
    fill: Annotated[
        Constants,
        Setting("INPUT=VALUE", "What replaces nulls of a feature.", "A model of `train` remembers its fills."),
    ] = Field(default_factory=dict)
    allow_nonfinite: Annotated[
        tuple[str, ...],
        Setting(
            "INPUT",
            "Feed NaN and infinite numbers; otherwise such rows are bad.",
            "Only for a model that is known to tell NaN apart: a network may make a plausible score of it.",
        ),
    ] = ()
    max_bad_rows: Annotated[
        Limit,
        Setting(
            "LIMIT",
            "Bad rows to leave out: 100, 0.1% or off.",
            "They are counted and written to the rejects file. With more of them the run refuses.",
        ),
    ] = Limit.parse("0")
    max_unknown_users: Annotated[
        Limit,
        Setting(
            "LIMIT",
            "Distinct users unknown to the model.",
            "Counted if the model has a `known` signature or look-up tables that its ids feed.",
        ),
    ] = Limit.parse("50%")
    max_unknown_candidates: Annotated[Limit, Setting("LIMIT", "The same for candidates.")] = Limit.parse("50%")
