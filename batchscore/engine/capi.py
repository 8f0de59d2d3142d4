"""A Session over TensorFlow's C API."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from batchscore.engine.fed_table import FedTable
from batchscore.engine.libtensorflow import (
    RESOURCE_EXHAUSTED,
    OperationOutput,
    TensorFlowError,
    checked,
    load_library,
)
from batchscore.engine.retention import find_keeping_ops
from batchscore.engine.session import (
    Call,
    Session,
    check_dtype,
    import_failure,
    load_failure,
    refuse_nulls,
    run_failure,
)
from batchscore.engine.tensors import FeedTensor, read_tensor
from batchscore.savedmodel.proto import DTYPES, GraphProto, OpDefProto

_COLUMN_DIMENSIONS = 2
_RUN_IN_CALLER = b"\x18" + b"\xff" * 9 + b"\x01"
"""A serialized RunOptions (tensorflow/core/protobuf/config.proto) with inter_op_thread_pool = 3 set to -1: a call
computes in its caller's thread. In the session's pool a short call would wait behind the long ones of others."""


@dataclass(frozen=True)
class _Prepared:
    """What a call needs: TF_Output arrays, and for each input its type and whether Arrow feeds become [n, 1]."""

    inputs: ctypes.Array[OperationOutput]
    outputs: ctypes.Array[OperationOutput]
    dtypes: tuple[int, ...]
    as_column: tuple[bool, ...]
    copy_strings: bool
    label: str


class CSession(Session):
    """See `engine.session.Session`. Raises LibraryUnavailableError if there is no C library to use."""

    def __init__(self, path: Path, *, threads: int) -> None:
        super().__init__(path)
        self._library = load_library()
        self._version = self._library.TF_Version().decode()
        self._uses = _Uses()
        self._run_options = self._library.TF_NewBufferFromString(_RUN_IN_CALLER, len(_RUN_IN_CALLER))
        self._graph = self._library.TF_NewGraph()
        try:
            self._session = self._load(threads)
        except TensorFlowError as error:
            self._library.TF_DeleteGraph(self._graph)
            if error.code == RESOURCE_EXHAUSTED:
                raise MemoryError(str(error)) from error
            expected = f"a SavedModel that TensorFlow {self._version} reads"
            raise load_failure(path, str(error), expected=expected) from error

    @property
    def version(self) -> str:
        """See `engine.session.Session.version`."""
        return str(self._version)

    @property
    def runtime(self) -> str:
        """See `engine.session.Session.runtime`."""
        return f"tensorflow {self._version} (c)"

    def prepare(self, feeds: Sequence[str], fetches: Sequence[str], *, label: str) -> Call:
        """See `engine.session.Session.prepare`."""
        with self._uses.one():
            inputs, outputs = [self._find(name) for name in feeds], [self._find(name) for name in fetches]
            for name, tensor in (*zip(feeds, inputs, strict=True), *zip(fetches, outputs, strict=True)):
                check_dtype(self.path, name, self._dtype(tensor))
            operations = [name.rpartition(":")[0] for name in fetches]
            keeping = find_keeping_ops(self._read_graph(), operations, self._is_stateful)
            gives_strings = any(DTYPES[self._dtype(output)] == "string" for output in outputs)
            prepared = _Prepared(
                inputs=(OperationOutput * len(inputs))(*inputs),
                outputs=(OperationOutput * len(outputs))(*outputs),
                dtypes=tuple(self._dtype(tensor) for tensor in inputs),
                as_column=tuple(self._dimensions(tensor) == _COLUMN_DIMENSIONS for tensor in inputs),
                copy_strings=bool(keeping) or gives_strings,
                label=label,
            )
        return partial(self._call, prepared)

    def import_graph(self, graph_def: bytes, prefix: str) -> None:
        """See `engine.session.Session.import_graph`."""
        library = self._library
        with self._uses.one():
            options = library.TF_NewImportGraphDefOptions()
            library.TF_ImportGraphDefOptionsSetPrefix(options, prefix.encode())
            buffer = library.TF_NewBufferFromString(graph_def, len(graph_def))
            try:
                with checked(library) as status:
                    library.TF_GraphImportGraphDef(self._graph, buffer, options, status)
            except TensorFlowError as error:
                raise import_failure(self.path, str(error)) from error
            finally:
                library.TF_DeleteBuffer(buffer)
                library.TF_DeleteImportGraphDefOptions(options)

    def close(self) -> None:
        """See `engine.session.Session.close`."""
        if self._uses.end():
            with checked(self._library) as status:
                self._library.TF_DeleteSession(self._session, status)
            self._library.TF_DeleteGraph(self._graph)
            self._library.TF_DeleteBuffer(self._run_options)

    def _call(self, prepared: _Prepared, *feeds: pa.Array | np.ndarray | FedTable) -> list[np.ndarray]:
        library = self._library
        results = (ctypes.c_void_p * len(prepared.outputs))()
        tensors: list[FeedTensor] = []
        with self._uses.one():
            try:
                for feed, dtype, as_column in zip(feeds, prepared.dtypes, prepared.as_column, strict=True):
                    refuse_nulls(feed)
                    tensors.append(
                        FeedTensor(
                            library, feed, dtype=dtype, as_column=as_column, copy_strings=prepared.copy_strings
                        )
                    )
                values = (ctypes.c_void_p * len(tensors))(*(tensor.pointer for tensor in tensors))
                with checked(library) as status:
                    library.TF_SessionRun(
                        self._session, self._run_options, prepared.inputs, values, len(tensors),
                        prepared.outputs, results, len(results), None, 0, None, status,
                    )  # fmt: skip
                return [read_tensor(library, result) for result in results if result is not None]
            except TensorFlowError as error:
                if error.code == RESOURCE_EXHAUSTED:
                    raise MemoryError(str(error)) from error
                raise run_failure(self.path, prepared.label, str(error)) from error
            finally:
                for result in results:
                    library.TF_DeleteTensor(result)
                for tensor in tensors:
                    tensor.delete()

    def _load(self, threads: int) -> int:
        library = self._library
        options = library.TF_NewSessionOptions()
        config = encode_config(threads)
        tags = (ctypes.c_char_p * 1)(b"serve")
        try:
            with checked(library) as status:
                library.TF_SetConfig(options, config, len(config), status)
            with checked(library) as status:
                session = library.TF_LoadSessionFromSavedModel(
                    options, None, os.fsencode(self.path), tags, len(tags), self._graph, None, status
                )
        finally:
            library.TF_DeleteSessionOptions(options)
        return int(session)

    def _find(self, tensor: str) -> OperationOutput:
        name, _, index = tensor.rpartition(":")
        operation = self._library.TF_GraphOperationByName(self._graph, name.encode())
        if not operation or int(index) >= self._library.TF_OperationNumOutputs(operation):
            raise load_failure(self.path, f"no tensor {tensor!r} in its graph")
        return OperationOutput(operation, int(index))

    def _dtype(self, tensor: OperationOutput) -> int:
        return int(self._library.TF_OperationOutputType(tensor))

    def _dimensions(self, tensor: OperationOutput) -> int:
        with checked(self._library) as status:
            return int(self._library.TF_GraphGetTensorNumDims(self._graph, tensor, status))

    def _read_graph(self) -> Any:
        return GraphProto.FromString(self._read_buffer(partial(self._library.TF_GraphToGraphDef, self._graph)))

    def _is_stateful(self, op: str) -> bool:
        content = self._read_buffer(partial(self._library.TF_GraphGetOpDef, self._graph, op.encode()))
        return bool(OpDefProto.FromString(content).is_stateful)

    def _read_buffer(self, write: Callable[[Any, int], None]) -> bytes:
        buffer = self._library.TF_NewBuffer()
        try:
            with checked(self._library) as status:
                write(buffer, status)
            return ctypes.string_at(buffer.contents.data, buffer.contents.length)
        finally:
            self._library.TF_DeleteBuffer(buffer)


class _Uses:
    """Counts the calls that use a session, so that it is freed after the last and never used again."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._ended = False

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._changed:
            if self._ended:
                raise RuntimeError("the session is closed")
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def end(self) -> bool:
        """Wait until nothing is running, then allow no more: whether this was the first time."""
        with self._changed:
            if self._ended:
                return False
            self._ended = True
            self._changed.wait_for(lambda: self._running == 0)
            return True


