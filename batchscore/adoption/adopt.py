"""READ FIRST: a SavedModel in, a version with a model card out. The adoption from top to bottom."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from batchscore.adoption.adoption_report import AdoptionReport
from batchscore.adoption.choice import Choice, choose
from batchscore.adoption.copying import copy_model
from batchscore.adoption.invented_rows import Daring, invent_rows
from batchscore.adoption.probe_rows import ProbeRows, draw_probe_rows
from batchscore.adoption.telling_scores import require_telling_scores
from batchscore.engine.known_ids import open_lookup
from batchscore.engine.opening import open_session
from batchscore.engine.probes import probe_feeds, require_stable_scores, score_rows
from batchscore.engine.session import Session
from batchscore.errors import ModelError
from batchscore.observer import Observer
from batchscore.planning.plan import NotPlanned
from batchscore.planning.plan_loading import keep_if_it_loads
from batchscore.planning.planner import make_plan
from batchscore.publishing.model_base import hold_model_base
from batchscore.savedmodel.card import CARD_PATH, KnownTable, KnownTables, ModelCard, Probes, list_files, write_card
from batchscore.savedmodel.saved_model import read_saved_model
from batchscore.settings.adopt import AdoptSettings
from batchscore.system.address_space import ADOPTION_BYTES, require_address_space

_log = logging.getLogger(__name__)
_UNOBSERVED = Observer()


def adopt(settings: AdoptSettings, observer: Observer = _UNOBSERVED) -> AdoptionReport:
    """Publish the SavedModel as the next version below `settings.output`, with its card for the ranking job.

    The files are copied as they are; the weights go through no memory of this process but TensorFlow's own, once.
    Nothing is published unless the copy, loaded by the scoring runtime, gives finite scores for the probe rows, the
    same ones twice and whatever rows stand beside them.

    Raises UsageError (E-BINDING, E-OUTPUT-IS-INPUT), InputError, ModelError, OutputError, RefusedError
    (E-SCORES-EQUAL, E-IDENTICAL-LISTS) or TryLaterError.
    """
    require_address_space(ADOPTION_BYTES, "an adoption")
    choice = choose(settings)
    with hold_model_base(settings.output) as base:
        observer.stage("copying the model")
        copy_model(choice.saved, base.incoming)
        observer.stage("loading the model")
        session = open_session(base.incoming, threads=1)
        try:
            observer.stage("scoring probe rows")
            rows, scores = _score(session, choice, settings)
            doubts = require_telling_scores(session, choice, rows, scores, settings)
            tables = _known_tables(session, choice, rows)
            card = _make_card(choice, session, rows, scores, tables)
            card = card.model_copy(update={"files": list_files(base.incoming)})
            write_card(base.incoming, card)
            require_stable_scores(session, choice.signature, choice.score, card)
            observer.stage("planning")
            no_plan_reason, troubles = _leave_plan(base.incoming, session, choice, card)
        finally:
            session.close()
        published = read_saved_model(base.incoming, trust_model=settings.trust_model)
        observer.committing()
        path = base.publish()
    report = AdoptionReport(
        source=str(choice.saved.path),
        model_path=str(path),
        model_version=base.next_version,
        model_fingerprint=published.fingerprint,
        signature=card.signature,
        score_output=card.score_output,
        user_input=card.user_input,
        candidate_input=card.candidate_input,
        map=card.map,
        set=card.set,
        fill=card.fill,
        probe_rows=len(scores),
        probe_origin=rows.origin,
        unknown_ids=choice.describe_known(tables),
        no_plan_reason=no_plan_reason,
        warnings=[*choice.warnings, *rows.warnings, *doubts, *troubles],
    )
    for warning in report.warnings:
        _log.warning("%s", warning)
    _log.info("%s", report.summary())
    return report


def _score(session: Session, choice: Choice, settings: AdoptSettings) -> tuple[ProbeRows, np.ndarray]:
    """The probe rows with a finite score, and their scores."""
    if settings.probes is not None:
        rows = draw_probe_rows(settings.probes, choice)
        scores = score_rows(session, choice.signature, choice.score, rows.inputs, rows.count)
    else:
        rows, scores = _score_invented(session, choice)
    with np.errstate(over="ignore"):
        finite = np.isfinite(scores.astype(np.float32))
    if not finite.any():
        raise ModelError(
            "E-MODEL-NONFINITE",
            "no probe row has a finite score",
            where=choice.saved.path,
            found=f"{rows.count} rows scored, all NaN, infinite or beyond float32",
            expected="finite scores",
            next_step="check the training run of this model, or give real rows with --probes",
        )
    return (rows, scores) if finite.all() else (rows.keep(finite), scores[finite])


def _score_invented(session: Session, choice: Choice) -> tuple[ProbeRows, np.ndarray]:
    """Invented rows as unlike one another as the model takes them; if it fails, less daring ones."""
    failure: ModelError | None = None
    for daring in sorted(Daring, reverse=True):
        rows = invent_rows(choice, daring)
        try:
            return rows, score_rows(session, choice.signature, choice.score, rows.inputs, rows.count)
        except ModelError as error:
            if error.error_id != "E-MODEL-RUN":
                raise
            failure = error
    raise ModelError(
        "E-MODEL-PROBES",
        "the model fails on every invented probe row",
        where=choice.saved.path,
        found=failure.found if failure else None,
        details=rows.describe(),
        next_step="give real pairs: --probes sample.parquet",
    ) from failure


def _known_tables(session: Session, choice: Choice, rows: ProbeRows) -> dict[str, KnownTable]:
    """The tables that know the two ids, each tried on the ids of the probe rows; a run passes over others too."""
    tables = {}
    for role, table in choice.known_tables().items():
        ids = probe_feeds(choice.signature, rows.inputs, rows.count)[choice.id_input(role)]
        try:
            open_lookup(session, table, role)(ids)
        except ModelError as error:
            _log.warning("unknown %s ids cannot be counted: %s", role, error.in_one_line())
        else:
            tables[role] = table
    return tables


def _make_card(
    choice: Choice, session: Session, rows: ProbeRows, scores: np.ndarray, tables: dict[str, KnownTable]
) -> ModelCard:
    before = choice.card
    known = before.known if before is not None else None
    return ModelCard(
        signature=choice.signature.name,
        score_output=choice.score.name,
        user_input=choice.user_input,
        candidate_input=choice.candidate_input,
        map=choice.map,
        set=choice.set,
        fill=choice.fill,
        lists=choice.lists,
        probes=Probes(inputs=rows.inputs, scores=scores.astype(np.float64).tolist()),
        known=known,
        known_tables=KnownTables.model_validate(tables) if tables and known is None else None,
        made_with={
            **(before.made_with if before is not None else {}),
            "tensorflow": choice.saved.tensorflow_version or "unknown",
            "adopted_with": session.runtime,
        },
        training=before.training if before is not None else {},
    )


def _leave_plan(model: Path, session: Session, choice: Choice, card: ModelCard) -> tuple[str | None, list[str]]:
    """Put a plan that loads into `session` with the model, so that no run has to make it.

    Gives why there is none, and warnings. That there is none is no failure: the first run tries again, unless it is
    known that there can be none.
    """
    if choice.score.terms:
        return (
            f"the score {choice.score.name!r} is computed from outputs, and a plan gives one output unchanged",
            [],
        )
    try:
        plan = make_plan(
            model, card.signature, card.score_output, (model / CARD_PATH).parent,
            user_input=card.user_input, candidate_input=card.candidate_input,
        )  # fmt: skip
    except ModelError as error:
        reason = error.in_one_line()
    except OSError as error:
        reason = f"the planner cannot be started: {error}"
    else:
        loaded = keep_if_it_loads(session, plan, (model / CARD_PATH).parent)
        if not isinstance(loaded, NotPlanned) or loaded is plan:
            return loaded.reason if isinstance(loaded, NotPlanned) else None, []
        reason = loaded.reason
    return reason, [f"the model is published without a plan:  {reason}"]
