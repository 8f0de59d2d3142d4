"""The small interface behind which a SavedModel runs.

Whoever scores knows only this: a `Session` takes Arrow arrays and returns NumPy arrays. It knows nothing of
pairs, users or candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa

from batchscore.runtime.saved_model import Signature


class Session(Protocol):
    """A loaded SavedModel.

    `run` may be called from several threads at once; each call computes on one intra-op thread, so that a
    result depends neither on the number of threads nor on what runs beside it.
    """

    @property
    def runtime(self) -> str:
        """What computes, with its version: `tensorflow 2.21.0 (python)`."""
        ...

    def run(
        self, signature: Signature, feeds: Mapping[str, pa.Array], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Call `signature` once.

        `feeds` has one null-free Arrow array of equal length n per input of the signature, of the input's dtype
        (string or large_string for strings); an input of shape [n, 1] is fed its column. Returns the named
        outputs: numeric dtypes as they are, bfloat16 and float16 widened to float32. Raises ModelError
        (E-MODEL-RUN) when the model fails.
        """
        ...

    def close(self) -> None:
        """Free the model. Calling it twice is harmless."""
        ...


def open_session(path: Path, *, threads: int) -> Session:
    """Load the SavedModel at `path` for `threads` concurrent callers. ModelError (E-MODEL-LOAD) when it cannot."""
    from batchscore.runtime.pyapi import PythonSession  # noqa: PLC0415 - TensorFlow loads only when a model does

    return PythonSession(path, threads=threads)
