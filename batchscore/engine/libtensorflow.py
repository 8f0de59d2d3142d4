"""TensorFlow's C library: finding it in the installed wheel, loading it, and what its functions look like.

The wheel carries `libtensorflow_cc`, whose C functions TensorFlow's compatibility promise covers. Loading it takes
a fraction of a second, where `import tensorflow` takes several.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

from batchscore.engine.quiet import quiet_start
from batchscore.errors import first_line, means_out_of_memory
from batchscore.system.environment import LOG_LEVEL

RESOURCE_EXHAUSTED = 8

_FILES = ("libtensorflow_cc.so.*", "libtensorflow_cc.*.dylib")
_RTLD_LAZY_LOCAL = 1
_SET_LOG_LEVEL = "_ZN4absl12lts_2025081414SetMinLogLevelENS0_18LogSeverityAtLeastE"
"""absl::SetMinLogLevel of TensorFlow 2.21: what the environment would say, without writing to it."""
_FATAL = 3
_lock = threading.Lock()
_library: ctypes.CDLL | None = None


class LibraryUnavailableError(Exception):
    """The C library cannot be used; the message says why in a few words."""


class TensorFlowError(Exception):
    """A TF_Status that is not OK: its code, and the first line of its message."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class OperationOutput(ctypes.Structure):
    """TF_Output: one output of an operation."""

    _fields_ = (("operation", c_void_p), ("index", c_int))


class Buffer(ctypes.Structure):
    """TF_Buffer: bytes that belong to TensorFlow."""

    _fields_ = (("data", c_void_p), ("length", c_size_t), ("data_deallocator", c_void_p))


Deallocator = ctypes.CFUNCTYPE(None, c_void_p, c_size_t, c_void_p)

_TENSORS = (POINTER(OperationOutput), POINTER(c_void_p), c_int)
_PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "TF_Version": (c_char_p, ()),
    "TF_NewStatus": (c_void_p, ()),
    "TF_GetCode": (c_int, (c_void_p,)),
    "TF_Message": (c_char_p, (c_void_p,)),
    "TF_DeleteStatus": (None, (c_void_p,)),
    "TF_NewBuffer": (POINTER(Buffer), ()),
    "TF_NewBufferFromString": (POINTER(Buffer), (c_char_p, c_size_t)),
    "TF_DeleteBuffer": (None, (POINTER(Buffer),)),
    "TF_NewSessionOptions": (c_void_p, ()),
    "TF_SetConfig": (None, (c_void_p, c_char_p, c_size_t, c_void_p)),
    "TF_DeleteSessionOptions": (None, (c_void_p,)),
    "TF_NewGraph": (c_void_p, ()),
    "TF_DeleteGraph": (None, (c_void_p,)),
    "TF_GraphOperationByName": (c_void_p, (c_void_p, c_char_p)),
    "TF_GraphGetTensorNumDims": (c_int, (c_void_p, OperationOutput, c_void_p)),
    "TF_GraphGetOpDef": (None, (c_void_p, c_char_p, POINTER(Buffer), c_void_p)),
    "TF_GraphToGraphDef": (None, (c_void_p, POINTER(Buffer), c_void_p)),
    "TF_NewImportGraphDefOptions": (c_void_p, ()),
    "TF_ImportGraphDefOptionsSetPrefix": (None, (c_void_p, c_char_p)),
    "TF_DeleteImportGraphDefOptions": (None, (c_void_p,)),
    "TF_GraphImportGraphDef": (None, (c_void_p, POINTER(Buffer), c_void_p, c_void_p)),
    "TF_OperationNumOutputs": (c_int, (c_void_p,)),
    "TF_OperationOutputType": (c_int, (OperationOutput,)),
    "TF_LoadSessionFromSavedModel": (
        c_void_p,
        (c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p, c_void_p, c_void_p),
    ),
    "TF_SessionRun": (
        None,
        (c_void_p, c_void_p, *_TENSORS, *_TENSORS, c_void_p, c_int, c_void_p, c_void_p),
    ),
    "TF_CloseSession": (None, (c_void_p, c_void_p)),
    "TF_DeleteSession": (None, (c_void_p, c_void_p)),
    "TF_AllocateTensor": (c_void_p, (c_int, POINTER(c_int64), c_int, c_size_t)),
    "TF_NewTensor": (
        c_void_p,
        (c_int, POINTER(c_int64), c_int, c_void_p, c_size_t, Deallocator, c_void_p),
    ),
    "TF_DeleteTensor": (None, (c_void_p,)),
    "TF_TensorType": (c_int, (c_void_p,)),
    "TF_NumDims": (c_int, (c_void_p,)),
    "TF_Dim": (c_int64, (c_void_p, c_int)),
    "TF_TensorByteSize": (c_size_t, (c_void_p,)),
    "TF_TensorData": (c_void_p, (c_void_p,)),
    "TF_StringInit": (None, (c_void_p,)),
    "TF_StringCopy": (None, (c_void_p, c_char_p, c_size_t)),
    "TF_StringAssignView": (None, (c_void_p, c_void_p, c_size_t)),
    "TF_StringGetDataPointer": (c_void_p, (c_void_p,)),
    "TF_StringGetSize": (c_size_t, (c_void_p,)),
    "TF_StringDealloc": (None, (c_void_p,)),
}


