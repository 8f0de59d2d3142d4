"""What goes wrong within a model, in words: a fault of the team's own model is told by the line of their file."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from batchscore.errors import BatchscoreError, OutOfMemoryError, UsageError, as_out_of_memory
from batchscore.networks.factory_source import find_source
from batchscore.settings.train import TrainSettings

_log = logging.getLogger(__name__)

_PLACE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')
"""A frame in the words of TensorFlow, which runs translations of a function and tells the lines of the original."""

_WRAPPED = ("in user code:", "Exception encountered when calling")
_FRAMES = ("Graph execution error:", "Detected at node", "Traceback ", *_WRAPPED)
"""How their errors begin that wrap another, and their lines that do not say what went wrong."""


@contextmanager
def translate_errors(settings: TrainSettings, doing: str = "its model failed") -> Iterator[None]:
    """What a model raises within comes out as an error that says in words what can be done about it.

    An error of batchscore comes out as itself, also where TensorFlow has wrapped it, and memory that ran out as
    OutOfMemoryError (E-MEMORY). With a factory any other error is its model's: UsageError (E-FACTORY). Without one
    it is a fault of ours, and stays what it is.
    """
    try:
        yield
    except BatchscoreError:
        raise
    except Exception as error:
        origin = _find_origin(error)
        if isinstance(origin, BatchscoreError):
            raise origin from None
        if isinstance(origin, tf.errors.ResourceExhaustedError) or as_out_of_memory(origin) is not None:
            raise OutOfMemoryError(
                "E-MEMORY",
                "memory ran out while the model was made or trained; nothing was published",
                found=_find_words(origin),
                next_step="lower --layers, --embedding-dimension, --batch-rows or --shuffle-rows, or give it more "
                "memory",
            ) from error
        if settings.model.factory is None:
            raise
        _log.debug("the model of the factory %s failed", settings.model.factory, exc_info=True)
        raise UsageError(
            "E-FACTORY",
            f"the model factory {settings.model.factory} gives no model that can be trained",
            where=_find_place(error, origin, settings.model.factory) or settings.model.factory_folder,
            found=f"{doing}: {type(origin).__name__}: {_find_words(origin)}",
            expected="a tfrs.Model that maps a dict of features to predictions [batch]",
            next_step="correct it (--verbose shows the traceback); batchscore.networks.factory.ModelContext says "
            "what it is given and what it must do",
        ) from error


def _find_origin(error: BaseException) -> BaseException:
    """What was raised at first, where Keras and TensorFlow have put their own words around it."""
    origin = error
    while str(origin).startswith(_WRAPPED) and (inner := origin.__cause__ or origin.__context__) is not None:
        origin = inner
    return origin


def _find_place(error: BaseException, origin: BaseException, factory: str) -> str | None:
    """The innermost line of the team's files, if there is one."""
    told = [(found["file"], found["line"], found["function"]) for found in _PLACE.finditer(str(error))]
    frames = traceback.extract_tb(origin.__traceback__)
    raised = [(frame.filename, frame.lineno, frame.name) for frame in frames]
    files = find_source(factory)
    for places in (told, raised):
        for file, line, function in reversed(places):
            if Path(file) in files:
                return f"{file}, line {line}, in {function}"
    return None


def _find_words(origin: BaseException) -> str:
    """The line of its message that says what went wrong."""
    lines = [line for line in str(origin).splitlines() if line.strip()]
    telling = (line for line in lines if not line[0].isspace() and not line.startswith(_FRAMES))
    line = next(telling, lines[-1].strip() if lines else "no message")
    return line.rpartition("}} ")[2]  # TensorFlow puts its function node first
