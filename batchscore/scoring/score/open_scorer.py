"""Where a run's plan comes from: it lies with the model, or in the cache, or a process of its own makes it now."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from batchscore.engine.probes import probe_feeds
from batchscore.engine.session import Session
from batchscore.errors import ModelError, OutOfMemoryError, reason_of
from batchscore.planning.plan import NotPlanned, Plan
from batchscore.planning.plan_cache import (
    PlanKey,
    default_cache,
    fits_signature,
    make_cache_folder,
    read_cached_plan,
    read_model_plan,
    require_own_cache,
)
from batchscore.planning.plan_file import PLAN_FILE, write_plan
from batchscore.planning.planner import make_plan
from batchscore.savedmodel.card import CARD_PATH
from batchscore.savedmodel.model_files import list_model_files
from batchscore.scoring.bind.binding import Binding
from batchscore.scoring.pairs import ScorablePairs
from batchscore.scoring.score.model import RunModel
from batchscore.scoring.score.pair_scorer import PairScorer
from batchscore.scoring.score.plan_check import PlanCheck
from batchscore.scoring.score.planned import PlannedScorer, plan_required
from batchscore.scoring.score.scorer import Scorer
from batchscore.settings.run import RunSettings
from batchscore.system.address_space import PLANNED_RUN_BYTES, require_address_space
from batchscore.system.memory import part_budget

Warn = Callable[[str], None]

_log = logging.getLogger(__name__)


MIN_PAIRS = 50_000
"""Below this many pairs the model itself is faster than compiling its plan."""


@dataclass(frozen=True)
class FoundPlan:
    """A plan, or why there is none; `made_in` is the folder that it was put into, where this run made it."""

    plan: Plan | NotPlanned
    made_in: Path | None = None


def open_scorer(
    model: RunModel,
    session: Session,
    binding: Binding,
    settings: RunSettings,
    *,
    pairs: int | None,
    unfit: PlanCheck | None,
    warn: Warn,
) -> tuple[PairScorer, str | None]:
    """The scorer for `pairs` pairs (None: unknown): by a plan if it pays; otherwise the signature's.

    The second is why no plan is used, None if one is.

    `unfit` says that the plan has been tried, and what was found; no other one is tried then.
    `warn` is told what someone could fix, so that the next run has a plan. Raises ModelError (E-PLAN-REQUIRED)
    if the settings require a plan, OutOfMemoryError (E-MEMORY) if the run cannot fit.
    """
    model_bytes = sum(path.stat().st_size for path in list_model_files(model.saved.path))
    budget_bytes = part_budget(settings.memory, model_bytes)
    kept = list(binding.kept_outputs.values())
    scorer = Scorer(session, model.signature, model.score, threads=settings.threads, keep=kept)
    if unfit is not None or settings.plan == "off":
        scorer.begin()
        return scorer, "--plan off" if unfit is None else unfit.describe()
    if settings.plan == "auto" and pairs is not None and pairs < MIN_PAIRS:
        scorer.begin()
        return scorer, f"{pairs:,} pairs are scored faster without a plan (it pays off from {MIN_PAIRS:,} on)"
    try:
        require_address_space(PLANNED_RUN_BYTES, "a run by a plan")
    except OutOfMemoryError as error:
        if settings.plan == "require":
            raise
        warn(f"scored without a plan: {error.in_one_line()}")
        scorer.begin()
        return scorer, error.in_one_line()
    found = find_plan(model, binding, session.version, settings.plan_cache, warn)
    reason = found.plan.reason if isinstance(found.plan, NotPlanned) else None
    if isinstance(found.plan, Plan):
        try:
            planned = PlannedScorer(
                session, found.plan, scorer, threads=settings.threads, budget_bytes=budget_bytes,
                probes=_probes(model), required=settings.plan == "require",
            )  # fmt: skip
        except ModelError as error:
            reason = error.in_one_line()
            warn(f"scored without the plan: {reason}")
            if found.made_in is not None:  # it would be no better tomorrow
                with suppress(OSError):
                    write_plan(found.made_in, _not_planned(model, session.version, reason))
        else:
            _log.info("plan %s of %s", found.plan.sha256[:16], model.saved.label)
            scorer.begin()
            return planned, None
    if settings.plan == "require":
        scorer.close()
        raise plan_required(str(reason))
    scorer.begin()
    return scorer, reason


def _probes(model: RunModel) -> ScorablePairs | None:
    card = model.saved.card
    if card is None or card.signature != model.signature.name:
        return None
    rows = len(card.probes.scores)
    feeds = probe_feeds(model.signature, card.probes.inputs, rows)
    user, candidate = (
        feeds[name] if name in feeds else pa.nulls(rows) for name in (card.user_input, card.candidate_input)
    )
    return ScorablePairs("the probe rows", np.arange(rows), user, candidate, [], feeds, {})


def find_plan(model: RunModel, binding: Binding, tensorflow: str, cache: Path | None, warn: Warn) -> FoundPlan:
    """The plan for the run's signature and score under version `tensorflow`, or why there is none.

    A plan that `train` or `adopt` left with the model is taken where it was made for this score and this
    TensorFlow. Else it is looked for in `cache` (default: batchscore/plans in the user's cache folder), and made
    there if it is missing: once a model, in a process of its own, since planning needs TensorFlow's Python.
    Runs at the same time may make it twice; each writes it whole. A cache that others could write to is not used.
    What goes wrong with a plan is a reason to run without, never to fail.
    """
    if binding.kept_outputs:
        reason = "--keep-output needs outputs that a plan does not give"
        return FoundPlan(_not_planned(model, tensorflow, reason))
    if model.score.terms:
        reason = f"the score {model.score.name!r} is computed from outputs, and a plan gives one output unchanged"
        return FoundPlan(_not_planned(model, tensorflow, reason))
    key = PlanKey(
        model.saved.fingerprint, model.signature.name, model.score.outputs[0], tensorflow,
        binding.user_input, binding.candidate_input,
    )  # fmt: skip
    beside = model.saved.path / CARD_PATH.parent
    try:
        plan = _usable(partial(read_model_plan, beside), model, key, beside, warn)
        if plan is not None:
            return FoundPlan(plan)
        folder = key.folder(cache or default_cache())
        plan = _usable(partial(read_cached_plan, folder), model, key, folder, warn)
        return FoundPlan(plan) if plan is not None else FoundPlan(_make_plan(model, binding, folder), folder)
    except ModelError as error:
        reason = error.in_one_line()
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        reason = f"it cannot be kept ({reason_of(error)}:{place}); --plan-cache names another folder"
    warn(f"scored without a plan: {reason}")
    return FoundPlan(_not_planned(model, tensorflow, reason))


def _usable(
    read: Callable[[], Plan | NotPlanned | None], model: RunModel, key: PlanKey, folder: Path, warn: Warn
) -> Plan | NotPlanned | None:
    """What `read` finds in `folder`; None if that cannot be used, of which `warn` is told if it is damaged."""
    try:
        plan = read()
    except ModelError as error:
        warn(f"{error.in_one_line()} ({folder / PLAN_FILE}): it is not used")
        return None
    if plan is None or not key.fits(plan):
        return None
    if isinstance(plan, Plan) and not fits_signature(plan, model.signature):
        warn(f"the plan does not fit the inputs of {model.signature.name!r} ({folder / PLAN_FILE}): it is not used")
        return None
    return plan


def _make_plan(model: RunModel, binding: Binding, folder: Path) -> Plan | NotPlanned:
    make_cache_folder(folder)
    require_own_cache(folder)
    _log.info("making the plan of %s: this is done once, and kept in %s", model.saved.label, folder)
    return make_plan(
        model.saved.path, model.signature.name, model.score.outputs[0], folder,
        user_input=binding.user_input, candidate_input=binding.candidate_input,
    )  # fmt: skip


def _not_planned(model: RunModel, tensorflow: str, reason: str) -> NotPlanned:
    return NotPlanned(model.signature.name, model.score.name, reason, tensorflow)
