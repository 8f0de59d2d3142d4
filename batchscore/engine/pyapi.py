"""A Session over TensorFlow's Python API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from batchscore.engine.fed_table import FedTable
from batchscore.engine.quiet import quiet_start
from batchscore.engine.session import (
    Call,
    Session,
    check_dtype,
    import_failure,
    load_failure,
    refuse_nulls,
    run_failure,
)
from batchscore.errors import first_line

with quiet_start():
    import tensorflow as tf

_COLUMN_DIMENSIONS = 2


class PythonSession(Session):
    """See `engine.session.Session`. `c_failure` is said in `runtime`."""

    def __init__(self, path: Path, *, threads: int, c_failure: str | None = None) -> None:
        super().__init__(path)
        self._c_failure = c_failure
        self._graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=1,
            inter_op_parallelism_threads=threads,
            use_per_session_threads=True,
            allow_soft_placement=True,  # a model may name devices of the machine that it was trained on
            device_count={"GPU": 0},
        )
        self._session: Any = tf.compat.v1.Session(graph=self._graph, config=config)
        logger = tf.get_logger()
        level = logger.level
        try:
            logger.setLevel("ERROR")  # it says that this way of loading is old, and which file it reads
            with self._graph.as_default():
                tf.compat.v1.saved_model.load(self._session, ["serve"], str(path))
        except tf.errors.ResourceExhaustedError as error:
            self.close()
            raise MemoryError(first_line(error.message)) from error
        except (tf.errors.OpError, OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError) as error:
            self.close()
            expected = f"a SavedModel that TensorFlow {tf.__version__} reads"
            raise load_failure(path, first_line(str(error)), expected=expected) from error
        finally:
            logger.setLevel(level)

    @property
    def version(self) -> str:
        """See `engine.session.Session.version`."""
        return str(tf.__version__)

    @property
    def runtime(self) -> str:
        """See `engine.session.Session.runtime`."""
        how = "python" if self._c_failure is None else f"python: {self._c_failure}"
        return f"tensorflow {tf.__version__} ({how})"

    def prepare(self, feeds: Sequence[str], fetches: Sequence[str], *, label: str) -> Call:
        """See `engine.session.Session.prepare`."""
        try:
            inputs = [self._graph.get_tensor_by_name(name) for name in feeds]
            outputs = [self._graph.get_tensor_by_name(name) for name in fetches]
        except KeyError as error:
            raise load_failure(self.path, first_line(str(error.args[0]))) from error
        for tensor in (*inputs, *outputs):
            check_dtype(self.path, tensor.name, tensor.dtype.as_datatype_enum)
        return partial(self._call, self._session.make_callable(outputs, feed_list=inputs), inputs, label)

    def import_graph(self, graph_def: bytes, prefix: str) -> None:
        """See `engine.session.Session.import_graph`."""
        try:
            graph = tf.compat.v1.GraphDef.FromString(graph_def)
            with self._graph.as_default():
                tf.graph_util.import_graph_def(graph, name=prefix)
        except Exception as error:
            raise import_failure(self.path, first_line(str(error))) from error

    def close(self) -> None:
        """See `engine.session.Session.close`."""
        self._session.close()

    def _call(
        self,
        run: Callable[..., Sequence[Any]],
        inputs: Sequence[Any],
        label: str,
        *feeds: pa.Array | np.ndarray | FedTable,
    ) -> list[np.ndarray]:
        values = [_values(feed, tensor) for feed, tensor in zip(feeds, inputs, strict=True)]
        for value, tensor in zip(values, inputs, strict=True):
            if value.dtype != tensor.dtype.as_numpy_dtype:  # TensorFlow would cast, and lose what does not fit
                reason = f"{tensor.name} is {tensor.dtype.name}, but {value.dtype} is provided"
                raise run_failure(self.path, label, reason)
        try:
            return [_widened(result) for result in run(*values)]
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(_reason(error)) from error
        except (tf.errors.OpError, ValueError) as error:
            raise run_failure(self.path, label, _reason(error)) from error


def _reason(error: Exception) -> str:
    """The first line of what TensorFlow's C library said, which the Python API puts below a heading."""
    return first_line(str(getattr(error, "message", error)).removeprefix("Graph execution error:"))


def _values(feed: pa.Array | np.ndarray | FedTable, tensor: Any) -> np.ndarray:
    """The feed as a new NumPy array: TensorFlow may keep one that it was given."""
    refuse_nulls(feed)
    if isinstance(feed, FedTable):
        return feed.values
    if isinstance(feed, np.ndarray):
        values = feed.copy()
    elif tensor.dtype == tf.string:
        values = np.array(feed.cast(pa.large_binary()).to_pylist(), dtype=object)
    else:
        values = np.array(feed.to_numpy(zero_copy_only=False))
    if tensor.dtype in (tf.bfloat16, tf.float16):
        values = values.astype(tensor.dtype.as_numpy_dtype)
    as_column = isinstance(feed, pa.Array) and tensor.shape.rank == _COLUMN_DIMENSIONS
    return values.reshape(-1, 1) if as_column else values


def _widened(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype.name in ("bfloat16", "float16") else values
