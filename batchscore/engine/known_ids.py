"""Which ids a model knows, asked of its own look-up tables in its session."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchscore.engine.session import Session
from batchscore.errors import ModelError
from batchscore.savedmodel.card import KnownSignature, KnownTable
from batchscore.savedmodel.proto import DTYPES, GraphProto, TensorProto
from batchscore.savedmodel.saved_model import SavedModel, Signature

_NUMBERS = {name: number for number, name in DTYPES.items()}
_KEYS, _KNOWN = "keys", "known"

Lookup = Callable[[pa.Array], np.ndarray]


def open_lookup(session: Session, table: KnownTable, name: str) -> Lookup:
    """Tells for ids, an Arrow array [n] without nulls, which are keys of `table`: bool [n].

    The table is named in a small graph that is added to the session's under `name`; nothing is copied. Ids that the
    key's dtype cannot hold are unknown. Raises ModelError (E-MODEL-LOAD) if the session has no such table.
    """
    prefix = f"batchscore/known_{name}"
    session.import_graph(_lookup_graph(table), prefix)
    call = session.prepare([f"{prefix}/{_KEYS}:0"], [f"{prefix}/{_KNOWN}:0"], label=f"the table that knows {name}s")

    def look_up(ids: pa.Array) -> np.ndarray:
        keys, held = _as_keys(ids, table.key_dtype)
        known: np.ndarray = call(keys)[0].reshape(-1)
        result: np.ndarray = known & held
        return result

    return look_up


def _lookup_graph(table: KnownTable) -> bytes:
    """A key is known if its value is the same whatever stands in for a missing one."""
    graph = GraphProto()
    key, value = _NUMBERS[table.key_dtype], _NUMBERS[table.value_dtype]

    def add(name: str, op: str, *inputs: str, **types: int) -> None:
        node = graph.node.add(name=name, op=op, input=inputs)
        for attribute, number in types.items():
            node.attr.add(key=attribute).value.type = number

    add(_KEYS, "Placeholder", dtype=key)
    add("table", table.op, key_dtype=key, value_dtype=value)
    graph.node[-1].attr.add(key="shared_name").value.s = table.shared_name.encode()
    for index in (0, 1):
        add(f"missing_{index}", "Const", dtype=value)
        graph.node[-1].attr.add(key="value").value.tensor = _scalar(value, index)
        add(f"find_{index}", "LookupTableFindV2", "table", _KEYS, f"missing_{index}", Tin=key, Tout=value)
    add(_KNOWN, "Equal", "find_0", "find_1", T=value)
    content: bytes = graph.SerializeToString()
    return content


def _scalar(dtype: int, number: int) -> bytes:
    tensor = TensorProto(dtype=dtype)
    tensor.tensor_shape.SetInParent()
    if DTYPES[dtype] == "string":
        tensor.string_val.append(str(number).encode())
    elif DTYPES[dtype] == "bool":
        tensor.bool_val.append(bool(number))
    else:
        tensor.tensor_content = np.array(number, DTYPES[dtype]).tobytes()
    content: bytes = tensor.SerializeToString()
    return content


def _as_keys(ids: pa.Array, dtype: str) -> tuple[pa.Array, np.ndarray]:
    """The ids as keys, and which of them the key's dtype can hold."""
    everything = np.ones(len(ids), bool)
    if dtype == "string":
        text = ids.cast(pa.large_string()) if pa.types.is_integer(ids.type) else ids
        return text, everything
    target = pa.type_for_alias(dtype)
    if ids.type == target:
        return ids, everything
    limits = np.iinfo(target.to_pandas_dtype())
    source = np.iinfo(ids.type.to_pandas_dtype())
    low = pa.scalar(max(int(limits.min), int(source.min)), ids.type)
    high = pa.scalar(min(int(limits.max), int(source.max)), ids.type)
    held = pc.and_(pc.greater_equal(ids, low), pc.less_equal(ids, high))
    return pc.if_else(held, ids, pa.scalar(0, ids.type)).cast(target), held.to_numpy(zero_copy_only=False)


def require_known_signature(saved: SavedModel, known: KnownSignature, inputs: tuple[str, str]) -> Signature:
    """The signature that tells known ids: it takes `inputs` (the user's and the candidate's) and nothing else.

    Raises ModelError (E-MODEL-CARD) if it does not fit.
    """
    signature = saved.signatures.get(known.signature)
    outputs = (known.user_output, known.candidate_output)
    if signature is not None and set(signature.inputs) == set(inputs) and set(outputs) <= set(signature.outputs):
        return signature
    raise ModelError(
        "E-MODEL-CARD",
        f"the card's known signature {known.signature!r} does not fit the SavedModel",
        where=saved.path,
        found="no such signature" if signature is None
        else f"inputs {', '.join(signature.inputs)}; outputs {', '.join(signature.outputs)}",
        expected=f"inputs {', '.join(inputs)}; outputs {', '.join(outputs)}",
        next_step="export the model again",
    )  # fmt: skip
