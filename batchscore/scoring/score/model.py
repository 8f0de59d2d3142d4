"""The model of the run: found, described, chosen, loaded, and proven to give the scores it was exported with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from batchscore.engine.known_ids import open_lookup, require_known_signature
from batchscore.engine.opening import open_session
from batchscore.engine.probes import replay_probes
from batchscore.engine.session import Session
from batchscore.errors import ModelError, first_line
from batchscore.report_parts import ModelUsed
from batchscore.savedmodel.card import KnownSignature, KnownTable, ModelCard
from batchscore.savedmodel.chosen import choose_scoring
from batchscore.savedmodel.saved_model import (
    SavedModel,
    Signature,
    choose_signature,
    read_saved_model,
)
from batchscore.savedmodel.score import Score, choose_score
from batchscore.savedmodel.versions import list_versions
from batchscore.savedmodel.vocabulary import InputVocabulary, read_vocabularies
from batchscore.scoring.bind.binding import Binding
from batchscore.scoring.bind.casts import placeholders
from batchscore.scoring.bind.evidence import VocabularyEvidence
from batchscore.scoring.guard.unknown import IdRole, IsKnown, NoLookUpError
from batchscore.scoring.source.pair_source import PairSource
from batchscore.settings.run import RunSettings
from batchscore.system.environment import MODEL_ENVIRONMENT

_log = logging.getLogger(__name__)

_LookedUp = tuple[IsKnown | None, str | None]
"""How a role's ids are looked up, or why they cannot be."""


@dataclass(frozen=True)
class RunModel:
    """A model that has been chosen but not loaded."""

    saved: SavedModel
    signature: Signature
    score: Score
    used: ModelUsed
    warnings: tuple[str, ...]

    @property
    def probed(self) -> ModelCard | None:
        """The model card, if its probe rows are of this signature and score."""
        return _probed(self.saved, self.signature, self.score)


def _probed(saved: SavedModel, signature: Signature, score: Score) -> ModelCard | None:
    card = saved.card
    if card is None or card.signature != signature.name or card.score_output != score.name:
        return None
    return card


def choose_model(settings: RunSettings) -> RunModel:
    """The model that the settings mean, its signature and its score output."""
    warnings = []
    path = settings.model
    if path is None:
        path = settings.input.parent / "model"
        if not path.exists():
            raise ModelError(
                "E-MODEL-MISSING",
                "no model is given, and there is none beside the input",
                where=path,
                expected="a SavedModel directory, or a directory of integer versions of it",
                next_step=f"give --model, set {MODEL_ENVIRONMENT}, or export one with `batchscore train`",
            )
        warnings.append(f"no --model given: using {path} beside the input")
    saved = read_saved_model(path, settings.model_version, trust_model=settings.trust_model)
    chosen = choose_scoring(saved, settings.signature, settings.score_output)
    signature, score = chosen.signature, chosen.score
    probed = _probed(saved, signature, score)
    used = ModelUsed(
        path=str(saved.path),
        version=saved.version,
        fingerprint=saved.fingerprint,
        chosen=saved.chosen,
        signature=signature.name,
        signature_chosen=chosen.signature_reason,
        score_output=score.name,
        score_output_chosen=chosen.score_reason,
        probes=0 if probed is None else len(probed.probes.scores),
    )
    _log.info(
        "%s at %s (%s), fingerprint %s; signature %s (%s); score %s (%s)",
        saved.label, saved.path, saved.chosen, saved.fingerprint[:16],
        signature.name, chosen.signature_reason, score.name, chosen.score_reason,
    )  # fmt: skip
    return RunModel(saved, signature, score, used, (*warnings, *chosen.warnings))


def evidence_of(pairs: PairSource, model: RunModel) -> VocabularyEvidence:
    """What the first values of columns and the model's vocabularies tell of one another."""

    def read_values(column: str) -> pa.Array:
        return next(pairs.batches([column])).table.column(0)

    return VocabularyEvidence(read_values, cache(partial(read_vocabularies, model.saved.path, model.signature)))


@contextmanager
def load_in_background(model: RunModel, settings: RunSettings) -> Iterator[Future[Session]]:
    """Load the model in a thread; the future raises ModelError (E-MODEL-LOAD).

    At the end the session is closed, also one that is still loading and that no one waits for any more.
    """
    loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
    loading = loader.submit(open_session, model.saved.path, threads=settings.threads)
    try:
        yield loading
    finally:
        loader.shutdown(wait=False)
        loading.add_done_callback(_close)


def _close(loading: Future[Session]) -> None:
    if loading.exception() is None:
        loading.result().close()


