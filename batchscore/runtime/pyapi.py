"""A Session over TensorFlow's Python API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from batchscore.errors import ModelError
from batchscore.runtime.quiet import stderr_silenced
from batchscore.runtime.saved_model import Signature

with stderr_silenced():
    import tensorflow as tf


class PythonSession:
    """See `runtime.session.Session`."""

    def __init__(self, path: Path, *, threads: int) -> None:
        try:
            with stderr_silenced():
                _use_one_thread_a_call(threads)
                # the loaded object owns the variables: it must live as long as its signatures
                self._model: Any = tf.saved_model.load(str(path))
        except (tf.errors.OpError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelError(
                "E-MODEL-LOAD",
                "TensorFlow cannot load the SavedModel",
                where=path,
                found=_first_line(error),
                expected=f"a SavedModel that TensorFlow {tf.__version__} reads",
                next_step="export the model again, or pick another version with --model-version",
            ) from error
        self.runtime = f"tensorflow {tf.__version__} (python)"

    def run(
        self, signature: Signature, feeds: Mapping[str, pa.Array], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `runtime.session.Session.run`."""
        tensors = {name: _tensor(feeds[name], spec.dtype, spec.shape) for name, spec in signature.inputs.items()}
        try:
            results = self._model.signatures[signature.name](**tensors)
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(_first_line(error)) from error
        except (tf.errors.OpError, ValueError) as error:
            raise ModelError(
                "E-MODEL-RUN",
                f"the model failed in signature {signature.name!r}",
                found=_first_line(error),
                next_step="check the values that the model was given, or roll back with --model-version",
            ) from error
        return {name: _numpy(results[name]) for name in outputs}

    def close(self) -> None:
        """See `runtime.session.Session.close`."""
        self._model = None


def _use_one_thread_a_call(threads: int) -> None:
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        pass  # a host program has started TensorFlow already; the order law rests on the scorer's self-test then


def _tensor(array: pa.Array, dtype: str, shape: tuple[int | None, ...] | None) -> Any:
    if dtype == "string":
        values = np.array(array.cast(pa.large_binary()).to_pylist(), dtype=object)
    elif dtype == "bfloat16":
        values = tf.cast(array.to_numpy(zero_copy_only=False), tf.bfloat16)
    else:
        values = array.to_numpy(zero_copy_only=False)
    tensor = tf.constant(values) if isinstance(values, np.ndarray) else values
    return tf.reshape(tensor, [-1, 1]) if shape is not None and len(shape) == 2 else tensor  # noqa: PLR2004


def _numpy(tensor: Any) -> np.ndarray:
    if tensor.dtype in (tf.bfloat16, tf.float16):
        tensor = tf.cast(tensor, tf.float32)
    result: np.ndarray = tensor.numpy()
    return result


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
