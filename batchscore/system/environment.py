"""The environment variables that the package reads or writes.

A thread that reads the environment (C's `getenv`) while another one adds or removes a name may crash: the list of
names moves. A new value for a name that is there is harmless. So a command adds the names that it or its libraries
set later before it starts a thread, and removes none; the library adds none but `TF_USE_LEGACY_KERAS` in `train`.
"""

from __future__ import annotations

import os

MODEL_ENVIRONMENT = "BATCHSCORE_MODEL"
"""The model of `run`, where neither a flag nor a TOML file says. The one variable that is a setting."""

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""What TensorFlow logs: 3 is nothing but what ends the process."""

POLARS_NAME = "_RJEM_MALLOC_CONF"
"""Polars writes it while it is imported: its own options, then what was there."""

PYDANTIC_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
"""Unless it is set, pydantic looks for plugins in the metadata of every package that is installed."""

NUMPY_NAME = "OPENBLAS_MAIN_FREE"
"""NumPy adds it while it is imported, and removes it again, unless it is set."""

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
"""Whether `tf.keras` is Keras 2 (1), which TensorFlow Recommenders needs."""

DEVICES = "CUDA_VISIBLE_DEVICES"
"""The GPUs that TensorFlow may use."""

CACHE_HOME = "XDG_CACHE_HOME"
"""The folder of the user's caches, `~/.cache` unless it is set."""


def settle_environment() -> None:
    """Add the names that a command or its libraries will write. To be called before any thread is started."""
    os.environ.setdefault(LOG_LEVEL, "3")
    os.environ.setdefault(POLARS_NAME, "")
    os.environ.setdefault(PYDANTIC_PLUGINS, "__all__")
    os.environ.setdefault(NUMPY_NAME, "1")
