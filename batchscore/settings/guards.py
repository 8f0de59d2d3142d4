"""The limits of `batchscore run` that compare a night with the one before it, and with common sense."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, NonNegativeInt

from batchscore.settings.base import Settings
from batchscore.settings.limits import Age, Limit, Multiple
from batchscore.settings.setting import Setting, Switch
from batchscore.settings.values import share

_Share = Annotated[Limit, AfterValidator(share)]


class GuardSettings(Settings):
    """What a night must keep to if it is to be published."""

    max_user_drop: Annotated[
        Limit,
        Setting(
            "LIMIT",
            "Users fewer than last published.",
            "Only users who have a list count. `20` is a number of users, `20%` a share. Decided early if the "
            "input's footers already show it.",
        ),
    ] = Limit.parse("20%")
    max_pair_drop: Annotated[
        Limit,
        Setting(
            "LIMIT",
            "Pairs fewer than last published.",
            "Bad rows do not count. Decided early if the input's footers already show it.",
        ),
    ] = Limit.parse("20%")
    max_candidate_drop: Annotated[Limit, Setting("LIMIT", "Distinct candidates fewer than last published.")] = (
        Limit.parse("50%")
    )
    max_user_turnover: Annotated[
        _Share,
        Setting(
            "SHARE",
            "Users who were not among those last published.",
            "A share of the smaller night's users.",
        ),
    ] = Limit.parse("50%")
    max_short_list_rise: Annotated[
        _Share,
        Setting(
            "SHARE",
            "Rise of the share of users with a short list since last published.",
            "Compared if both nights have the same `--top-n`.",
        ),
    ] = Limit.parse("50%")
    max_duplicate_rise: Annotated[
        _Share,
        Setting(
            "SHARE",
            "Rise of the share of pairs that repeat another one since last published.",
            "Counted among up to 32 pairs of each of 128 candidates.",
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
        NonNegativeInt, Setting("N", "Refuse fewer users.", "Decided early if the input's footers already show it.")
    ] = 0
    min_pairs: Annotated[
        NonNegativeInt, Setting("N", "Refuse fewer pairs.", "Decided early if the input's footers already show it.")
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
        Setting(
            "SHARE",
            "Candidates that have the same score for all their users.",
            "`off` if that is intended. `adopt` has a limit of this name for its probe rows.",
        ),
    ] = Limit.parse("99%")
    allow_equal_scores: Annotated[
        bool,
        Switch("Publish although all scores are equal.", "Without it such a night is refused."),
    ] = False