def encode_config(threads: int) -> bytes:
    """A serialized ConfigProto: one thread an op, `threads` for the ops of this session, no GPU, less rewriting.

    Fields of tensorflow/core/protobuf/config.proto: device_count = 1 (map), intra_op_parallelism_threads = 2,
    inter_op_parallelism_threads = 5, allow_soft_placement = 7 (a model may name devices of the machine that it was
    trained on), use_per_session_threads = 9, graph_options = 10, in it rewrite_options = 10.
    Of rewriter_config.proto: layout_optimizer = 1 (OFF: 2), memory_optimization = 4 (NO_MEM_OPT: 1),
    meta_optimizer_iterations = 12 (ONE: 1). Each rewriting copies all vocabularies in the graph, and what is left
    out is for images, for training and for a second look.
    """
    no_gpu = b"\x0a\x03GPU\x10\x00"
    rewrite_options = b"\x08\x02\x20\x01\x60\x01"
    graph_options = b"\x52" + bytes([len(rewrite_options)]) + rewrite_options
    return (
        b"\x0a" + bytes([len(no_gpu)]) + no_gpu + b"\x10\x01" + b"\x28" + _varint(threads) + b"\x38\x01"
        + b"\x48\x01" + b"\x52" + bytes([len(graph_options)]) + graph_options
    )  # fmt: skip


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:  # noqa: PLR2004 - the continuation bit
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
