"""The guards of a run, in the order in which what they look at is known. Each decides as early as it can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from batchscore.errors import RefusedError
from batchscore.publishing.baseline import Baseline
from batchscore.report_parts import GuardResult
from batchscore.run_report import Report
from batchscore.scoring.guard.ages import check_input_age, check_model_age
from batchscore.scoring.guard.changes import tell_changed_columns, tell_changed_lists, tell_lost_probes
from batchscore.scoring.guard.counts import Count, advise_on_left_out, check_pairs, check_users
from batchscore.scoring.guard.growth import tell_growth
from batchscore.scoring.guard.missing import find_missing_users
from batchscore.scoring.guard.verdict import NO_FIGURE, Refusal, Verdict
from batchscore.scoring.rank.statistics import Statistics
from batchscore.scoring.source.pair_source import PairSource
from batchscore.settings.run import RunSettings
from batchscore.system.clock import utc_now

if TYPE_CHECKING:
    import polars as pl

    from batchscore.scoring.rank.lists import RankedLists


class Guards:
    """The guards of one run; `results` gets the figure and the limit of each as it is known.

    `baseline` is what the job published last; `warn` takes what is told but not refused.
    """

    def __init__(
        self, settings: RunSettings, baseline: Baseline, results: list[GuardResult], warn: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._baseline = baseline
        self._results = results
        self._warn = warn
        self._now = utc_now()
        self._kept = "Kept last night's file." if settings.output.path.exists() else "Nothing was published."

    def warnings(self, pairs: PairSource, report: Report) -> Iterator[str]:
        """What the person should know although nothing is refused for it; `report` has what the run is to do."""
        yield from self._baseline.warnings
        published, columns = self._baseline.report, self._baseline.columns
        if columns is not None and report.columns is not None:
            yield from tell_changed_columns(report.columns, columns)
        if published is None:
            return
        if published.rolled_back_at is not None:
            yield (
                f"the published output was rolled back on {published.rolled_back_at:%Y-%m-%d} to run "
                f"{published.run_id}: this run compares itself with that one"
            )
        yield from tell_changed_lists(report, published)
        yield from tell_lost_probes(report, published)
        before = [(file.bytes, file.fingerprint) for file in published.inputs]
        if pairs.parts and before == [(part.bytes, part.fingerprint) for part in pairs.parts]:
            newest = max(part.modified_at for part in pairs.parts)
            yield (
                f"the input is that of the published run {published.run_id}: nothing has changed since "
                f"{newest:%Y-%m-%dT%H:%M:%SZ}; did retrieval run?"
            )

    def check_input(self, pairs: PairSource, read_users: Callable[[], pl.Series]) -> None:
        """What is settled before a pair is read: the input's age, its pairs, and users that it cannot have.

        A number of pairs that is not known exactly is no verdict yet: the lists will tell. `read_users` gives the
        distinct users of the input. It is called only if the pairs or users are refused: for examples, and so that
        one message tells of both. Raises RefusedError: E-INPUT-TOO-OLD, E-CLOCK,
        E-TOO-FEW-PAIRS, E-PAIRS-DROPPED, E-TOO-FEW-USERS, E-USERS-DROPPED.
        """
        settings, rows, where = self._settings, pairs.row_count, pairs.path
        users_of_input = cache(read_users)

        def missing() -> list[str]:
            return find_missing_users(self._baseline.file, users_of_input())

        age = check_input_age(pairs, settings.max_input_age, self._now)
        if rows.rows is None:
            self._settle([age])
            return
        of_pairs = list(check_pairs(Count.of_input(rows.rows, where), self._baseline.pairs, settings, missing))
        if any(verdict.refusal is not None for verdict in of_pairs):
            users = Count.of_users(users_of_input().drop_nulls().len(), where)
        else:
            users = Count.of_most_users(rows.rows, where)
        of_users = check_users(users, self._baseline.users, settings, missing)
        settled = of_pairs if rows.exact else (verdict for verdict in of_pairs if verdict.refusal is not None)
        self._settle([age, *settled, *(verdict for verdict in of_users if verdict.refusal is not None)])

    def check_model(self, model: Path) -> None:
        """The age of the SavedModel at `model`. Raises RefusedError (E-MODEL-TOO-OLD, E-CLOCK)."""
        self._settle([check_model_age(model, self._settings.max_model_age, self._now)])

    def check_lists(
        self, lists: RankedLists, statistics: Statistics, report: Report, park: Callable[[], Path | None]
    ) -> None:
        """What only the finished lists settle; `report` has the figures of this run.

        All guards are asked, so that one message tells everything there is to accept. `park` puts refused lists
        where someone can look at them, and gives their path.

        Raises RefusedError: E-NOTHING-RANKED, E-SCORES-EQUAL, E-IDENTICAL-LISTS, E-TOO-FEW-USERS, E-USERS-DROPPED,
        E-TOO-FEW-PAIRS, E-PAIRS-DROPPED, E-CANDIDATES-DROPPED, E-USERS-REPLACED, E-SHORT-LISTS, E-DUPLICATE-PAIRS,
        E-SCORES-MOVED, E-SCORES-SPREAD.
        """
        from batchscore.scoring.guard.table import Night, check_all  # noqa: PLC0415 - polars loads late

        self._require_a_list(lists, report)
        night = Night(lists, statistics, report, self._settings, self._baseline)
        verdicts = list(check_all(night))
        self._warn_of_missing_figures(verdicts)
        before = self._baseline.report
        if before is not None and night.reason_not_compared is None:
            for growth in tell_growth(report, before):
                self._warn(growth)
        self._settle(verdicts, park)

    def _require_a_list(self, lists: RankedLists, report: Report) -> None:
        """A night of no pairs is published as it is; one that loses all its pairs never."""
        if report.rows_read and not lists.rows:
            reasons = report.left_out or {}
            raise RefusedError(
                "E-NOTHING-RANKED",
                f"none of the input's {report.rows_read:,} pairs is ranked. {self._kept}",
                where=self._settings.input,
                found="; ".join(f"{reason}: {pairs:,}" for reason, pairs in reasons.items()),
                next_step=advise_on_left_out(report),
            )

    def _warn_of_missing_figures(self, verdicts: Sequence[Verdict]) -> None:
        """Say once which guards found nothing in the published report to compare with, as in that of an old run."""
        names = [verdict.name for verdict in verdicts if verdict.reason == NO_FIGURE]
        if names and self._baseline.report is not None:
            self._warn(f"the published report has no figures for {', '.join(names)}: these were not compared")

    def _settle(self, verdicts: Iterable[Verdict], park: Callable[[], Path | None] | None = None) -> None:
        """Note all verdicts and warn; the first refusal is raised, with what else is refused."""
        refusals = []
        for verdict in verdicts:
            self._note(verdict)
            if verdict.warning is not None:
                self._warn(verdict.warning)
            if verdict.refusal is not None:
                refusals.append(verdict.refusal)
        if refusals:
            raise self._error(refusals, park)

    def _error(self, refusals: Sequence[Refusal], park: Callable[[], Path | None] | None) -> RefusedError:
        """The error, with the place where the refused lists are kept once there are any."""
        first, *others = refusals
        parked = None if park is None else park()
        flags = " ".join(refusal.accept for refusal in refusals)
        return RefusedError(
            first.error_id,
            f"{first.what} {self._kept}",
            where=first.where,
            found=first.found,
            details=[
                *first.examples(),
                *(f"also {refusal.error_id}: {refusal.what}" for refusal in others),
                *([] if parked is None else [f"refused output: {parked}"]),
            ],
            next_step=f"{first.advice}, or accept once with {flags}",
        )

    def _note(self, verdict: Verdict) -> None:
        self._results[:] = [result for result in self._results if result.name != verdict.name]
        self._results.append(
            GuardResult(
                name=verdict.name,
                figure=verdict.figure,
                limit=verdict.limit,
                ok=verdict.refusal is None,
                reason=verdict.reason,
            )
        )
