"""TensorFlow with Keras 2, which TensorFlow Recommenders needs."""

from __future__ import annotations

import os
from contextlib import suppress

from batchscore.engine.libtensorflow import LibraryUnavailableError, load_library
from batchscore.engine.quiet import quiet_start
from batchscore.errors import UsageError
from batchscore.system.address_space import TRAINING_BYTES, require_address_space
from batchscore.system.environment import LEGACY_KERAS


def require_keras_2() -> None:
    """Load TensorFlow so that `tf.keras` is Keras 2 (the package tf_keras) for the rest of this process.

    TensorFlow decides between Keras 2 and 3 when `tf.keras` is first touched, and reads the environment variable
    TF_USE_LEGACY_KERAS for it; it stays set, because `tf.losses` and its like decide each for themselves. Call this
    before importing a module that defines Keras classes. Raises UsageError (E-KERAS-3) where Keras 3 came first,
    OutOfMemoryError (E-MEMORY) if the address space is too small.
    """
    require_address_space(TRAINING_BYTES, "a training")
    before = os.environ.get(LEGACY_KERAS)
    if before != "1":
        os.environ[LEGACY_KERAS] = "1"
    with suppress(LibraryUnavailableError):
        load_library()  # it is part of what is imported next, and says less if it comes first
    with quiet_start():
        import tensorflow as tf  # noqa: PLC0415 - not before the environment is set

    if tf.keras.Model.__module__.partition(".")[0] != "tf_keras":
        if before is None:
            del os.environ[LEGACY_KERAS]
        elif before != "1":
            os.environ[LEGACY_KERAS] = before
        raise UsageError(
            "E-KERAS-3",
            "this process uses Keras 3 already, and TensorFlow Recommenders needs Keras 2",
            found=f"tf.keras is {tf.keras.Model.__module__.partition('.')[0]}"
            f" {getattr(tf.keras, '__version__', '')}".rstrip(),
            expected=f"tf.keras is tf_keras, which it becomes with {LEGACY_KERAS}=1 in the environment",
            next_step=f"run `batchscore train` as its own command, or start this program with {LEGACY_KERAS}=1",
        )


def seed_random_generators(seed: int) -> None:
    """Seed the global generators of Python, NumPy and TensorFlow, from which Keras draws its initial weights."""
    import tensorflow as tf  # noqa: PLC0415 - after require_keras_2

    tf.keras.utils.set_random_seed(seed)
