"""The guards of a run, in the order in which what they look at is known. Each decides as early as it can."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.config import RunSettings
from batchscore.errors import RefusedError
from batchscore.publishing.baseline import Baseline
from batchscore.report import GuardResult, Report
from batchscore.scoring.guard.ages import check_input_age, check_model_age
from batchscore.scoring.guard.counts import Count, check_pairs, check_users
from batchscore.scoring.guard.scores import check_equal_scores
from batchscore.scoring.guard.verdict import EXAMPLES, Refusal, Verdict
from batchscore.scoring.inputs import Pairs

if TYPE_CHECKING:
    import polars as pl

    from batchscore.scoring.topn import RankedLists


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
        self._now = dt.datetime.now(dt.UTC)
        self._kept = "Kept last night's file." if settings.output.path.exists() else "Nothing was published."

    def warnings(self, pairs: Pairs) -> Iterator[str]:
        """What the person should know although nothing is refused for it."""
        yield from self._baseline.warnings
        published = self._baseline.report
        if published is None:
            return
        if published.rolled_back_at is not None:
            yield (
                f"the published output was rolled back on {published.rolled_back_at:%Y-%m-%d} to run "
                f"{published.run_id}: this run compares itself with that one"
            )
        before = [(file.bytes, file.fingerprint) for file in published.inputs]
        if pairs.files and before == [(file.bytes, file.fingerprint) for file in pairs.files]:
            newest = max(file.modified_at for file in pairs.files)
            yield (
                f"the input is that of the published run {published.run_id}: nothing has changed since "
                f"{newest:%Y-%m-%dT%H:%M:%SZ}; did retrieval run?"
            )

    def check_input(self, pairs: Pairs, read_users: Callable[[], pl.Series]) -> None:
        """What the footers settle: the input's age, its pairs, and users that it cannot have.

        `read_users` gives the distinct users of the input; it is called only for the examples of a refusal. Raises
        RefusedError: E-INPUT-TOO-OLD, E-CLOCK, E-TOO-FEW-PAIRS, E-PAIRS-DROPPED, E-TOO-FEW-USERS, E-USERS-DROPPED.
        """
        settings = self._settings

        def missing() -> list[str]:
            return self._missing(read_users())

        self._settle([check_input_age(pairs, settings.max_input_age, self._now)])
        self._settle(check_pairs(Count.of_input(pairs.rows, pairs.path), self._pairs_before, settings, missing))
        bounds = list(
            check_users(Count.of_most_users(pairs.rows, pairs.path), self._baseline.users, settings, missing)
        )
        self._settle(verdict for verdict in bounds if verdict.refusal is not None)

    def check_model(self, model: Path) -> None:
        """The age of the SavedModel at `model`. Raises RefusedError (E-MODEL-TOO-OLD, E-CLOCK)."""
        self._settle([check_model_age(model, self._settings.max_model_age, self._now)])

    def check_lists(self, lists: RankedLists, report: Report, park: Callable[[], Path | None]) -> None:
        """What only the finished lists settle; `report` has the counts of this run.

        `park` puts refused lists where somebody can look at them, and gives their path.

        Raises RefusedError: E-SCORES-EQUAL, E-IDENTICAL-LISTS, E-TOO-FEW-USERS, E-USERS-DROPPED, E-TOO-FEW-PAIRS,
        E-PAIRS-DROPPED.
        """
        from batchscore.scoring.guard.non_personalized import (  # noqa: PLC0415 - polars loads late
            check_identical_lists,
        )

        settings, where = self._settings, self._settings.input
        users = Count.of_kept(lists.users, "users", "get a list", of_input=report.users, where=where)
        pairs = Count.of_kept(report.pairs_ranked, "pairs", "are ranked", of_input=report.rows_read, where=where)

        def missing() -> list[str]:
            return self._missing(lists.frame["user"].unique())

        self._settle([check_equal_scores(lists, pairs.now, settings)], park)
        self._settle([check_identical_lists(lists, settings)], park)
        self._settle(check_users(users, self._baseline.users, settings, missing), park)
        self._settle(check_pairs(pairs, self._pairs_before, settings, missing), park)

    @property
    def _pairs_before(self) -> int | None:
        return None if self._baseline.report is None else self._baseline.report.pairs_ranked

    def _settle(self, verdicts: Iterable[Verdict], park: Callable[[], Path | None] | None = None) -> None:
        """Note each verdict, up to the first refusal, which is raised."""
        for verdict in verdicts:
            self._note(verdict)
            if verdict.warning is not None:
                self._warn(verdict.warning)
            if verdict.refusal is not None:
                raise self._error(verdict.refusal, park)

    def _error(self, refusal: Refusal, park: Callable[[], Path | None] | None) -> RefusedError:
        """The error, with the place where the refused lists are kept once there are any."""
        parked = None if park is None else park()
        return RefusedError(
            refusal.error_id,
            f"{refusal.what} {self._kept}",
            where=refusal.where,
            found=refusal.found,
            details=[*refusal.examples(), *([] if parked is None else [f"refused output: {parked}"])],
            next_step=f"{refusal.advice}, or accept once with {refusal.accept}",
        )

    def _missing(self, users: pl.Series) -> list[str]:
        """Five users of the published output that are missing now."""
        import polars as pl  # noqa: PLC0415 - it loads late

        found: list[str | int] = []
        if self._baseline.file is None:
            return []
        try:
            published = pq.ParquetFile(self._baseline.file)
            for batch in published.iter_batches(columns=published.schema_arrow.names[:1]):
                before = pl.Series(pl.from_arrow(batch.column(0))).unique(maintain_order=True)
                found += before.filter(~before.is_in(users.cast(before.dtype).implode())).to_list()
                if len(found) >= EXAMPLES:
                    break
        except (OSError, ValueError, pa.ArrowException, pl.exceptions.PolarsError):
            return []
        return [f"missing: user {user!r}" for user in found[:EXAMPLES]]

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
