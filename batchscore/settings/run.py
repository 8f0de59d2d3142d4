"""The settings of `batchscore run`."""

from __future__ import annotations

import datetime as dt
import os
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from batchscore.settings.base import Settings, today
from batchscore.settings.limits import Age, Limit, Multiple
from batchscore.settings.paths import DatedPath
from batchscore.settings.values import Bytes, ColumnMap, Constants, JobName, KeptColumns, share

MAX_THREADS = 256


class RunSettings(Settings):
    """Settings of `batchscore run`. `date` is what `{date}` stands for, in paths and in constants."""

    input: Path
    require_success: Literal["auto", "yes", "no"] = "auto"
    output: DatedPath
    job: JobName | None = None
    model: Path | None = None
    model_version: PositiveInt | None = None
    signature: str | None = None
    score_output: str | None = None
    top_n: Annotated[PositiveInt, Field(lt=2**31)] = 10
    user_column: str | None = None
    candidate_column: str | None = None
    keep: KeptColumns = Field(default_factory=dict)
    keep_output: KeptColumns = Field(default_factory=dict)
    map: ColumnMap = Field(default_factory=dict)
    set: Constants = Field(default_factory=dict)
    fill: Constants = Field(default_factory=dict)
    allow_nonfinite: tuple[str, ...] = ()
    max_bad_rows: Limit = Limit("0", count=0)
    max_unknown_users: Limit = Limit("50%", fraction=Fraction(1, 2))
    max_unknown_candidates: Limit = Limit("50%", fraction=Fraction(1, 2))
    max_user_drop: Limit = Limit("20%", fraction=Fraction(1, 5))
    max_pair_drop: Limit = Limit("20%", fraction=Fraction(1, 5))
    max_candidate_drop: Limit = Limit("50%", fraction=Fraction(1, 2))
    max_user_turnover: Annotated[Limit, AfterValidator(share)] = Limit("50%", fraction=Fraction(1, 2))
    max_short_list_rise: Annotated[Limit, AfterValidator(share)] = Limit("50%", fraction=Fraction(1, 2))
    max_duplicate_rise: Annotated[Limit, AfterValidator(share)] = Limit("25%", fraction=Fraction(1, 4))
    max_score_shift: Multiple = Multiple("3", times=3)
    max_spread_change: Multiple = Multiple("4", times=4)
    min_users: NonNegativeInt = 0
    min_pairs: NonNegativeInt = 0
    max_input_age: Age = Age("off")
    max_model_age: Age = Age("off")
    max_identical_lists: Annotated[Limit, AfterValidator(share)] = Limit("99%", fraction=Fraction(99, 100))
    allow_equal_scores: bool = False
    plan: Literal["auto", "require", "off"] = "auto"
    plan_cache: Path | None = None
    memory: Bytes | None = None
    threads: Annotated[PositiveInt, Field(le=MAX_THREADS)] = Field(
        default_factory=lambda: min(len(os.sched_getaffinity(0)), MAX_THREADS)
    )
    keep_previous: Annotated[NonNegativeInt, Field(le=1000)] = 1
    state_dir: Path | None = None
    trust_model: bool = False
    date: dt.date = Field(default_factory=today)
