"""TensorFlow's library loaded beside the imports of a job, since it takes longest of all.

While the dynamic linker loads a library, a thread that loads an extension module or begins a thread waits until it
is done. So the extension modules of a run are loaded before; but for polars, which comes while the model is loaded.
"""

from __future__ import annotations

import importlib
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from batchscore.engine.libtensorflow import LibraryUnavailableError, find_library, load_library
from batchscore.system.environment import POLARS_NAME

_WITH_EXTENSIONS = (
    "csv", "fcntl", "google.protobuf.message_factory", "json", "mmap", "pyarrow.compute", "pyarrow.parquet",
    "pydantic.types", "subprocess",
)  # fmt: skip


@contextmanager
def library_beside() -> Iterator[None]:
    """Load the library in a thread from now on: a caller that needs it waits for it, and gets its errors.

    The block does not end before the thread does, since lines for standard error are held back until then (the
    caller that asks whether that is a terminal asks before, and an error that is found meanwhile is told late).
    Where the address space is limited nothing is done: the library is the largest of all, and what comes after it
    and finds no room fails in ways that no one can tell.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        yield
        return
    for module in _WITH_EXTENSIONS:
        importlib.import_module(module)
    thread = threading.Thread(target=_load, name="library", daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def import_what_adds_names() -> None:
    """Import now, while no thread of a run is alive, what would add names to the environment beside one.

    Polars does if no command has settled it (`environment.settle_environment`), and TensorFlow's Python, which
    is needed only where the C library is missing.
    """
    if POLARS_NAME not in os.environ:
        importlib.import_module("polars")
    try:
        find_library()
    except LibraryUnavailableError:
        importlib.import_module("batchscore.engine.pyapi")


def _load() -> None:
    with suppress(Exception):  # a caller that needs the library loads it again, and is told there
        load_library()
