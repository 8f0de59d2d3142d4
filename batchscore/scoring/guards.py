"""Limits that keep a ranking that is quietly wrong from being published. Each decides as early as it can."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from batchscore.config import RunSettings
from batchscore.errors import RefusedError
from batchscore.limits import Limit
from batchscore.publishing.baseline import Baseline
from batchscore.report import GuardResult
from batchscore.scoring.inputs import Pairs

if TYPE_CHECKING:
    import polars as pl

    from batchscore.scoring.topn import RankedLists

_EXAMPLES = 5


class Guards:
    """The guards of one run; `results` gets the figure and the limit of each as it is known.

    `baseline` is what the job published last.
    """

    def __init__(self, settings: RunSettings, baseline: Baseline, results: list[GuardResult]) -> None:
        self._settings = settings
        self._baseline = baseline
        self._results = results
        self._park: Callable[[], Path | None] | None = None
        self._now = dt.datetime.now(dt.UTC)
        self._kept = "Kept last night's file." if settings.output.exists() else "Nothing was published."

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
        RefusedError: E-INPUT-TOO-OLD, E-TOO-FEW-PAIRS, E-PAIRS-DROPPED, E-TOO-FEW-USERS, E-USERS-DROPPED.
        """
        settings = self._settings
        oldest = min(pairs.files, key=lambda file: file.modified_at)
        age = (self._now - oldest.modified_at).total_seconds()
        too_old = settings.max_input_age.exceeded(age)
        self._note("max_input_age", age, str(settings.max_input_age), ok=not too_old)
        if too_old:
            raise self._refusal(
                "E-INPUT-TOO-OLD", f"the input is {_spell_age(age)} old (limit {settings.max_input_age}).",
                where=oldest.path, found=f"last modified {oldest.modified_at:%Y-%m-%dT%H:%M:%SZ}",
                next_step="rerun retrieval, or accept once with --max-input-age off",
            )  # fmt: skip
        too_few = pairs.rows < settings.min_pairs
        self._note("min_pairs", pairs.rows, str(settings.min_pairs), ok=not too_few)
        if too_few:
            raise self._refusal(
                "E-TOO-FEW-PAIRS", f"{pairs.rows:,} pairs, at least {settings.min_pairs:,} wanted.",
                where=pairs.path, next_step="rerun retrieval, or accept once with --min-pairs 0",
            )  # fmt: skip
        before = None if self._baseline.report is None else self._baseline.report.rows_read
        if self._dropped("max_pair_drop", pairs.rows, before, settings.max_pair_drop):
            raise self._refusal(
                "E-PAIRS-DROPPED",
                self._drop_message(f"{pairs.rows:,} pairs", pairs.rows, before, settings.max_pair_drop),
                where=pairs.path,
                details=self._missing(read_users()),
                next_step="rerun retrieval, or accept once with --max-pair-drop off",
            )
        if pairs.rows < settings.min_users or _is_drop(pairs.rows, self._baseline.users, settings.max_user_drop):
            self.check_users(pairs.rows, read_users, at_most=True)

    def check_model(self, model: Path) -> None:
        """The age of the SavedModel at `model`, since its saved_model.pb was written. E-MODEL-TOO-OLD."""
        limit = self._settings.max_model_age
        path = model / "saved_model.pb"
        exported = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
        age = (self._now - exported).total_seconds()
        too_old = limit.exceeded(age)
        self._note("max_model_age", age, str(limit), ok=not too_old)
        if too_old:
            raise self._refusal(
                "E-MODEL-TOO-OLD", f"the model is {_spell_age(age)} old (limit {limit}).", where=path,
                found=f"exported {exported:%Y-%m-%dT%H:%M:%SZ}",
                next_step="train and export a new model, or accept once with --max-model-age off",
            )  # fmt: skip

    def check_lists(self, lists: RankedLists, users: int, pairs: int, park: Callable[[], Path | None]) -> None:
        """What only the finished lists settle. `users` had a pair, `pairs` were scored.

        `park` puts refused lists where somebody can look at them, and gives their path.

        Raises RefusedError: E-SCORES-EQUAL, E-IDENTICAL-LISTS, E-TOO-FEW-USERS, E-USERS-DROPPED.
        """
        self._park = park
        self._check_scores(lists, pairs)
        self._check_identical(lists)
        self.check_users(users, lists.frame["user"].unique)

    def check_users(self, users: int, read_users: Callable[[], pl.Series], *, at_most: bool = False) -> None:
        """How many users there are (`at_most` that many), against the least and against the published output."""
        settings = self._settings
        found = f"at most {users:,} users (the input has no more pairs)" if at_most else f"{users:,} users"
        too_few = users < settings.min_users
        self._note("min_users", users, str(settings.min_users), ok=not too_few)
        if too_few:
            raise self._refusal(
                "E-TOO-FEW-USERS", f"{found}, at least {settings.min_users:,} wanted.",
                where=settings.input, next_step="rerun retrieval, or accept once with --min-users 0",
            )  # fmt: skip
        if self._dropped("max_user_drop", users, self._baseline.users, settings.max_user_drop):
            raise self._refusal(
                "E-USERS-DROPPED",
                self._drop_message(found, users, self._baseline.users, settings.max_user_drop),
                where=settings.input,
                details=self._missing(read_users()),
                next_step="rerun retrieval, or accept once with --max-user-drop off",
            )

    def _check_scores(self, lists: RankedLists, pairs: int) -> None:
        lowest, highest = lists.scores.minimum, lists.scores.maximum
        equal = pairs > 1 and lowest is not None and lowest == highest
        allowed = self._settings.allow_equal_scores
        self._note("allow_equal_scores", float(equal), "off" if allowed else "0", ok=allowed or not equal)
        if equal and not allowed:
            rows = lists.frame.head(_EXAMPLES).rows(named=True)
            raise self._refusal(
                "E-SCORES-EQUAL", f"all {pairs:,} scores are {lowest:.9g}.", where=self._settings.input,
                details=[f"user {row['user']!r}, candidate {row['candidate']!r}" for row in rows],
                next_step="check that the model is trained and that --score-output names its score, or accept once "
                "with --allow-equal-scores",
            )  # fmt: skip

    def _check_identical(self, lists: RankedLists) -> None:
        limit = self._settings.max_identical_lists
        from batchscore.scoring.impersonal import count_impersonal  # noqa: PLC0415 - polars loads late

        found = count_impersonal(lists.frame.select("user", "candidate", "score", "rank"))
        refused = found is not None and limit.exceeded(found.count, found.compared)
        share = None if found is None else found.count / found.compared
        self._note("max_identical_lists", share, str(limit), ok=not refused)
        if found is not None and refused:
            raise self._refusal(
                "E-IDENTICAL-LISTS",
                f"{found.count:,} of {found.compared:,} users have a list that ignores the user "
                f"({100 * found.count / found.compared:.1f} %, limit {_spell(limit)}).",
                where=self._settings.input,
                found="the same scores for the same candidates, whoever the user is",
                details=[f"user {user!r}: {_spell_list(lists, user)}" for user in found.examples[:_EXAMPLES]],
                next_step="check that the user column feeds the model (bindings in the report) and that the model "
                "was trained on it, or accept once with --max-identical-lists off",
            )

    def _refusal(self, error_id: str, what: str, *, details: Sequence[str] = (), **parts: Any) -> RefusedError:
        """The error, with the place where the refused lists are kept once there are any."""
        parked = None if self._park is None else self._park()
        if parked is not None:
            details = [*details, f"refused output: {parked}"]
        return RefusedError(error_id, f"{what} {self._kept}", details=details, **parts)

    def _dropped(self, name: str, now: int, before: int | None, limit: Limit) -> bool:
        dropped = _is_drop(now, before, limit)
        self._note(name, 1 - now / before if before else None, str(limit), ok=not dropped)
        return dropped

    def _drop_message(self, found: str, now: int, before: int | None, limit: Limit) -> str:
        before = before or 0
        return f"{found}, last published {before:,} ({100 * (now / before - 1):+.1f} %, limit {_spell(limit)})."

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
                if len(found) >= _EXAMPLES:
                    break
        except (OSError, ValueError, pa.ArrowException, pl.exceptions.PolarsError):
            return []
        return [f"missing: user {user!r}" for user in found[:_EXAMPLES]]

    def _note(self, name: str, figure: float | None, limit: str, *, ok: bool) -> None:
        self._results[:] = [result for result in self._results if result.name != name]
        self._results.append(GuardResult(name=name, figure=figure, limit=limit, ok=ok))


def _is_drop(now: int, before: int | None, limit: Limit) -> bool:
    return before is not None and limit.exceeded(before - now, before)


def _spell(limit: Limit) -> str:
    return limit.text.replace("%", " %")


def _spell_age(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 72 else f"{hours / 24:.1f} d"  # noqa: PLR2004 - three days


def _spell_list(lists: RankedLists, user: str | int) -> str:
    rows = lists.frame.filter(lists.frame["user"] == user).head(_EXAMPLES).rows(named=True)
    return ", ".join(f"{row['candidate']!r} {row['score']:.6g}" for row in rows)
