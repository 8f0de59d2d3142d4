"""What a model predicts, whether it was declared or comes from a factory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from batchscore.columns import SCORE
from batchscore.errors import ModelError
from batchscore.networks.ranking_model import RankingModel
from batchscore.settings.train import TrainSettings


def predict(model: Any, features: dict[str, tf.Tensor], settings: TrainSettings) -> dict[str, tf.Tensor]:
    """`score`, by which candidates are ranked, then every prediction of `model` by name, float32 `[batch]`.

    `model` is a RankingModel, or gives for a batch of features one tensor `[batch]` or `[batch, 1]`, or several by
    name: the score is then the one named `score`, otherwise that of the first task, otherwise the only one. One
    tensor is the prediction of the first task.

    Raises ModelError (E-MODEL-OUTPUT) if no score can be told, or an output has another shape.
    """
    if isinstance(model, RankingModel):
        return model.serve(features)
    given = model(features)
    first = next(iter(settings.all_tasks()))
    named = dict(given) if isinstance(given, Mapping) else {first: given}
    outputs = {str(name): _flat(str(name), values) for name, values in named.items()}
    score = outputs.get(SCORE, outputs.get(first))
    if score is None and len(outputs) == 1:
        score = next(iter(outputs.values()))
    if score is None:
        raise ModelError(
            "E-MODEL-OUTPUT",
            "it is not clear which output of the factory's model is the score",
            found=", ".join(outputs) or "no outputs",
            expected=f"an output named {SCORE!r} or {first!r} (the first task)",
            next_step="name the outputs after the tasks",
        )
    return {SCORE: score, **{name: values for name, values in outputs.items() if name != SCORE}}


def _flat(name: str, values: Any) -> tf.Tensor:
    shape = values.shape
    if shape.rank not in (1, 2) or (shape.rank == 2 and shape[1] != 1):  # noqa: PLR2004
        raise ModelError(
            "E-MODEL-OUTPUT",
            f"output {name!r} of the factory's model is not one number per row",
            found=f"shape {shape}",
            expected="[batch] or [batch, 1]",
            next_step="give one prediction per row",
        )
    return tf.reshape(tf.cast(values, tf.float32), [-1])
