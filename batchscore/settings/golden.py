"""The settings of `batchscore golden`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from batchscore.settings.base import Settings
from batchscore.settings.setting import Argument, Setting, Switch


class GoldenSettings(Settings):
    """Settings of `batchscore golden`."""

    directory: Annotated[Path, Argument("DIR", "The folder at and below which the cases lie.")]
    model: Annotated[
        Path | None, Setting("DIR", "Run all cases with this model.", default="the one that each names")
    ] = None
    update: Annotated[bool, Switch("Update the cases that differ to what their runs do.")] = False
