"""The nightly run from top to bottom. Read this first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from batchscore.columns import plain_type
from batchscore.engine.early import import_what_adds_names
from batchscore.errors import as_out_of_memory
from batchscore.observer import Observer
from batchscore.publishing.baseline import find_baseline
from batchscore.publishing.claim import claim
from batchscore.publishing.job import Job
from batchscore.publishing.publish import Claim
from batchscore.run_report import Clock, Report
from batchscore.scoring import account
from batchscore.scoring.bind.badrows import BadRows
from batchscore.scoring.bind.binding import Binding, bind
from batchscore.scoring.guard.guards import Guards
from batchscore.scoring.pairs import ScorablePairs
from batchscore.scoring.rank.writer import write_lists
from batchscore.scoring.score.model import choose_model, evidence_of, load_in_background, require_probes
from batchscore.scoring.score.plan_check import PlanCheck, PlanUnfitError
from batchscore.scoring.score.plans import open_scorer
from batchscore.scoring.source.pair_source import PairBatch, PairSource
from batchscore.scoring.source.parquet_source import open_pairs
from batchscore.scoring.source.reader import ReadAhead
from batchscore.settings.limits import Limit
from batchscore.settings.run import RunSettings
from batchscore.system.address_space import RUN_BYTES, require_address_space
from batchscore.system.durable import tolerated

if TYPE_CHECKING:
    import polars as pl

    from batchscore.scoring.rank.lists import RankedLists

_log = logging.getLogger(__name__)


def run(settings: RunSettings, observer: Observer | None = None) -> Report:
    """Score every pair of the input and publish each user's top N; the report tells what was done.

    Raises BatchscoreError (see `batchscore.errors`) with `.report`; the output is then the one that stood there
    before.
    """
    report, observer = Report.begin(settings), observer or Observer()
    job = Job(settings.output, settings.state_dir, settings.job)
    with claim(job, reads=settings.input) as output:
        observer.allow_abandoning(lambda error: output.abandon(report, error))
        try:
            require_address_space(RUN_BYTES, "a run")
            lists = _rank_by_plan_or_model(settings, output, report, observer)
            report.note_versions()
            observer.stage("publishing")
            with Clock(report.seconds).stage("publish"):
                report.output = output.publish(
                    partial(write_lists, lists),
                    lists.rows,
                    keep_replaced=settings.keep_previous > 0,
                    committing=observer.committing,
                )
        except BaseException as error:
            failure = as_out_of_memory(error) or error
            report.end(failure)
            output.record(report)
            failure.report = report  # type: ignore[attr-defined]
            if failure is error:
                raise
            raise failure from error
        output.settle(report, settings.keep_previous)
    with tolerated("the run could not be summed up"):
        _log.info("%s", report.summary())
    return report


def _rank_by_plan_or_model(settings: RunSettings, output: Claim, report: Report, observer: Observer) -> RankedLists:
    """`rank`; if the plan turns out late to give other scores than the model, once more without it."""
    try:
        return rank(settings, output, report, observer)
    except PlanUnfitError as error:
        report.begin_again(f"scored again without the plan: {error.check.describe()}")
        return rank(settings, output, report, observer, unfit=error.check)


def rank(
    settings: RunSettings, output: Claim, report: Report, observer: Observer, *, unfit: PlanCheck | None = None
) -> RankedLists:
    """The stages, in the order in which a pair meets them, to the lists that may be published.

    `unfit` says why a plan is not to be used. All that was opened is closed again before anything is published.
    """
    clock = Clock(report.seconds)
    with clock.stage("prepare"):
        pairs = open_pairs(settings.input, settings.require_success)
        model = choose_model(settings)
        binding = bind(
            pairs.schema,
            model.signature,
            model.saved.card,
            settings,
            evidence_of(pairs, model),
            folder_keys=pairs.folder_keys,
        )
        pairs.require_same_columns(binding.columns)
    account.record_inputs(report, pairs, model, binding)
    with clock.stage("guard"):
        baseline = find_baseline(output.job)
        guards = Guards(settings, baseline, report.guards, partial(account.warn, report))
        account.record_baseline(report, baseline)
        account.warn_all(report, guards.warnings(pairs, report))
        guards.check_input(pairs, lambda: _read_users(pairs, binding))
        guards.check_model(model.saved.path)
    import_what_adds_names()
    with ExitStack() as opened:
        ahead = opened.enter_context(closing(ReadAhead(pairs.batches(binding.columns))))
        with clock.stage("load"):
            observer.stage("loading the model")
            loading = opened.enter_context(load_in_background(model, settings))
            from batchscore.scoring.scoring_pass import ScoringPass  # noqa: PLC0415 - polars loads meanwhile

            session = loading.result()
            report.runtime = session.runtime
            scorer, report.plan.reason = open_scorer(
                model,
                session,
                binding,
                settings,
                pairs=pairs.row_count.rows,
                unfit=unfit,
                warn=partial(account.warn, report),
            )
            opened.enter_context(closing(scorer))
            require_probes(model, session, settings)
        scoring = ScoringPass(model, binding, session, scorer, settings)
        state = scoring.begin(pairs.row_count.known, output.rejects_path(failed=True))
        opened.enter_context(account.record_whatever_happens(report, state, scorer, output))
        observer.stage("scoring", pairs.row_count.rows)
        batches = _observed(clock.each("read", ahead), observer)
        scoring.add(batches, state, clock, lambda: _read_ids(pairs, binding))
        account.record_scoring(report, scorer, state)
        pairs.require_unchanged()

        with clock.stage("rank"):
            lists = state.top.finish()
        account.record_lists(report, lists, state, baseline)
        with clock.stage("guard"):
            guards.check_lists(lists, state.statistics, report, lambda: account.park(report, lists, output))
    return lists


def _observed(batches: Iterator[PairBatch], observer: Observer) -> Iterator[PairBatch]:
    for batch in batches:
        yield batch
        observer.advance(batch.table.num_rows)


def _read_users(pairs: PairSource, binding: Binding) -> pl.Series:
    """The distinct users of the input, for the message of a guard that refuses before anything is scored."""
    import polars as pl  # noqa: PLC0415 - it loads late

    columns = (pc.unique(batch.table.column(0)) for batch in pairs.batches([binding.user]))
    users = [column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column for column in columns]
    none = pa.array([], plain_type(pairs.schema.field(binding.user).type))
    return pl.concat([pl.Series(pl.from_arrow(column)) for column in users or [none]]).unique()


def _read_ids(pairs: PairSource, binding: Binding) -> Iterator[ScorablePairs]:
    """The ids alone, for a decision on unknown ids before everything is scored."""
    ids = {binding.user_input, binding.candidate_input}
    only_ids = replace(
        binding, inputs=tuple(bound for bound in binding.inputs if bound.input.name in ids), constants={}, kept={}
    )
    return BadRows(Limit("off"), pairs.row_count.known).drop_unusable(pairs.batches(only_ids.columns), only_ids)
