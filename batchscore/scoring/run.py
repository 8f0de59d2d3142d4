"""The nightly run from top to bottom. Read this first; the steps of one pair are in `ScoringPass.add`."""

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
from batchscore.scoring import fill_report
from batchscore.scoring.bind.badrows import BadRows
from batchscore.scoring.bind.binding import Binding, bind
from batchscore.scoring.guard.guards import Guards
from batchscore.scoring.pairs import ScorablePairs
from batchscore.scoring.rank.writer import write_lists
from batchscore.scoring.score.model import choose_model, evidence_of, load_in_background, require_probes
from batchscore.scoring.score.open_scorer import open_scorer
from batchscore.scoring.score.plan_check import PlanCheck, PlanUnfitError
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
            lists = _make_lists_twice_if_plan_unfit(settings, output, report, observer)
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


def _make_lists_twice_if_plan_unfit(
    settings: RunSettings, output: Claim, report: Report, observer: Observer
) -> RankedLists:
    """`make_lists`; if the plan turns out late to give other scores than the model, once more without it."""
    try:
        return make_lists(settings, output, report, observer)
    except PlanUnfitError as error:
        report.begin_again(f"scored again without the plan: {error.check.describe()}")
        return make_lists(settings, output, report, observer, unfit=error.check)


def make_lists(
    settings: RunSettings, output: Claim, report: Report, observer: Observer, *, unfit: PlanCheck | None = None
) -> RankedLists:
    """The stages, in the order in which a pair meets them, to the lists that may be published.

    `unfit` says why a plan is not to be used. All that was opened is closed again before anything is published.
    """
    clock = Clock(report.seconds)
    with clock.stage("prepare"):
        source = open_pairs(settings.input, settings.require_success)
        model = choose_model(settings)
        binding = bind(
            source.schema,
            model.signature,
            model.saved.card,
            settings,
            evidence_of(source, model),
            folder_keys=source.folder_keys,
        )
        source.require_same_columns(binding.columns)
    fill_report.record_inputs(report, source, model, binding)
    with clock.stage("guard"):
        baseline = find_baseline(output.job)
        guards = Guards(settings, baseline, report.guards, partial(fill_report.warn, report))
        fill_report.record_baseline(report, baseline)
        fill_report.warn_all(report, guards.warnings(source, report))
        guards.check_input(source, lambda: _reread_users(source, binding))
        guards.check_model(model.saved.path)
    import_what_adds_names()
    with ExitStack() as opened:
        ahead = opened.enter_context(closing(ReadAhead(source.batches(binding.columns))))
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
                pairs=source.row_count.rows,
                unfit=unfit,
                warn=partial(fill_report.warn, report),
            )
            opened.enter_context(closing(scorer))
            require_probes(model, session, settings)
        one_pass = ScoringPass(model, binding, session, scorer, settings)
        state = one_pass.begin(source.row_count.known, output.rejects_path(failed=True))
        opened.enter_context(fill_report.record_whatever_happens(report, state, scorer, output))
        observer.stage("scoring", source.row_count.rows)
        batches = _observed(clock.each("read", ahead), observer)
        one_pass.add(batches, state, clock, lambda: _reread_ids(source, binding))
        fill_report.record_scoring(report, scorer, state)
        source.require_unchanged()

        with clock.stage("rank"):
            lists = state.top.finish()
        fill_report.record_lists(report, lists, state, baseline)
        with clock.stage("guard"):
            guards.check_lists(lists, state.statistics, report, lambda: fill_report.park(report, lists, output))
    return lists


def _observed(batches: Iterator[PairBatch], observer: Observer) -> Iterator[PairBatch]:
    for batch in batches:
        yield batch
        observer.advance(batch.table.num_rows)


def _reread_users(source: PairSource, binding: Binding) -> pl.Series:
    """The distinct users of the input, for the message of a guard that refuses before anything is scored."""
    import polars as pl  # noqa: PLC0415 - it loads late

    columns = (pc.unique(batch.table.column(0)) for batch in source.batches([binding.user]))
    users = [column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column for column in columns]
    none = pa.array([], plain_type(source.schema.field(binding.user).type))
    return pl.concat([pl.Series(pl.from_arrow(column)) for column in users or [none]]).unique()


def _reread_ids(source: PairSource, binding: Binding) -> Iterator[ScorablePairs]:
    """The ids alone, for a decision on unknown ids before everything is scored."""
    ids = {binding.user_input, binding.candidate_input}
    only_ids = replace(
        binding, inputs=tuple(bound for bound in binding.inputs if bound.input.name in ids), constants={}, kept={}
    )
    return BadRows(Limit("off"), source.row_count.known).drop_unusable(source.batches(only_ids.columns), only_ids)
