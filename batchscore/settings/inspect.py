"""The settings of `batchscore inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import PositiveInt

from batchscore.settings.base import Settings
from batchscore.settings.setting import Argument, Setting


class InspectSettings(Settings):
    """Settings of `batchscore inspect`: the model, and what `run` would be told about it."""

    model: Annotated[Path, Argument("MODEL", "A SavedModel, or a directory of versions of it.")]
    model_version: Annotated[
        PositiveInt | None, Setting("N", "The version to look at.", default="the highest complete one")
    ] = None
    signature: Annotated[
        str | None, Setting("NAME", "Look at the choice that `run --signature NAME` would make.")
    ] = None
    score_output: Annotated[str | None, Setting("NAME", "The same for `run --score-output NAME`.")] = None
    plan_cache: Annotated[Path | None, Setting("DIR", "Look for a plan there, as `run` does.")] = None
