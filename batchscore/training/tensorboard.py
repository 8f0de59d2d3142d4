"""The figures of each epoch for TensorBoard, which is an extra of its own."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from batchscore.errors import OutputError, UsageError
from batchscore.training.metrics import Epoch

_log = logging.getLogger(__name__)


def require_tensorboard(folder: Path | None) -> None:
    """Raises UsageError (E-EXTRA-MISSING) if logs are wanted and TensorBoard is not installed."""
    if folder is not None and find_spec("tensorboard") is None:
        raise UsageError(
            "E-EXTRA-MISSING",
            "logs for TensorBoard need the package tensorboard",
            found="it is not installed",
            next_step="pip install 'batchscore[tensorboard]', or leave --tensorboard out",
        )


class Board:
    """Writes the loss and every figure of an epoch; does nothing without a folder.

    Where a write fails later on there are no more, with a warning: the training is worth more than its logs.
    """

    def __init__(self, folder: Path | None) -> None:
        """Raises OutputError (E-OUTPUT) if `folder` cannot be written."""
        import tensorflow as tf  # noqa: PLC0415 - after require_keras_2

        self._tf = tf
        self._folder = folder
        self._writer: Any = None
        if folder is not None:
            try:
                self._writer = tf.summary.create_file_writer(str(folder))
                self._writer.init()
            except tf.errors.OpError as error:
                raise OutputError(
                    "E-OUTPUT", "the logs for TensorBoard cannot be written", where=folder, found=error.message,
                    next_step="check the permissions of --tensorboard",
                ) from error  # fmt: skip

    def write(self, epoch: Epoch) -> None:
        """Add the figures of `epoch`, as `training/rating RMSE` and the like."""
        if self._writer is None:
            return
        try:
            self._write(epoch)
        except self._tf.errors.OpError as error:
            self._writer = None
            _log.warning("no more logs for TensorBoard in %s: %s", self._folder, error.message)

    def _write(self, epoch: Epoch) -> None:
        with self._writer.as_default(step=epoch.epoch):
            self._tf.summary.scalar("training/loss", epoch.loss)
            parts = {"training": epoch.training, "validation": epoch.validation, "held out": epoch.held_out}
            for part, figures in parts.items():
                for task, metrics in (figures or {}).items():
                    for metric, value in metrics.items():
                        if value is not None:
                            self._tf.summary.scalar(f"{part}/{task} {metric}", value)
        self._writer.flush()
