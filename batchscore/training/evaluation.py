"""What a model predicts for the parts of a split, and how good that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from batchscore.columns import SCORE
from batchscore.errors import ModelError
from batchscore.networks.predictions import predict
from batchscore.networks.training_batches import read_training_batches
from batchscore.settings.recipe import Click
from batchscore.settings.train import TrainSettings
from batchscore.training.metrics import Figures
from batchscore.training.split_parts import SplitPart


class Evaluator:
    """Measures a model as it is now on the parts of a split."""

    def __init__(self, model: Any, parts: Mapping[str, SplitPart], settings: TrainSettings) -> None:
        self.parts = parts
        self._settings = settings
        self._features = list(settings.all_features())
        self._tasks = settings.all_tasks()

        spec = read_training_batches(next(iter(parts.values())).rows.select(self._features)).element_spec

        @tf.function(input_signature=[spec])  # type: ignore[untyped-decorator] # TensorFlow has no types
        def predicted(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            outputs = predict(model, batch, settings)
            outputs.setdefault(next(iter(self._tasks)), outputs[SCORE])
            return {name: outputs[name] for name in self._tasks if name in outputs}

        self._predicted = predicted

    def measure(self) -> dict[str, Figures]:
        """The figures of each part by its name. Costs one prediction of their rows.

        Raises ModelError (E-TRAINING-DIVERGED) if a prediction is not finite.
        """
        return {
            name: {task: part.measure(task, values) for task, values in self.predict(part).items()}
            for name, part in self.parts.items()
        }

    def predict(self, part: SplitPart) -> dict[str, np.ndarray]:
        """The predictions of each task that the model has an output for, float32 `[rows]`.

        Where no output is named after the first task, that of the score is its prediction.

        Raises ModelError: E-TRAINING-DIVERGED if one is not finite, E-MODEL-OUTPUT if a click's is no
        probability.
        """
        found: dict[str, list[np.ndarray]] = {}
        for batch in read_training_batches(part.rows.select(self._features)):
            for name, values in self._predicted(batch).items():
                found.setdefault(name, []).append(values.numpy())
        predictions = {name: np.concatenate(values) for name, values in found.items()}
        for name, values in predictions.items():
            self._require_usable(name, values)
        return predictions

    def _require_usable(self, name: str, values: np.ndarray) -> None:
        if bad := int((~np.isfinite(values)).sum()):
            raise ModelError(
                "E-TRAINING-DIVERGED",
                "training diverged; nothing was published",
                found=f"{bad:,} of {len(values):,} predictions of {name} are NaN or infinite",
                expected="finite numbers",
                next_step=f"lower --learning-rate (it was {self._settings.learning_rate:g})",
            )
        if isinstance(self._tasks[name], Click) and not ((values >= 0) & (values <= 1)).all():
            raise ModelError(
                "E-MODEL-OUTPUT",
                f"the output of the click task {name} is no probability",
                found=f"predictions from {values.min():.4g} to {values.max():.4g}",
                expected="0 to 1; the output named score may be the logit",
                next_step="give the sigmoid of the logit in the output that is named after the task",
            )
