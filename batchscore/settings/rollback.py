"""The settings of `batchscore rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from batchscore.settings.base import DatedSettings
from batchscore.settings.paths import DatedPath
from batchscore.settings.setting import Argument, Setting
from batchscore.settings.values import JobName


class RollbackSettings(DatedSettings):
    """Settings of `batchscore rollback`: the output, and what its run was told about its job."""

    output: Annotated[
        DatedPath,
        Argument(
            "OUTPUT.parquet",
            "The published file, or its path as the configuration has it.",
            "Of a job with `{date}` in its path, the earlier file of that date comes back.",
            written=True,
        ),
    ]
    state_dir: Annotated[
        Path | None,
        Setting("DIR", "Where the run keeps its state.", default="_batchscore/ beside the output", written=True),
    ] = None
    job: Annotated[JobName | None, Setting("NAME", "The --job of the run, if it has one.")] = None