def load_library() -> ctypes.CDLL:
    """The C library, loaded once a process; other Python threads run meanwhile.

    It logs only what ends the process, unless the environment says otherwise or TensorFlow was there before.
    Raises LibraryUnavailableError if the wheel has none, or one that lacks a function or lays out strings
    in another way than `tstring` writes them; MemoryError if memory does not suffice.
    """
    global _library  # noqa: PLW0603 - a process loads it once
    with _lock:
        if _library is None:
            _library = _load(find_library())
        return _library


def find_library() -> Path:
    """Where the C library lies in the installed TensorFlow, which is not imported for it."""
    try:
        spec = importlib.util.find_spec("tensorflow")
    except ValueError:
        spec = None
    folders = (spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        for pattern in _FILES:
            for path in sorted(Path(folder).glob(pattern)):
                return path
    raise LibraryUnavailableError(f"no {_FILES[0]} in the installed tensorflow")


@contextmanager
def checked(library: ctypes.CDLL) -> Iterator[int]:
    """A TF_Status for one call; TensorFlowError if the call left it other than OK."""
    status = library.TF_NewStatus()
    try:
        yield status
        code = library.TF_GetCode(status)
        if code:
            raise TensorFlowError(code, first_line(library.TF_Message(status).decode(errors="replace")))
    finally:
        library.TF_DeleteStatus(status)


def _load(path: Path) -> ctypes.CDLL:
    from batchscore.engine.tstring import find_layout_mismatch  # noqa: PLC0415 - it needs the types above

    quiet = LOG_LEVEL not in os.environ and "tensorflow" not in sys.modules
    with quiet_start():
        library = _dlopen(path)
    if quiet and hasattr(library, _SET_LOG_LEVEL):
        getattr(library, _SET_LOG_LEVEL)(_FATAL)
    for name, (result, arguments) in _PROTOTYPES.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise LibraryUnavailableError(f"{path.name} has no {name}") from error
        function.restype, function.argtypes = result, arguments
    mismatch = find_layout_mismatch(library)
    if mismatch:
        raise LibraryUnavailableError(f"{path.name} lays out strings differently ({mismatch})")
    return library


def _dlopen(path: Path) -> ctypes.CDLL:
    """Like `ctypes.CDLL(path)`, which would keep the GIL for the whole time."""
    process = ctypes.CDLL(None)
    process.dlopen.restype, process.dlopen.argtypes = c_void_p, (c_char_p, c_int)
    process.dlerror.restype, process.dlerror.argtypes = c_char_p, ()
    handle = process.dlopen(os.fsencode(path), _RTLD_LAZY_LOCAL)
    if handle is None:
        reason = first_line((process.dlerror() or b"unknown reason").decode(errors="replace"))
        if means_out_of_memory(reason):
            raise MemoryError(reason)
        raise LibraryUnavailableError(f"{path.name} cannot be loaded: {reason}")
    return ctypes.CDLL(str(path), handle=handle)
