"""How `batchscore run` goes about its work: nothing here decides what is published."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from batchscore.settings.base import Settings
from batchscore.settings.setting import Setting, Switch
from batchscore.settings.values import Bytes

MAX_THREADS = 256


class ExecutionSettings(Settings):
    """How a run computes, and where it keeps what it needs."""

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
            "Give one under cron if there is no home to write to. No other user may be able to write to it.",
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
