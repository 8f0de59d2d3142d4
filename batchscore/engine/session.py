"""The small interface behind which a SavedModel runs.

Whoever scores knows only this: a `Session` takes Arrow arrays and returns NumPy arrays. It knows nothing of
pairs, users or candidates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from batchscore.engine.fed_table import FedTable
from batchscore.errors import ModelError
from batchscore.savedmodel.proto import DTYPES
from batchscore.savedmodel.saved_model import Signature


class Call(Protocol):
    """Prepared feeds and fetches of a session: see `Session.prepare`."""

    def __call__(self, *feeds: pa.Array | np.ndarray | FedTable) -> list[np.ndarray]:
        """Run once, with one feed a tensor name, in the order in which they were prepared.

        A feed is a null-free Arrow array (shaped [n], or [n, 1] where the fed tensor has two dimensions), a NumPy
        array of numbers in the tensor's own shape, or a FedTable, which is not copied. Strings are Arrow strings or
        binary of any kind, or a dictionary of them, which costs less the more rows share a string. bfloat16 and
        float16 are fed from floats. The memory of a feed is the caller's again when the call returns.

        Returns an array for each fetch: numeric dtypes as they are, bfloat16 and float16 widened to float32,
        strings as an object array of bytes. May be called from several threads at once. Raises ModelError
        (E-MODEL-RUN) when the model fails, MemoryError if memory does not suffice, ValueError for nulls.
        """
        ...


class Session(ABC):
    """A loaded SavedModel.

    `run` and prepared calls may be used from several threads at once; each call computes on one intra-op thread,
    so that a result depends neither on the number of threads nor on what runs beside it. (That holds for the
    first session of a process: where a host program started TensorFlow before, its thread pool is used, and the
    order law rests on the scorer's self-test.)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._signature_calls: dict[tuple[str, tuple[str, ...]], Call] = {}

    @property
    @abstractmethod
    def version(self) -> str:
        """TensorFlow's version, `2.21.0`."""

    @property
    @abstractmethod
    def runtime(self) -> str:
        """What computes, with its version: `tensorflow 2.21.0 (c)`, or `(python)` and why."""

    @abstractmethod
    def prepare(self, feeds: Sequence[str], fetches: Sequence[str], *, label: str) -> Call:
        """Look up tensors of the session's graph (`serving_default_user_id:0`) once, for many calls.

        `label` is how a message calls the part of the model (`signature 'serving_default'`). Raises ModelError
        (E-MODEL-LOAD) if the graph lacks one of the tensors, or one has no NumPy dtype.
        """

    @abstractmethod
    def import_graph(self, graph_def: bytes, prefix: str) -> None:
        """Add a serialized GraphDef to the session's graph, its nodes named `prefix/...`.

        Variables and tables that it names by `shared_name` are those of the model. Its functions are added to
        the model's, so their names must differ from those that mean something else there. Raises ModelError
        (E-MODEL-LOAD) if it does not fit.
        """

    @abstractmethod
    def close(self) -> None:
        """Free the model, once no call is running. Calling it twice is harmless; a call after it is a bug."""

    def run(
        self, signature: Signature, feeds: Mapping[str, pa.Array], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Call `signature` once.

        `feeds` has one null-free Arrow array of equal length n per input of the signature, of the input's dtype;
        an input of shape [n, 1] is fed its column. Returns the named outputs. Dtypes and errors: see `Call`.
        """
        key = (signature.name, tuple(outputs))
        call = self._signature_calls.get(key)
        if call is None:
            tensors = [signature.outputs[name].tensor for name in outputs]
            inputs = [spec.tensor for spec in signature.inputs.values()]
            call = self.prepare(inputs, tensors, label=f"signature {signature.name!r}")
            self._signature_calls[key] = call
        return dict(zip(outputs, call(*(feeds[name] for name in signature.inputs)), strict=True))


_REASON_CHARACTERS = 1000
"""TensorFlow repeats the value that it failed on, however long that is."""

_RENAME = "TensorFlow takes [ ] and \\ in a path for a pattern of names: rename that folder"


def load_failure(path: Path, reason: str, *, expected: str | None = None) -> ModelError:
    """The error of a SavedModel that TensorFlow cannot load."""
    return ModelError(
        "E-MODEL-LOAD",
        "TensorFlow cannot load the SavedModel",
        where=path,
        found=reason,
        expected=expected,
        next_step=_RENAME
        if "\\" in str(path) or "[" in str(path)
        else "export the model again, or pick another version with --model-version",
    )


def refuse_nulls(feed: pa.Array | np.ndarray | FedTable) -> None:
    """ValueError if an Arrow array has a null, or a dictionary code that stands for one."""
    if isinstance(feed, pa.Array):
        nulls = feed.null_count
        if isinstance(feed, pa.DictionaryArray) and feed.dictionary.null_count:
            nulls = feed.dictionary_decode().null_count
        if nulls:
            raise ValueError(f"{nulls} of {len(feed)} fed values are null")


def check_dtype(path: Path, tensor: str, number: int) -> None:
    """Raise ModelError (E-MODEL-LOAD) if a tensor of TensorFlow's DataType `number` has no NumPy dtype."""
    if DTYPES.get(number, "resource") == "resource":
        reason = f"tensor {tensor!r} is of TensorFlow's type {number}, which NumPy does not have"
        raise load_failure(path, reason, expected="numbers or strings")


def import_failure(path: Path, reason: str) -> ModelError:
    """The error of a graph that does not fit the SavedModel."""
    return ModelError(
        "E-MODEL-LOAD",
        "TensorFlow cannot add the plan to the SavedModel",
        where=path,
        found=reason,
        next_step="run with --plan off, and make the plan again",
    )


def run_failure(path: Path, label: str, reason: str) -> ModelError:
    """The error of a model that failed in a call."""
    return ModelError(
        "E-MODEL-RUN",
        f"the model failed in {label}",
        where=path,
        found=reason[:_REASON_CHARACTERS],
        next_step="check the values that the model was given, or roll back with --model-version",
    )
