"""The part of TensorFlow's `saved_model.pb` that batchscore reads, as messages of the protobuf runtime.

Importing TensorFlow's own message classes would load all of TensorFlow. Field names and numbers are those of
tensorflow/core/protobuf/{saved_model,meta_graph,saver}.proto and tensorflow/core/framework/{graph,node_def,
function,op_def,tensor_shape,types}.proto, and tensor_bundle.proto; fields that are not declared are skipped.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

__all__ = [
    "DTYPES", "AttrProto", "BundleEntryProto", "DecodeError", "GraphProto", "OpDefProto", "SavedModelProto",
    "TensorProto",
]  # fmt: skip

_PACKAGE = "batchscore.saved_model"
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "int64": _FIELD.TYPE_INT64,
    "int32": _FIELD.TYPE_INT32,
    "bool": _FIELD.TYPE_BOOL,
}

# message -> (name, number, type, repeated); a type that is no scalar is another message
_MESSAGES: dict[str, list[tuple[str, int, str, bool]]] = {
    "Dim": [("size", 1, "int64", False)],
    "TensorShape": [("dim", 2, "Dim", True), ("unknown_rank", 3, "bool", False)],
    "TensorInfo": [
        ("name", 1, "string", False),
        ("dtype", 2, "int32", False),
        ("tensor_shape", 3, "TensorShape", False),
    ],
    "NamedTensor": [("key", 1, "string", False), ("value", 2, "TensorInfo", False)],
    "SignatureDef": [
        ("inputs", 1, "NamedTensor", True),
        ("outputs", 2, "NamedTensor", True),
        ("method_name", 3, "string", False),
    ],
    "NamedSignature": [("key", 1, "string", False), ("value", 2, "SignatureDef", False)],
    "NameAttrList": [("name", 1, "string", False)],
    "AttrList": [("s", 2, "bytes", True), ("func", 9, "NameAttrList", True)],
    # a tensor stays bytes until TensorProto reads it: a vocabulary is large and seldom looked at
    "Attr": [
        ("list", 1, "AttrList", False),
        ("s", 2, "bytes", False),
        ("i", 3, "int64", False),
        ("b", 5, "bool", False),
        ("type", 6, "int32", False),
        ("shape", 7, "TensorShape", False),
        ("tensor", 8, "bytes", False),
        ("func", 10, "NameAttrList", False),
    ],
    "NamedAttr": [("key", 1, "string", False), ("value", 2, "Attr", False)],
    "Node": [
        ("name", 1, "string", False),
        ("op", 2, "string", False),
        ("input", 3, "string", True),
        ("attr", 5, "NamedAttr", True),
    ],
    "Tensor": [
        ("dtype", 1, "int32", False),
        ("tensor_shape", 2, "TensorShape", False),
        ("tensor_content", 4, "bytes", False),
        ("int_val", 7, "int32", True),
        ("string_val", 8, "bytes", True),
        ("int64_val", 10, "int64", True),
        ("bool_val", 11, "bool", True),
    ],
    "BundleEntry": [("dtype", 1, "int32", False), ("shape", 2, "TensorShape", False), ("size", 5, "int64", False)],
    "ArgDef": [("name", 1, "string", False)],
    "OpDef": [
        ("name", 1, "string", False),
        ("input_arg", 2, "ArgDef", True),
        ("output_arg", 3, "ArgDef", True),
        ("is_stateful", 17, "bool", False),
    ],
    "NamedString": [("key", 1, "string", False), ("value", 2, "string", False)],
    "Function": [
        ("signature", 1, "OpDef", False),
        ("node", 3, "Node", True),
        ("ret", 4, "NamedString", True),
        ("attr", 5, "NamedAttr", True),
    ],
    "Library": [("function", 1, "Function", True)],
    "Graph": [("node", 1, "Node", True), ("library", 2, "Library", False)],
    "SaverDef": [("save_tensor_name", 2, "string", False), ("restore_op_name", 3, "string", False)],
    "NodeList": [("value", 1, "string", True)],
    "Collection": [("node_list", 1, "NodeList", False)],
    "NamedCollection": [("key", 1, "string", False), ("value", 2, "Collection", False)],
    "AssetFile": [("tensor_info", 1, "TensorInfo", False), ("filename", 2, "string", False)],
    "MetaInfo": [("tags", 4, "string", True), ("tensorflow_version", 5, "string", False)],
    "MetaGraph": [
        ("meta_info_def", 1, "MetaInfo", False),
        ("graph_def", 2, "Graph", False),
        ("saver_def", 3, "SaverDef", False),
        ("collection_def", 4, "NamedCollection", True),
        ("signature_def", 5, "NamedSignature", True),
        ("asset_file_def", 6, "AssetFile", True),
        ("object_graph_def", 7, "bytes", False),
    ],
    "SavedModel": [("schema_version", 1, "int64", False), ("meta_graphs", 2, "MetaGraph", True)],
}

DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64", 10: "bool",
    14: "bfloat16", 17: "uint16", 19: "float16", 20: "resource", 22: "uint32", 23: "uint64",
}  # fmt: skip
"""Names of TensorFlow's DataType numbers, as far as an input or a score may have them."""


def _build() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="batchscore/saved_model.proto", package=_PACKAGE, syntax="proto3"
    )
    for message, fields in _MESSAGES.items():
        descriptor = file.message_type.add(name=message)
        for name, number, type_, repeated in fields:
            field = descriptor.field.add(
                name=name, number=number, label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            )
            if type_ in _SCALARS:
                field.type = _SCALARS[type_]
            else:
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{type_}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def _message_class(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


_pool = _build()
SavedModelProto: Any = _message_class("SavedModel")
"""Message class of the whole file: `SavedModelProto.FromString(bytes)`; DecodeError if it is not one."""
GraphProto: Any = _message_class("Graph")
"""Message class of a GraphDef."""
OpDefProto: Any = _message_class("OpDef")
"""Message class of what TensorFlow says about an op."""
AttrProto: Any = _message_class("Attr")
"""Message class of an attribute's value."""
BundleEntryProto: Any = _message_class("BundleEntry")
"""Message class of what a checkpoint's index says about a tensor."""
TensorProto: Any = _message_class("Tensor")
"""Message class of a tensor in an attribute of a node, as far as it may hold a vocabulary."""
