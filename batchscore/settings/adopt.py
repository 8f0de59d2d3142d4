"""The settings of `batchscore adopt`, apart from the others', so that a nightly run does not load them."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt

from batchscore.settings.base import Settings, today
from batchscore.settings.limits import Limit
from batchscore.settings.values import ColumnMap, Constants, share


class AdoptSettings(Settings):
    """Settings of `batchscore adopt`: what `run` could be told about a model, told once and kept with it.

    `saved_model` is a SavedModel or a directory of versions of it; `probes` a Parquet sample of pairs.
    """

    saved_model: Path
    output: Path
    model_version: PositiveInt | None = None
    signature: str | None = None
    score_output: str | None = None
    user_input: str | None = None
    candidate_input: str | None = None
    map: ColumnMap = Field(default_factory=dict)
    set: Constants = Field(default_factory=dict)
    fill: Constants = Field(default_factory=dict)
    probes: Path | None = None
    max_identical_lists: Annotated[Limit, AfterValidator(share)] = Limit("50%", fraction=Fraction(1, 2))
    allow_equal_scores: bool = False
    trust_model: bool = False
    date: dt.date = Field(default_factory=today)
