"""The nightly run from top to bottom. Read this first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import polars as pl

from batchscore.config import RunSettings
from batchscore.errors import as_out_of_memory
from batchscore.limits import Limit
from batchscore.observer import Observer
from batchscore.report import Clock, Report
from batchscore.scoring import account
from batchscore.scoring.badrows import BadRows
from batchscore.scoring.binding import Binding, bind
from batchscore.scoring.guards import Guards
from batchscore.scoring.inputs import Pairs, open_pairs
from batchscore.scoring.model import choose_model, id_roles, load
from batchscore.scoring.publish import Claim, claim
from batchscore.scoring.reader import PairBatch, read_batches
from batchscore.scoring.scorer import ScorablePairs, Scorer
from batchscore.scoring.topn import TopN
from batchscore.scoring.unknown import UnknownIds, watch_unknown

_log = logging.getLogger("batchscore")


def run(settings: RunSettings, observer: Observer | None = None) -> Report:
    """Score every pair of the input and publish each user's top N; the report tells what was done.

    Raises BatchscoreError (see `batchscore.errors`) with `.report`; the output is then the one that stood there
    before.
    """
    report, observer = Report.begin(settings), observer or Observer()
    with claim(settings.output, settings.state_dir, reads=settings.input) as output:
        observer.allow_abandoning(lambda error: output.abandon(report, error))
        try:
            rank(settings, output, report, observer)
        except BaseException as error:
            failure = as_out_of_memory(error) or error
            report.end(failure)
            output.record(report)
            failure.report = report  # type: ignore[attr-defined]
            if failure is error:
                raise
            raise failure from error
        report.end()
        output.record(report)
    _log.info("%s", report.summary())
    return report


def rank(settings: RunSettings, output: Claim, report: Report, observer: Observer) -> None:
    """The stages, in the order in which a pair meets them."""
    clock = Clock(report.seconds)
    with clock.stage("prepare"):
        pairs = open_pairs(settings.input)
        model = choose_model(settings)
        binding = bind(pairs.schema, model.signature, model.saved.card, settings)
        pairs.require_same_columns(binding.columns)
    account.begun(report, pairs, model, binding)
    guards = Guards(settings, output.previous_report(), report.guards)
    with clock.stage("guard"):
        account.warn_all(report, guards.warnings(pairs))
        guards.check_input(pairs, lambda: _read_users(pairs, binding))
        guards.check_model(model.saved.path)
    with clock.stage("load"):
        observer.stage("loading the model")
        session = load(model, settings)
        report.runtime = session.runtime

    bad = BadRows(settings.max_bad_rows, pairs.rows, rejects_path=output.rejects_path(failed=True))
    unknown = [UnknownIds(role) for role in id_roles(model, session, binding, settings)]
    scorer = Scorer(session, model.signature, model.score, threads=settings.threads)
    top = TopN(settings.top_n, binding.schema)
    observer.stage("scoring", pairs.rows)
    with closing(session), closing(scorer), account.kept(report, bad, unknown, output):
        batches = _observed(clock.each("read", read_batches(pairs, binding.columns)), observer)
        usable = clock.each("check", bad.drop_unusable(batches, binding))
        watched = clock.each("guard", watch_unknown(usable, unknown, lambda: _read_ids(pairs, binding)))
        scored = clock.each("score", bad.drop_unranked(scorer.score(watched)))
        for batch in scored:
            with clock.stage("rank"):
                top.add(batch)
        bad.require_some_finite()
        pairs.require_unchanged()

        with clock.stage("rank"):
            lists = top.finish()
        account.ranked(report, lists, bad, scorer, output.previous_report())
        with clock.stage("guard"):
            guards.check_lists(lists, report.users, bad.finite, lambda: account.park(report, lists, output))
        observer.stage("publishing")
        with clock.stage("publish"):
            report.output = output.publish(
                lists.write, lists.rows, keep_previous=settings.keep_previous, committing=observer.committing
            )


def _observed(batches: Iterator[PairBatch], observer: Observer) -> Iterator[PairBatch]:
    for batch in batches:
        yield batch
        observer.advance(batch.table.num_rows)


def _read_users(pairs: Pairs, binding: Binding) -> pl.Series:
    """The distinct users of the input, for the message of a guard that refuses before anything is scored."""
    columns = (batch.table.column(0) for batch in read_batches(pairs, [binding.user]))
    return pl.concat([pl.Series(pl.from_arrow(column)).unique() for column in columns]).unique()


def _read_ids(pairs: Pairs, binding: Binding) -> Iterator[ScorablePairs]:
    """The ids alone, for a decision on unknown ids before everything is scored."""
    ids = {binding.user_input, binding.candidate_input}
    only_ids = replace(
        binding, inputs=tuple(bound for bound in binding.inputs if bound.input.name in ids), constants={}, kept={}
    )
    return BadRows(Limit("off"), pairs.rows).drop_unusable(read_batches(pairs, only_ids.columns), only_ids)
