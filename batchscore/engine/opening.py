"""The way in: a SavedModel, loaded by whichever of TensorFlow's interfaces can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from batchscore.engine.libtensorflow import LibraryUnavailableError
from batchscore.engine.session import Session, load_failure

Api = Literal["c", "python"]


def open_session(path: Path, *, threads: int, api: Api | None = None) -> Session:
    """Load the SavedModel at `path` for `threads` concurrent callers.

    Through TensorFlow's C API, or through its Python API where the C library cannot be used (`Session.runtime` says
    which and why); `api` insists on one. Raises ModelError (E-MODEL-LOAD) when the model or the library cannot be
    loaded.
    """
    # each API is loaded only when a model is
    c_failure = None
    if api != "python":
        from batchscore.engine.capi import CSession  # noqa: PLC0415

        try:
            return CSession(path, threads=threads)
        except LibraryUnavailableError as error:
            c_failure = str(error)
            if api == "c":
                raise load_failure(path, c_failure) from error
    from batchscore.engine.pyapi import PythonSession  # noqa: PLC0415

    return PythonSession(path, threads=threads, c_failure=c_failure)
