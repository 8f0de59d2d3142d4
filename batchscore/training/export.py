"""A trained model as a SavedModel that serves and nothing else, with its card for the ranking job."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
import tensorflow_recommenders as tfrs

from batchscore.columns import SCORE
from batchscore.engine.opening import open_session
from batchscore.engine.probes import ProbeResult, replay_probes, require_stable_scores
from batchscore.errors import ModelError, OutputError, first_line, reason_of
from batchscore.interactions.table_rows import TableRows
from batchscore.networks.predictions import predict
from batchscore.networks.training_batches import to_tensors
from batchscore.planning.graph.plan_model import plan_model
from batchscore.planning.plan import NotPlanned, Plan
from batchscore.planning.plan_file import write_plan
from batchscore.planning.plan_loading import keep_if_it_loads
from batchscore.savedmodel.card import CARD_PATH, KnownSignature, ModelCard, Probes, list_files, write_card
from batchscore.savedmodel.chosen import choose_scoring
from batchscore.savedmodel.saved_model import SERVING_DEFAULT, SavedModel, read_saved_model
from batchscore.settings.recipe import Labels
from batchscore.settings.train import TrainSettings

_log = logging.getLogger(__name__)

KNOWN = "known"
PROBE_ROWS = 64
_UUID_FILE = "fingerprint.pb"  # nothing reads it, and its random UUID makes equal models unequal

Features = dict[str, tf.Tensor]
Signature = tuple[Callable[[Features], Features], dict[str, tf.TensorSpec]]


@dataclass(frozen=True)
class Exported:
    """An export that the ranking job's runtime has read back and found to give the trained model's scores."""

    saved: SavedModel
    probes: ProbeResult

    def describe(self) -> dict[str, Any]:
        """The fields of the report."""
        return {
            "probe_rows": self.probes.rows,
            "probe_difference": self.probes.worst,
            "probe_tolerance": self.probes.tolerance,
            "model_fingerprint": self.saved.fingerprint,
        }


def draw_probes(rows: pa.Table, settings: TrainSettings) -> pa.Table:
    """Features of rows to remember the scores of: up to 64, drawn with the seed, in the order of `rows`.

    The last but one has a user and the last a candidate that no row has.
    """
    features = rows.select(list(settings.all_features()))
    count = min(len(features), PROBE_ROWS - 2)
    drawn = np.sort(np.random.default_rng(settings.seed).choice(len(features), count, replace=False, shuffle=False))
    probes = TableRows(features).take(np.concatenate([drawn, drawn[:1], drawn[:1]]))
    for name, place in ((settings.user_column, count), (settings.candidate_column, count + 1)):
        values = probes[name].to_pylist()
        values[place] = _absent_id(features[name])
        column = probes.column_names.index(name)
        probes = probes.set_column(column, probes.schema.field(name), pa.array(values, probes[name].type))
    return probes


def export_model(
    model: tfrs.Model,
    probes: pa.Table,
    path: Path,
    settings: TrainSettings,
    *,
    made_with: dict[str, str],
    training: dict[str, Any],
) -> None:
    """Write `model` into the empty directory `path` as a SavedModel with its card.

    Signature `serving_default` takes the columns of `probes`, each `[batch]`, and gives `score`, float32 `[batch]`;
    where tasks are declared also the prediction of each by its name, `[batch]`. If the model tells known ids,
    signature `known` takes the two ids and gives `user_known` and `candidate_known`, bool `[batch]`. The scores of
    the probe rows in the card come from `model` itself; what stood for nulls in training stands there too, but for
    ids, which a run never fills in; `made_with` and `training` go there as they are.

    Equal models give equal bytes. Raises OutputError (E-OUTPUT) if the files cannot be written, and ModelError
    (E-MODEL-OUTPUT) if the model of a factory gives no score.
    """
    tensors = to_tensors(probes)
    specs = {name: tf.TensorSpec([None], tensor.dtype, name) for name, tensor in tensors.items()}

    def serve(features: Features) -> Features:
        outputs = predict(model, features, settings)
        return outputs if settings.tasks else {SCORE: outputs[SCORE]}

    signatures: dict[str, Signature] = {SERVING_DEFAULT: (serve, specs)}
    known = getattr(model, KNOWN, None)
    if known is not None:
        ids = (settings.user_column, settings.candidate_column)
        signatures[KNOWN] = (known, {name: specs[name] for name in ids})
    scores = serve(tensors)[SCORE].numpy().tolist()
    try:
        _save(model, signatures, path)
        card = ModelCard(
            signature=SERVING_DEFAULT,
            score_output=SCORE,
            user_input=settings.user_column,
            candidate_input=settings.candidate_column,
            fill={
                name: str(feature.fill)
                for name, feature in settings.all_features().items()
                if feature.fill is not None and name not in (settings.user_column, settings.candidate_column)
            },
            set=dict(settings.set),
            lists={
                name: feature.separator
                for name, feature in settings.all_features().items()
                if isinstance(feature, Labels)
            },
            probes=Probes(
                inputs={name: probes[name].to_pylist() for name in probes.column_names},
                scores=scores,
            ),
            known=KnownSignature(signature=KNOWN, user_output="user_known", candidate_output="candidate_known")
            if known is not None
            else None,
            files=list_files(path),
            made_with=made_with,
            training=training,
        )
        write_card(path, card)
    except (OSError, tf.errors.OpError) as error:
        raise OutputError(
            "E-OUTPUT",
            "the SavedModel cannot be written",
            where=path,
            found=first_line(str(error).rpartition("}} ")[2]),  # TensorFlow puts its function node first
            next_step="check the permissions of --output and the free space",
        ) from error


def leave_plan(saved: SavedModel, settings: TrainSettings) -> str | None:
    """Put the plan for the score with the model, so that no run has to make it; or the reason why there is none.

    Gives that reason. A planner that breaks costs the model its plan and not its publication: a run tries again. A
    plan that does not load beside the model is not kept either, and no run tries that again. Raises OutputError
    (E-OUTPUT) if the plan cannot be written.
    """
    card = saved.card
    if card is None:
        raise ModelError(
            "E-MODEL-CARD", "the export has no card", where=saved.path, next_step="report this as a bug"
        )
    roles = {name: feature.role for name, feature in settings.all_features().items()}
    try:
        plan = plan_model(
            saved.path,
            card.signature,
            card.score_output,
            user_inputs=[name for name, role in roles.items() if role == "user"],
            candidate_inputs=[name for name, role in roles.items() if role == "candidate"],
        )
    except Exception:  # noqa: BLE001 - hours of training are worth more than a plan
        _log.warning("the model is published without a plan:  the planner failed", exc_info=True)
        return "the planner failed"
    try:
        write_plan(saved.path / CARD_PATH.parent, plan)
        kept = _load(saved, plan)
    except OSError as error:
        raise OutputError(
            "E-OUTPUT", "the plan cannot be written", where=saved.path, found=reason_of(error),
            next_step="check the permissions of --output and the free space",
        ) from error  # fmt: skip
    if not isinstance(kept, NotPlanned):
        return None
    if kept is not plan:
        _log.warning("the model is published without a plan:  %s", kept.reason)
    return kept.reason


def _load(saved: SavedModel, plan: Plan | NotPlanned) -> Plan | NotPlanned:
    session = open_session(saved.path, threads=1)
    try:
        return keep_if_it_loads(session, plan, saved.path / CARD_PATH.parent)
    finally:
        session.close()


def check_export(path: Path) -> Exported:
    """Load the SavedModel at `path` as the ranking job will, and replay its probe rows.

    Raises ModelError: E-MODEL-PROBES if a score depends on more than its row, or is not the trained model's, and
    those of reading and loading.
    """
    saved = read_saved_model(path)
    card = saved.card
    if card is None:
        raise ModelError("E-MODEL-CARD", "the export has no card", where=path, next_step="report this as a bug")
    chosen = choose_scoring(saved)
    session = open_session(saved.path, threads=1)
    try:
        require_stable_scores(session, chosen.signature, chosen.score, card)
        result = replay_probes(session, chosen.signature, chosen.score, card)
    finally:
        session.close()
    if not result.ok:
        raise ModelError(
            "E-MODEL-PROBES",
            "the exported model does not give the trained model's scores; it was not published",
            where=f"probe row {result.worst_row} of {result.rows}",
            found=f"{result.found:.7g} by {session.runtime}",
            expected=f"{result.expected:.7g} within {result.tolerance:.3g} ({result.worst:.3g} apart)",
            next_step="report this as a bug, with the training settings",
        )
    return Exported(saved, result)


def _save(model: tfrs.Model, signatures: dict[str, Signature], path: Path) -> None:
    """Save the functions with the variables and tables that they use: no Keras object, no optimizer state."""

    def trace(function: Callable[[Features], Features], specs: dict[str, tf.TensorSpec]) -> Any:
        names = list(specs)
        return tf.function(
            lambda *columns: function(dict(zip(names, columns, strict=True))),
            input_signature=list(specs.values()),
            autograph=False,
        ).get_concrete_function()

    functions = {name: trace(*signature) for name, signature in signatures.items()}
    captured = {id(tensor) for function in functions.values() for tensor in function.captured_inputs}
    module = tf.Module()
    module.resources = [
        item for item in tf.train.TrackableView(model).descendants() if _handle_id(item) in captured
    ]
    tf.saved_model.save(module, str(path), signatures=functions)
    (path / _UUID_FILE).unlink(missing_ok=True)


def _handle_id(item: Any) -> int | None:
    """Identity of the handle by which a function captures a variable or a table; None for anything else."""
    if isinstance(item, tf.Variable):
        return id(item.handle)
    if isinstance(item, tf.saved_model.experimental.TrackableResource):
        return id(item.resource_handle)
    return None


def _absent_id(ids: pa.ChunkedArray) -> str | int:
    """The first of 0, 1, 2 or unknown-0, unknown-1, unknown-2 and so on that stands in no row."""
    present = pc.unique(ids)
    if pa.types.is_integer(present.type):
        numbers = np.sort(present.filter(pc.greater_equal(present, 0)).to_numpy())
        return int(np.flatnonzero(np.append(numbers != np.arange(len(numbers)), True))[0])
    texts = (f"unknown-{number}" for number in itertools.count())
    return next(text for text in texts if pc.index(present, pa.scalar(text, present.type)).as_py() < 0)