def id_roles(model: RunModel, session: Session, binding: Binding, settings: RunSettings) -> list[IdRole]:
    """The two ids with their limits, and the model's look-ups for them: its `known` signature, or its tables."""
    card = model.saved.card
    if card is not None and card.known is not None:
        looked_up = _by_signature(model, session, card, card.known)
    else:
        looked_up = _by_tables(model, session, {"user": binding.user_input, "candidate": binding.candidate_input})
    no_input = (None, "the model has no input for it")
    user_known, user_reason = looked_up["user"] if binding.user_input else no_input
    candidate_known, candidate_reason = looked_up["candidate"] if binding.candidate_input else no_input
    return [
        IdRole("user", binding.user_input, settings.max_unknown_users, "E-UNKNOWN-USERS", user_known, user_reason,
               binding.fed_from(binding.user_input)),
        IdRole("candidate", binding.candidate_input, settings.max_unknown_candidates, "E-UNKNOWN-CANDIDATES",
               candidate_known, candidate_reason, binding.fed_from(binding.candidate_input)),
    ]  # fmt: skip


def _by_tables(model: RunModel, session: Session, inputs: Mapping[str, str | None]) -> dict[str, _LookedUp]:
    """For each role the table that the card names, otherwise the one that its input is looked up in."""
    card = model.saved.card
    if card is not None and card.known_tables is not None and card.signature == model.signature.name:
        named = {"user": card.known_tables.user, "candidate": card.known_tables.candidate}
        return {
            role: (None, "the model card names no table for it") if table is None
            else (_opened_late(session, table, role), None)
            for role, table in named.items()
        }  # fmt: skip
    vocabularies = read_vocabularies(model.saved.path, model.signature)
    return {role: _by_vocabulary(session, role, vocabularies[name]) for role, name in inputs.items() if name}


def _by_vocabulary(session: Session, role: str, vocabulary: InputVocabulary) -> _LookedUp:
    if vocabulary.table is None:
        return None, vocabulary.reason
    table = vocabulary.table.for_card()
    opened = _opened_late(session, table, role)
    nothing = pa.array([], pa.string() if table.key_dtype == "string" else pa.int64())
    tried: list[np.ndarray] = []

    def is_known(ids: pa.Array) -> np.ndarray:
        if not tried:
            try:
                tried.append(opened(nothing))
            except ModelError as error:
                raise NoLookUpError(f"its table cannot be looked up: {first_line(error)}") from error
        return opened(ids)

    return is_known, None


def _opened_late(session: Session, table: KnownTable, role: str) -> IsKnown:
    """The look-up in `table`, opened when it is first used: at the start the session has more urgent work."""
    opened = cache(partial(open_lookup, session, table, role))

    def is_known(ids: pa.Array) -> np.ndarray:
        return opened()(ids)

    return is_known


def _by_signature(
    model: RunModel, session: Session, card: ModelCard, known: KnownSignature
) -> dict[str, _LookedUp]:
    inputs = (card.user_input or "", card.candidate_input or "")
    outputs = (known.user_output, known.candidate_output)
    signature = require_known_signature(model.saved, known, inputs)

    def lookup(input_: str, output: str) -> IsKnown:
        def is_known(ids: pa.Array) -> np.ndarray:
            feeds = {
                name: ids if name == input_ else placeholders(spec.dtype, len(ids))
                for name, spec in signature.inputs.items()
            }
            return session.run(signature, feeds, [output])[output].reshape(-1).astype(bool)

        return is_known

    return {"user": (lookup(inputs[0], outputs[0]), None), "candidate": (lookup(inputs[1], outputs[1]), None)}


def require_probes(model: RunModel, session: Session, settings: RunSettings) -> None:
    """Raise ModelError (E-MODEL-PROBES) if the model does not give the scores that its card remembers."""
    card = model.probed
    if card is None:
        return
    result = replay_probes(session, model.signature, model.score, card)
    if result.ok:
        _log.info(
            "probes: %d rows, worst difference %.3g (tolerance %.3g)", result.rows, result.worst, result.tolerance
        )
        return
    passing = _passing_version(model, settings) if model.saved.version is not None else None
    raise ModelError(
        "E-MODEL-PROBES",
        f"{model.saved.label} does not give the scores that it gave when it was exported",
        where=model.saved.path,
        found=f"probe row {result.worst_row} differs by {result.worst:.3g} under {session.runtime}",
        expected=f"at most {result.tolerance:.3g}, as under tensorflow "
        f"{card.made_with.get('tensorflow', 'of an unknown version')}",
        details=[*map(str, model.signature.unrepeatable_ops(model.score.outputs))],
        next_step=f"run with --model-version {passing}, whose probes pass, and export the model again" if passing
        else "install the TensorFlow that it was exported with, or export it again",
    )  # fmt: skip


def _passing_version(model: RunModel, settings: RunSettings) -> int | None:
    """The highest earlier version whose probes pass."""
    base = model.saved.path.parent
    for version in list_versions(base):
        if model.saved.version is not None and version < model.saved.version:
            with suppress(ModelError):
                if _passes(base, version, settings):
                    return version
    return None


def _passes(base: Path, version: int, settings: RunSettings) -> bool:
    saved = read_saved_model(base, version, trust_model=settings.trust_model)
    if saved.card is None:
        return False
    signature, _ = choose_signature(saved)
    session = open_session(saved.path, threads=settings.threads)
    try:
        return replay_probes(session, signature, choose_score(signature, card=saved.card)[0], saved.card).ok
    finally:
        session.close()
