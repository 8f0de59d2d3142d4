"""A trained model as a SavedModel that serves and nothing else, with its card for the ranking job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from batchscore.columns import SCORE
from batchscore.config import TrainSettings
from batchscore.errors import ModelError, OutputError
from batchscore.planning.plan_model import plan_model
from batchscore.runtime.card import CARD_PATH, KnownSignature, ModelCard, Probes, list_files, write_card
from batchscore.runtime.plan import write_plan
from batchscore.runtime.probes import ProbeResult, replay_probes
from batchscore.runtime.saved_model import SERVING_DEFAULT, SavedModel, read_saved_model
from batchscore.runtime.score import choose_score
from batchscore.runtime.session import open_session
from batchscore.training.dataset import to_tensors
from batchscore.training.ranking_model import RankingModel

_LOG = logging.getLogger(__name__)

KNOWN = "known"
PROBE_ROWS = 64
_UUID_FILE = "fingerprint.pb"  # nothing reads it, and its random UUID makes equal models unequal

Features = dict[str, tf.Tensor]


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


@dataclass(frozen=True)
class ProbeRows:
    """Rows to remember the scores of: what the model is given, by column name, and which are the two ids."""

    features: dict[str, pa.Array]
    user_column: str
    candidate_column: str


def draw_probes(rows: pa.Table, settings: TrainSettings) -> ProbeRows:
    """Rows to remember the scores of: up to 64, drawn with the seed, in the order of the file.

    The last but one has a user and the last a candidate that no row has.
    """
    count = min(rows.num_rows, PROBE_ROWS - 2)
    drawn = np.sort(np.random.default_rng(settings.seed).choice(rows.num_rows, count, replace=False))
    probes = rows.select(list(settings.all_features())).take(np.concatenate([drawn, drawn[:1], drawn[:1]]))
    features = {
        name: column.combine_chunks() for name, column in zip(probes.column_names, probes.columns, strict=True)
    }
    for name, row in ((settings.user_column, -2), (settings.candidate_column, -1)):
        ids = features[name].to_pylist()
        ids[row] = _absent_id(rows[name])
        features[name] = pa.array(ids, features[name].type)
    return ProbeRows(features, settings.user_column, settings.candidate_column)


def export_model(
    model: RankingModel, probes: ProbeRows, path: Path, made_with: dict[str, str], training: dict[str, Any]
) -> None:
    """Write `model` into the empty directory `path` as a SavedModel with its card.

    Signature `serving_default` takes the features by column name, each `[batch]`, and gives `score`, float32
    `[batch]`; signature `known` takes the same and gives `user_known` and `candidate_known`, bool `[batch]`. The
    scores of the probe rows in the card come from `model` itself; `made_with` and `training` go there as they are.

    Equal models give equal bytes. Raises OutputError (E-OUTPUT) where the files cannot be written.
    """
    tensors = to_tensors(probes.features)
    specs = {name: tf.TensorSpec([None], tensor.dtype, name) for name, tensor in tensors.items()}

    def score(features: Features) -> Features:
        return {SCORE: tf.cast(model(features), tf.float32)}

    scores = score(tensors)[SCORE].numpy().tolist()
    try:
        _save(model, {SERVING_DEFAULT: score, KNOWN: model.known}, specs, path)
        card = ModelCard(
            signature=SERVING_DEFAULT,
            score_output=SCORE,
            user_input=probes.user_column,
            candidate_input=probes.candidate_column,
            probes=Probes(
                inputs={name: ids.to_pylist() for name, ids in probes.features.items()},
                scores=scores,
            ),
            known=KnownSignature(signature=KNOWN, user_output="user_known", candidate_output="candidate_known"),
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
            found=str(error).rpartition("}} ")[2].splitlines()[0],  # TensorFlow puts its function node first
            next_step="check the permissions of --output and the free space",
        ) from error


def leave_plan(saved: SavedModel) -> None:
    """Put the plan for the score with the model, so that no run has to make it; or the reason why there is none.

    A planner that breaks costs the model its plan and not its publication: a run tries again. Raises OutputError
    (E-OUTPUT) where the plan cannot be written.
    """
    card = saved.card
    if card is None:
        raise ModelError(
            "E-MODEL-CARD", "the export has no card", where=saved.path, next_step="report this as a bug"
        )
    try:
        plan = plan_model(
            saved.path,
            card.signature,
            card.score_output,
            user_inputs=[card.user_input] if card.user_input else [],
            candidate_inputs=[card.candidate_input] if card.candidate_input else [],
        )
    except Exception:  # noqa: BLE001 - hours of training are worth more than a plan
        _LOG.warning("no plan is left with the model: the planner failed", exc_info=True)
        return
    try:
        write_plan(saved.path / CARD_PATH.parent, plan)
    except OSError as error:
        raise OutputError(
            "E-OUTPUT", "the plan cannot be written", where=saved.path, found=error.strerror,
            next_step="check the permissions of --output and the free space",
        ) from error  # fmt: skip


def check_export(path: Path) -> Exported:
    """Load the SavedModel at `path` as the ranking job will, and replay its probe rows.

    Raises ModelError: E-MODEL-PROBES where a score differs beyond the tolerance, and those of reading and loading.
    """
    saved = read_saved_model(path)
    card = saved.card
    if card is None:
        raise ModelError("E-MODEL-CARD", "the export has no card", where=path, next_step="report this as a bug")
    signature = saved.signatures[card.signature]
    session = open_session(saved.path, threads=1)
    try:
        result = replay_probes(session, signature, choose_score(signature, card=card)[0], card)
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


def _save(
    model: RankingModel,
    signatures: dict[str, Callable[[Features], Features]],
    specs: dict[str, tf.TensorSpec],
    path: Path,
) -> None:
    """Save the functions with the variables and tables that they use: no Keras object, no optimizer state."""
    names = list(specs)

    def trace(function: Callable[[Features], Features]) -> Any:
        return tf.function(
            lambda *columns: function(dict(zip(names, columns, strict=True))),
            input_signature=list(specs.values()),
            autograph=False,
        ).get_concrete_function()

    functions = {name: trace(function) for name, function in signatures.items()}
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
    """An id that stands in no row."""
    present = set(ids.unique().to_pylist())
    if pa.types.is_integer(ids.type):
        return next(number for number in range(len(present) + 1) if number not in present)
    return next(text for text in (f"unknown-{n}" for n in range(len(present) + 1)) if text not in present)
