"""Which models may keep the strings they are fed."""

import pytest

from batchscore.engine.opening import open_session
from batchscore.engine.retention import READS, find_keeping_ops
from batchscore.savedmodel.proto import GraphProto
from batchscore.savedmodel.saved_model import read_saved_model


def graph(nodes, functions=()):
    """A graph of (name, op, inputs, functions called), and functions by name of the same."""
    proto = GraphProto()
    add_nodes(proto.node, nodes)
    for name, body in functions:
        function = proto.library.function.add()
        function.signature.name = name
        add_nodes(function.node, body)
    return proto


def add_nodes(target, described):
    for name, op, inputs, called in described:
        node = target.add(name=name, op=op, input=inputs)
        if len(called) == 1:
            node.attr.add(key="f").value.func.name = called[0]
        elif called:
            attribute = node.attr.add(key="branches")
            for function in called:
                attribute.value.list.func.add(name=function)


def keeping(proto, *fetches):
    return find_keeping_ops(proto, fetches, lambda op: op != "Stateless")


def test_only_what_the_fetches_need_counts():
    proto = graph([("x", "Stateless", [], []), ("y", "Stateless", ["x"], []), ("z", "Queue", ["x"], [])])
    assert keeping(proto, "y") == set()
    assert keeping(proto, "z") == {"Queue"}


def test_control_inputs_and_later_outputs_count():
    proto = graph([("x", "Queue", [], []), ("a", "Stateless", ["^x"], []), ("b", "Stateless", ["x:1"], [])])
    assert keeping(proto, "a") == keeping(proto, "b") == {"Queue"}


@pytest.mark.parametrize(
    "call",
    [
        ("call", "StatefulPartitionedCall", [], ["outer"]),
        ("call", "Case", [], ["harmless", "outer"]),
        ("call", "outer", [], []),
    ],
)
def test_bodies_of_functions_count_however_they_are_called(call):
    functions = [
        ("outer", [("n", "PartitionedCall", [], ["inner"])]),
        ("inner", [("m", "LookupTableInsertV2", [], []), ("again", "StatefulPartitionedCall", [], ["outer"])]),
        ("harmless", [("n", "Stateless", [], [])]),
        ("unused", [("n", "Stage", [], [])]),
    ]
    ops = find_keeping_ops(
        graph([call], functions), ["call"], lambda op: op not in ("Stateless", "PartitionedCall")
    )
    assert ops == {"LookupTableInsertV2"}


def test_reads_keep_nothing():
    proto = graph([(op, op, [], []) for op in READS])
    assert keeping(proto, *READS) == set()


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("model", "signature", "expected"),
    [
        ("ranking", "serving_default", set()),
        ("compiled", "serving_default", set()),
        ("keras_layers", "serving_default", set()),
        ("texts", "measure", set()),
        ("keeping", "recall", set()),
        ("keeping", "learn", {"LookupTableInsertV2"}),
        ("keeping", "keep", {"AssignVariableOp"}),
        ("keeping", "change", {"ResourceScatterUpdate"}),
        ("failing", "exhaust", {"Stage"}),
    ],
)
def test_real_models(models, model, signature, expected):
    session = open_session(models / model, threads=1, api="c")
    described = read_saved_model(models / model).signatures[signature]
    fetches = [output.tensor.split(":")[0] for output in described.outputs.values()]
    assert find_keeping_ops(session._read_graph(), fetches, session._is_stateful) == expected
    session.close()


@pytest.mark.tensorflow
def test_every_read_is_an_op_with_state(models):
    session = open_session(models / "texts", threads=1, api="c")
    assert {op for op in READS if not session._is_stateful(op)} == set()
    session.close()
