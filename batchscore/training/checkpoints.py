"""Where a training stands after each epoch, so that one that was killed goes on from there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from batchscore.errors import OutputError, first_line, reason_of
from batchscore.interactions.identity import Identity
from batchscore.networks.factory_source import find_source
from batchscore.publishing.model_base import ModelBase, remove
from batchscore.settings.train import TrainSettings
from batchscore.system.durable import sync, sync_tree, write_whole
from batchscore.system.regular_files import read_regular
from batchscore.training.metrics import Epoch
from batchscore.training.training_report import library_versions

_log = logging.getLogger(__name__)

_STATE = "state.json"
_WEIGHTS = "weights"
_PREFIX = "epoch-"
_ELSEWHERE: Any = {
    **dict.fromkeys(("input", "output", "users", "candidates"), True),
    **dict.fromkeys(("max_regression", "keep_versions", "tensorboard"), True),
    "model": {"factory_folder": True},
}
"""Settings that a model does not depend on; files count with what they hold, not with where they lie."""


class Checkpoints:
    """The states of one model in a folder: that of the last epoch, and of the best one.

    A state is the weights, the optimizer's, and all epochs so far. It appears whole or not at all. Raises
    OutputError (E-OUTPUT) if it cannot be written, or does not fit the model.
    """

    def __init__(self, folder: Path, model: tf.keras.Model) -> None:
        """`model` is compiled and has its weights."""
        self._folder = folder
        optimizer = model.optimizer
        if hasattr(optimizer, "build"):  # its slots are read with it
            optimizer.build(model.trainable_variables)
        self._checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)

    def resume(self) -> list[Epoch]:
        """Give the model its last state; all epochs up to it, none if there is no state."""
        numbers = self._numbers()
        if not numbers:
            return []
        self.restore(numbers[-1])
        with self._taking_up():
            text = read_regular(self._place(numbers[-1]) / _STATE)
            return [Epoch(**epoch) for epoch in json.loads(text)]

    def restore(self, epoch: int) -> None:
        """Give the model its state after `epoch` (from 1), which is the last or was the best."""
        with self._taking_up():
            status = self._checkpoint.read(str(self._place(epoch) / _WEIGHTS))
            status.assert_existing_objects_matched().expect_partial()

    def save(self, epochs: Sequence[Epoch], best: int) -> None:
        """Keep the state after the last of `epochs`; of earlier ones only that of epoch `best` stays."""
        place = self._place(len(epochs))
        draft = place.with_name(f"{place.name}.new")
        try:
            remove(draft)
            draft.mkdir(parents=True)
            self._checkpoint.write(str(draft / _WEIGHTS))
            write_whole(draft / _STATE, json.dumps([dataclasses.asdict(epoch) for epoch in epochs]))
            sync_tree(draft)
            remove(place)
            draft.rename(place)
            sync(self._folder)
            for number in self._numbers():
                if number not in (best, len(epochs)):
                    remove(self._place(number))
        except (OSError, tf.errors.OpError) as error:
            raise OutputError(
                "E-OUTPUT",
                "the state of the training cannot be written",
                where=place,
                found=first_line(error),
                next_step="check the permissions of --output and the free space",
            ) from error

    @contextmanager
    def _taking_up(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, TypeError, RecursionError, AssertionError, tf.errors.OpError) as error:
            raise OutputError(
                "E-OUTPUT",
                "the training cannot be resumed",
                where=self._folder,
                found=f"{type(error).__name__}: {first_line(error)}",
                next_step=f"remove {self._folder} to start again",
            ) from error

    def _place(self, epoch: int) -> Path:
        return self._folder / f"{_PREFIX}{epoch:05d}"

    def _numbers(self) -> list[int]:
        """The epochs that have a state, ascending."""
        if not self._folder.is_dir():
            return []
        names = (path.name.removeprefix(_PREFIX) for path in self._folder.iterdir())
        return sorted(int(name) for name in names if name.isdecimal())


def open_state(base: ModelBase, files: Mapping[str, Identity], settings: TrainSettings) -> Path:
    """The folder for the checkpoints of this very training; those of any other are removed.

    It is another training where a setting differs that the model depends on, one of the input `files`, the
    libraries, or the source of the factory, which is loaded by now with what it imports from its package or folder.
    Raises OutputError (E-OUTPUT).
    """
    folder = base.training / _identify(files, settings)
    try:
        for other in base.training.iterdir() if base.training.is_dir() else ():
            if other not in (folder, base.training_rows):  # rows are mapped by now, and outlive their files
                _log.info("the state of another training is removed: it had different settings or input")
            if other != folder:
                remove(other)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "E-OUTPUT",
            f"the state of the training cannot be kept: {reason_of(error)}",
            where=folder,
            next_step="check the permissions of --output and the free space",
        ) from error
    return folder


def _identify(files: Mapping[str, Identity], settings: TrainSettings) -> str:
    told: dict[str, Any] = {
        "settings": settings.model_dump(mode="json", exclude=_ELSEWHERE),
        "files": dict(files),
        "libraries": library_versions(),
    }
    if settings.model.factory is not None:
        hashes = (hashlib.sha256(read_regular(file)) for file in sorted(find_source(settings.model.factory)))
        told["factory"] = hashlib.sha256(b"".join(each.digest() for each in hashes)).hexdigest()
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
