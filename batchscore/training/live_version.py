"""The live version on the same held-out rows, as far as it has not learned them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.columns import SCORE
from batchscore.engine.opening import open_session
from batchscore.errors import ModelError
from batchscore.publishing.model_base import ModelBase
from batchscore.savedmodel.card import ModelCard, read_card
from batchscore.savedmodel.saved_model import SavedModel, Signature, choose_signature, read_saved_model
from batchscore.savedmodel.versions import list_versions, locate
from batchscore.settings.recipe import Click, Task
from batchscore.settings.train import TrainSettings
from batchscore.training.metrics import Metric, metric_of
from batchscore.training.split_parts import SplitPart

_SCORED_ROWS = 8192
_BEGIN = "held_out_from"
_TYPES = {"string": pa.large_string(), "int64": pa.int64(), "float32": pa.float32()}


@dataclass(frozen=True)
class Live:
    """The live version's figure, or the reason why there is none. `version` is None if none is published."""

    version: int | None = None
    value: float | None = None
    reason: str | None = None

    def describe(self) -> dict[str, Any]:
        """The field of the report."""
        return asdict(self)


class _IncomparableError(Exception):
    """Says why the live version is not compared."""


def measure_live_version(base: ModelBase, held_out: SplitPart, settings: TrainSettings) -> Live:
    """The first task's figure of the version that `run` would use now, on all held-out rows.

    A version that was refitted has learned held-out rows, so the model that was evaluated is scored, as
    `run` would. Where the comparison would not be fair, or cannot be made, the reason is told instead.
    """
    if not list_versions(base.path):
        return Live(reason="no version is live")
    version = None
    try:
        located = locate(base.path)
        version = located.version
        split = describe_split(held_out.rows, settings)
        model = _find_evaluated_model(base, located.path, located.version or 0, split, settings)
        name, task = next(iter(settings.all_tasks().items()))
        predicted = _score(model, held_out.rows, name)
        if not np.isfinite(predicted).all():
            raise _IncomparableError("it gives scores that are NaN or infinite")
        return Live(version, held_out.measure(name, predicted)[metric_of(task).name])
    except _IncomparableError as reason:
        return Live(version, reason=str(reason))
    except ModelError as error:
        return Live(version, reason=error.in_one_line())


def describe_task(name: str, task: Task, metric: Metric) -> dict[str, Any]:
    """What two models must have in common for their figures to be comparable.

    A probability among other negatives is another one, so their number is told if they are drawn.
    """
    negatives = {"negatives": task.negatives} if isinstance(task, Click) and task.negatives else {}
    return {"name": name, "kind": task.kind, "label": task.label, "metric": metric.name, **negatives}


def describe_split(held_out: pa.Table, settings: TrainSettings) -> dict[str, Any]:
    """How rows are held out; by time also the moment from which they are.

    Of two trainings that say the same, a later moment aside, the later one holds out no row that the earlier one
    has learned. (By `last`: as long as rows are only added, and are each user's newest.)
    """
    how = settings.split or ("random" if settings.timestamp_column is None else "time")
    if how == "random":
        return {"how": how, "held_out": settings.held_out, "seed": settings.seed}
    column = settings.timestamp_column
    if how == "last":
        return {"how": how, "last": settings.last, "timestamp_column": column}
    begin = pc.min(held_out[column]).as_py()
    return {"how": how, "held_out": settings.held_out, "timestamp_column": column, _BEGIN: begin}


def _find_evaluated_model(
    base: ModelBase, live: Path, version: int, split: dict[str, Any], settings: TrainSettings
) -> SavedModel:
    card = read_card(live)
    told: dict[str, Any] = card.training if card is not None else {}
    name, task = next(iter(settings.all_tasks().items()))
    if "judged_by" not in told or "split" not in told:
        raise _IncomparableError("it does not say which rows it has learned")
    if (judged_by := told["judged_by"]) != describe_task(name, task, metric_of(task)):
        metric, label, kind = (judged_by.get(key) for key in ("metric", "label", "kind"))
        drawn = f", {judged_by['negatives']} negatives" if "negatives" in judged_by else ""
        raise _IncomparableError(f"it was evaluated by {metric} of {label} ({kind}{drawn})")
    if told["split"] | {_BEGIN: None} != split | {_BEGIN: None}:
        raise _IncomparableError("its rows were held out in another way, so it has learned some of these")
    if split.get(_BEGIN, 0) < told["split"].get(_BEGIN, 0):
        raise _IncomparableError(
            "rows older than its own held-out ones came in since, so it has learned some of these"
        )
    if not told.get("refitted"):
        return read_saved_model(live)
    evaluated = base.evaluated(version)
    if not evaluated.is_dir():
        raise _IncomparableError("it was refitted on all rows, and its model from before the refit is missing")
    other = read_card(evaluated)
    if other is None or other.training != told:
        raise _IncomparableError("the model kept beside it is not its model from before the refit")
    return read_saved_model(evaluated)


def _score(model: SavedModel, rows: pa.Table, task: str) -> np.ndarray:
    """The prediction of `task` for every row, float32; the score where the task has no output of its own."""
    card: ModelCard | None = model.card
    signature, _ = choose_signature(model)
    output = task if task in signature.outputs else card.score_output if card else SCORE
    _require_columns(signature, rows.schema)
    session = open_session(model.path, threads=1)
    try:
        found = []
        for batch in rows.to_batches(max_chunksize=_SCORED_ROWS):
            feeds = {name: batch[name] for name in signature.inputs}
            found.append(session.run(signature, feeds, [output])[output].reshape(-1))
        return np.concatenate(found)
    finally:
        session.close()


def _require_columns(signature: Signature, schema: pa.Schema) -> None:
    for name, spec in signature.inputs.items():
        if name not in schema.names:
            raise _IncomparableError(f"its input {name} is no feature of this training")
        if schema.field(name).type != _TYPES.get(spec.dtype):
            raise _IncomparableError(f"its input {spec} is {schema.field(name).type} in this training")
