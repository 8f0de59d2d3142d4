"""The guards of finished lists, in the order in which messages tell of them. One more is one more line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from batchscore.publishing.baseline import Baseline
from batchscore.run_report import Report
from batchscore.scoring.guard.counts import Count, advise_on_left_out, check_candidates, check_drop, check_least
from batchscore.scoring.guard.missing import find_missing_users
from batchscore.scoring.guard.non_personalized import check_personalization
from batchscore.scoring.guard.scores import check_equal_scores, check_score_shift, check_spread_change
from batchscore.scoring.guard.shares import check_duplicates, check_short_lists
from batchscore.scoring.guard.turnover import check_turnover
from batchscore.scoring.guard.verdict import NO_FIGURE, Verdict
from batchscore.scoring.rank.lists import USER, RankedLists
from batchscore.scoring.rank.statistics import Statistics
from batchscore.settings.run import RunSettings

_MIN_PAIRS = 100
"""Pairs that either night must have for the figures of both to be compared."""


@dataclass(frozen=True)
class Night:
    """What guards look at when the lists are finished; `baseline` is what the job published last."""

    lists: RankedLists
    statistics: Statistics
    report: Report
    settings: RunSettings
    baseline: Baseline

    @property
    def users(self) -> Count:
        """Users who get a list."""
        return Count.of_kept(
            self.lists.users, "users", "get a list", of_input=self.report.users, where=self.settings.input,
            advice=advise_on_left_out(self.report),
        )  # fmt: skip

    @property
    def pairs(self) -> Count:
        """Pairs that are ranked."""
        return Count.of_kept(
            self.report.pairs_ranked,
            "pairs",
            "are ranked",
            of_input=self.report.rows_read,
            where=self.settings.input,
            advice=advise_on_left_out(self.report),
        )

    @property
    def reason_not_compared(self) -> str | None:
        """Why the figures of this night cannot be compared with those last published; None if they can."""
        before = self.baseline.report
        if before is None:
            return NO_FIGURE
        few = min(self.report.pairs_ranked, before.pairs_ranked) < _MIN_PAIRS
        return f"one of the two nights has fewer than {_MIN_PAIRS} pairs" if few else None

    def find_missing(self) -> list[str]:
        """Users of the published output who get no list now."""
        return find_missing_users(self.baseline.file, self.lists.frame[USER].unique())


LIST_GUARDS: dict[str, Callable[[Night], Verdict]] = {
    "allow_equal_scores": lambda night: check_equal_scores(night.lists, night.report, night.settings),
    "max_identical_lists": lambda night: check_personalization(
        night.statistics.by_candidate.rows, night.lists, night.report.known_users, night.settings
    ),
    "min_users": lambda night: check_least(
        night.users, "min_users", "E-TOO-FEW-USERS", night.settings.min_users
    ),
    "max_user_drop": lambda night: check_drop(
        night.users, night.baseline.users, "max_user_drop", "E-USERS-DROPPED", night.settings.max_user_drop,
        examples=night.find_missing,
    ),
    "min_pairs": lambda night: check_least(
        night.pairs, "min_pairs", "E-TOO-FEW-PAIRS", night.settings.min_pairs
    ),
    "max_pair_drop": lambda night: check_drop(
        night.pairs, night.baseline.pairs, "max_pair_drop", "E-PAIRS-DROPPED", night.settings.max_pair_drop,
        examples=night.find_missing,
    ),
}  # fmt: skip
"""By the name of its setting, each guard that looks at the night as it is, or at counts of the one before."""

COMPARISONS: dict[str, Callable[[Night, Report], Verdict]] = {
    "max_candidate_drop": lambda night, before: check_candidates(night.report, before, night.settings),
    "max_user_turnover": lambda night, before: check_turnover(
        night.report, before, night.settings, missing=night.find_missing
    ),
    "max_short_list_rise": lambda night, before: check_short_lists(night.report, before, night.settings),
    "max_duplicate_rise": lambda night, before: check_duplicates(night.report, before, night.settings),
    "max_score_shift": lambda night, before: check_score_shift(night.report, before, night.settings),
    "max_spread_change": lambda night, before: check_spread_change(night.report, before, night.settings),
}
"""By the name of its setting, each guard that compares the figures of two nights."""


def check_all(night: Night) -> Iterator[Verdict]:
    """What every guard finds; those that have nothing to compare with say why."""
    for check in LIST_GUARDS.values():
        yield check(night)
    before, reason = night.baseline.report, night.reason_not_compared
    for name, compare in COMPARISONS.items():
        if before is None or reason is not None:
            yield Verdict(name, None, str(getattr(night.settings, name)), reason=reason)
        else:
            yield compare(night, before)
