"""The settings of `batchscore adopt`, apart from the others', so that a nightly run does not load them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt

from batchscore.settings.base import DatedSettings
from batchscore.settings.limits import Limit
from batchscore.settings.setting import Argument, Setting, Switch
from batchscore.settings.values import ColumnMap, Constants, share


class AdoptSettings(DatedSettings):
    """Settings of `batchscore adopt`: what `run` could be told about a model, told once and kept with it."""

    saved_model: Annotated[Path, Argument("SAVEDMODEL", "A SavedModel, or a directory of versions of it.")]
    output: Annotated[
        Path, Setting("DIR", "The model's directory; the adoption adds a version to it.", written=True)
    ]
    model_version: Annotated[
        PositiveInt | None,
        Setting("N", "The version of SAVEDMODEL, if it has versions.", default="the highest complete one"),
    ] = None
    signature: Annotated[str | None, Setting("NAME", "The signature that scores.", default="serving_default")] = (
        None
    )
    score_output: Annotated[
        str | None,
        Setting(
            "NAME",
            "The output that is the score, or `0.7*rating + 0.3*click`.",
            default="the only one with one number per pair",
        ),
    ] = None
    user_input: Annotated[
        str | None, Setting("INPUT", "The input that takes the user's id.", default="user_id")
    ] = None
    candidate_input: Annotated[
        str | None, Setting("INPUT", "The same for the candidate.", default="the only other")
    ] = None
    map: Annotated[ColumnMap, Setting("INPUT=COLUMN", "The pair column that feeds an input.")] = Field(
        default_factory=dict
    )
    set: Annotated[
        Constants,
        Setting(
            "INPUT=VALUE",
            "The constant that an input is fed, each night.",
            "An export of `tfrs.Model` often lists the label among its inputs: `--set user_rating=0`. `{date}` is "
            "kept as it is and filled in each night.",
        ),
    ] = Field(default_factory=dict)
    fill: Annotated[Constants, Setting("INPUT=VALUE", "What replaces a null, each night.")] = Field(
        default_factory=dict
    )
    probes: Annotated[
        Path | None,
        Setting(
            "SAMPLE.parquet",
            "Real pairs to remember the scores of.",
            "Rows are invented from the vocabularies in the model: text of several lengths, numbers over a range, "
            "an unknown user and an unknown candidate.",
            default="32 invented rows",
        ),
    ] = None
    max_identical_lists: Annotated[
        Limit,
        AfterValidator(share),
        Setting(
            "LIMIT",
            "Probe rows whose score stays the same with another user.",
            "A run has a limit of this name for the candidates of its pairs.",
        ),
    ] = Limit.parse("50%")
    allow_equal_scores: Annotated[bool, Switch("Adopt although all probe rows have the same score.")] = False
    trust_model: Annotated[
        bool, Switch("Load the model although it reads or writes files, calls Python or opens connections.")
    ] = False
