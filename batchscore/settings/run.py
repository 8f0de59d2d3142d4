"""The settings of `batchscore run`."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat, NonNegativeInt, PositiveInt

from batchscore.settings.base import Settings
from batchscore.settings.limits import Age, Limit, Multiple
from batchscore.settings.paths import DatedPath
from batchscore.settings.setting import Setting, Switch
from batchscore.settings.values import Bytes, ColumnMap, Constants, JobName, KeptColumns, share
from batchscore.system.clock import utc_today
from batchscore.system.environment import MODEL_ENVIRONMENT

MAX_THREADS = 256

_Share = Annotated[Limit, AfterValidator(share)]


class RunSettings(Settings):
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
            default=f"{MODEL_ENVIRONMENT}, else model/ beside the input",
            environment=MODEL_ENVIRONMENT,
        ),
    ] = None
    model_version: Annotated[
        PositiveInt | None, Setting("N", "Use this version of the model.", default="the highest complete one")
    ] = None
    signature: Annotated[
        str | None,
        Setting("NAME", "The signature that scores.", default="the model card's, else serving_default"),
    ] = None
    score_output: Annotated[
        str | None,
        Setting(
            "NAME",
            "The output that is the score.",
            "A sum or product of outputs will do: `0.7*rating + 0.3*click`.",
            default="the model card's, else the only one with one number per pair",
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
            "Users of whom no pair is left have no list (`users_none` in the report). The figures of scores count "
            "all pairs.",
            default="every pair is ranked",
        ),
    ] = None
    user_column: Annotated[
        str | None,
        Setting(
            "COLUMN",
            "The column of user ids; the lists are written under it.",
            "The model's user input must be fed from it: `--map user_id=COLUMN`.",
            default="the model card's, else user_id",
        ),
    ] = None
    candidate_column: Annotated[
        str | None,
        Setting(
            "COLUMN", "The column of candidate ids.", default="the model card's, else that of the only other input"
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
        Setting("INPUT=VALUE", "What stands in for nulls of a feature.", "A model of `train` remembers its fills."),
    ] = Field(default_factory=dict)
    allow_nonfinite: Annotated[
        tuple[str, ...],
        Setting(
            "INPUT",
            "Feed NaN and infinite numbers; else such rows are bad.",
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
    max_user_drop: Annotated[
        Limit,
        Setting(
            "LIMIT",
            "Users fewer than last published.",
            "Users who have a list count. Decided by the input's footers if they settle it.",
        ),
    ] = Limit.parse("20%")
    max_pair_drop: Annotated[
        Limit,
        Setting(
            "LIMIT",
            "Pairs fewer than last published.",
            "Bad rows are left out. Decided by the input's footers if they settle it.",
        ),
    ] = Limit.parse("20%")
    max_candidate_drop: Annotated[Limit, Setting("LIMIT", "Distinct candidates fewer than last published.")] = (
        Limit.parse("50%")
    )
    max_user_turnover: Annotated[
        _Share,
        Setting(
            "SHARE",
            "Users who are other ones than last published.",
            "A share of the smaller night's users.",
        ),
    ] = Limit.parse("50%")
    max_short_list_rise: Annotated[
        _Share,
        Setting(
            "SHARE",
            "Rise of the share of users with a short list since last published.",
            "Compared if both nights have one `--top-n`.",
        ),
    ] = Limit.parse("50%")
    max_duplicate_rise: Annotated[
        _Share,
        Setting(
            "SHARE",
            "Rise of the share of pairs that repeat another one since last published.",
            "Counted among the pairs of 32 users.",
        ),
    ] = Limit.parse("25%")
    max_score_shift: Annotated[
        Multiple,
        Setting(
            "TIMES",
            "How far the mean score may move, in standard deviations of the scores last published.",
            "The same model refuses beyond it and warns beyond a third of it; another model only warns.",
        ),
    ] = Multiple.parse("3")
    max_spread_change: Annotated[
        Multiple,
        Setting(
            "TIMES",
            "How many times the standard deviation of the scores may grow or shrink.",
            "The same model refuses beyond it and warns beyond its square root; another model only warns.",
        ),
    ] = Multiple.parse("4")
    min_users: Annotated[
        NonNegativeInt, Setting("N", "Refuse fewer users.", "Decided by the input's footers if they settle it.")
    ] = 0
    min_pairs: Annotated[
        NonNegativeInt, Setting("N", "Refuse fewer pairs.", "Decided by the input's footers if they settle it.")
    ] = 0
    max_input_age: Annotated[
        Age,
        Setting(
            "AGE",
            "Refuse an older input: 90m, 26h, 30d or off.",
            "By the date of the input file. Decided before the model is loaded.",
        ),
    ] = Age.parse("off")
    max_model_age: Annotated[
        Age,
        Setting(
            "AGE",
            "Refuse a model exported earlier.",
            "By the date of its `saved_model.pb`. Decided before the model is loaded.",
        ),
    ] = Age.parse("off")
    max_identical_lists: Annotated[
        _Share,
        Setting("SHARE", "Candidates that have one score for all their users.", "`off` if that is meant."),
    ] = Limit.parse("99%")
    allow_equal_scores: Annotated[
        bool,
        Switch("Publish although all scores are equal.", "Without it such a night is refused."),
    ] = False
    plan: Annotated[
        Literal["auto", "require", "off"],
        Setting(
            "auto|require|off",
            "Compute each part of the model once per distinct input, if that is proven to give the same scores.",
            "`auto`: from 50,000 pairs on, since with fewer the plan takes longer than it saves. `require`: refuse "
            "(`E-PLAN-REQUIRED`) rather than score without. `off`: the model as it was exported.",
        ),
    ] = "auto"
    plan_cache: Annotated[
        Path | None,
        Setting(
            "DIR",
            "Where plans are kept that do not lie with their model.",
            "Give one under cron if there is no home to write to. Nobody else may be able to write to it.",
            default="batchscore/plans in the user's cache folder",
            written=True,
        ),
    ] = None
    memory: Annotated[
        Bytes | None,
        Setting(
            "SIZE",
            "Memory that the run may plan with (4GB).",
            "The run refuses at the start (`E-MEMORY`) if the model does not fit. It keeps computed parts as far "
            "as the rest allows, at most 1 GiB.",
            default="the machine's or the control group's",
        ),
    ] = None
    threads: Annotated[
        PositiveInt,
        Field(le=MAX_THREADS),
        Setting("N", "Cores to score on.", "They decide nothing about the output.", default="all it may use"),
    ] = Field(default_factory=lambda: min(len(os.sched_getaffinity(0)), MAX_THREADS))
    keep_previous: Annotated[
        NonNegativeInt, Field(le=1000), Setting("N", "Earlier outputs to keep.", "For `batchscore rollback`.")
    ] = 1
    state_dir: Annotated[
        Path | None,
        Setting(
            "DIR",
            "Where reports, rejects and previous outputs lie.",
            "Several outputs may share it. `batchscore rollback` needs the same.",
            default="_batchscore/ beside the output",
            written=True,
        ),
    ] = None
    trust_model: Annotated[
        bool, Switch("Load the model although it reads or writes files, calls Python or opens connections.")
    ] = False
    date: dt.date = Field(default_factory=utc_today)
