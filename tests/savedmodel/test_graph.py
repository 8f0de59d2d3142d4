from __future__ import annotations

import pytest

from batchscore.savedmodel.graph import MAIN, Graph, GraphTooLargeError, attribute, output_index
from batchscore.savedmodel.proto import SavedModelProto


def make(functions=(), nodes=()):
    meta_graph = SavedModelProto().meta_graphs.add()
    for name, arguments, body, returned in functions:
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = name
        for argument in arguments:
            function.signature.input_arg.add(name=argument)
        for result, tensor in returned.items():
            function.signature.output_arg.add(name=result)
            function.ret.add(key=result, value=tensor)
        for node in body:
            add(function.node, *node)
    for node in nodes:
        add(meta_graph.graph_def.node, *node)
    return Graph(meta_graph)


def add(nodes, name, op, inputs=(), **attributes):
    node = nodes.add(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        attribute_ = node.attr.add(key=key).value
        if isinstance(value, bytes):
            attribute_.s = value
        elif isinstance(value, int):
            attribute_.type = value
        else:
            attribute_.func.name = value


def names(graph, body, tensor, same=frozenset()):
    return sorted(
        (source.body, source.name, source.output) for source in graph.sources(graph.bodies[body], tensor, same)
    )


PAIR = ("pair", ["first", "second"], [], {"one": "second", "two": "first"})


def test_a_value_is_followed_through_a_call_to_what_was_passed():
    graph = make([PAIR], [("a", "Placeholder"), ("b", "Placeholder"),
                          ("call", "PartitionedCall", ["a", "b", "^a"])])  # fmt: skip
    node = graph.bodies[MAIN].nodes["call"]
    node.attr.add(key="f").value.func.name = "pair"
    assert names(graph, MAIN, "call") == [(MAIN, "b", 0)]
    assert names(graph, MAIN, "call:1") == [(MAIN, "a", 0)]


def test_a_function_may_be_called_by_its_name():
    graph = make([PAIR], [("a", "Placeholder"), ("b", "Split"), ("call", "pair", ["a", "b:3"])])
    assert names(graph, MAIN, "call") == [(MAIN, "b", 3)]


def test_an_argument_comes_from_every_caller():
    graph = make(
        [("inner", ["x"], [("same", "Identity", ["x"])], {"y": "same:output:0"}),
         ("outer", ["z"], [("call", "inner", ["z"])], {"y": "call:y:0"})],
        [("a", "Placeholder"), ("b", "Placeholder"), ("one", "inner", ["a"]), ("two", "outer", ["b"])],
    )  # fmt: skip
    assert names(graph, "inner", "same:output:0") == [(MAIN, "a", 0), (MAIN, "b", 0)]


def test_an_argument_of_a_function_that_nothing_calls_is_an_end():
    graph = make([PAIR])
    (source,) = graph.sources(graph.bodies["pair"], "second")
    assert (source.name, source.node) == ("second", None)


def test_text_goes_through_a_variable():
    graph = make(nodes=[
        ("path", "VarHandleOp", [] ), ("asset", "Placeholder"),
        ("assign", "AssignVariableOp", ["path", "asset"]), ("read", "ReadVariableOp", ["path"]),
    ])  # fmt: skip
    graph.bodies[MAIN].nodes["assign"].attr.add(key="dtype").value.type = 7
    assert names(graph, MAIN, "read") == [(MAIN, "asset", 0)]


def test_other_ops_are_passed_only_when_asked():
    graph = make(nodes=[("a", "Placeholder"), ("cast", "Cast", ["a"])])
    assert names(graph, MAIN, "cast:0") == [(MAIN, "cast", 0)]
    assert names(graph, MAIN, "cast:0", frozenset({"Cast"})) == [(MAIN, "a", 0)]


def test_functions_that_call_each_other_end():
    graph = make([("one", ["x"], [("call", "two", ["x"])], {"y": "call:y:0"}),
                  ("two", ["x"], [("call", "one", ["x"])], {"y": "call:y:0"})])  # fmt: skip
    assert graph.sources(graph.bodies["one"], "call:y:0") == []


def test_a_walk_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr("batchscore.savedmodel.graph._MAX_STEPS", 10)
    chain = [("n0", "Placeholder"), *((f"n{i}", "Identity", [f"n{i - 1}"]) for i in range(1, 20))]
    graph = make(nodes=chain)
    with pytest.raises(GraphTooLargeError):
        graph.sources(graph.bodies[MAIN], "n19")


def test_what_an_output_depends_on():
    graph = make(
        [("used", [], [], {}), ("deeper", [], [], {}), ("idle", [], [], {})],
        [("a", "Placeholder"), ("b", "NoOp"), ("c", "If", ["a", "^b"]), ("d", "Identity", ["a"])],
    )
    graph.bodies[MAIN].nodes["c"].attr.add(key="then_branch").value.func.name = "used"
    add_to = graph.bodies["used"].nodes
    call = SavedModelProto().meta_graphs.add().graph_def.node.add(name="call", op="Case")
    call.attr.add(key="branches").value.list.func.add(name="deeper")
    add_to["call"] = call
    assert graph.reachable({"c"}) == ({"a", "b", "c"}, {"used", "deeper"})


def test_of_repeated_attributes_the_last_counts():
    node = SavedModelProto().meta_graphs.add().graph_def.node.add(name="n", op="PrintV2")
    node.attr.add(key="output_stream").value.s = b"stderr"
    node.attr.add(key="output_stream").value.s = b"file:///x"
    assert attribute(node, "output_stream").s == b"file:///x"


@pytest.mark.parametrize(("tensor", "index"), [("a", 0), ("a:0", 0), ("a:2", 2), ("a:output:3", 3), ("^a", 0)])
def test_output_index(tensor, index):
    assert output_index(tensor) == index


def test_what_a_value_is_computed_from():
    graph = make(
        [
            ("pair", ["first", "second"], [("clock", "Timestamp"), ("sum", "AddV2", ["first", "clock"])],
             {"one": "second", "two": "sum:z:0"}),
            ("branch", [], [("inner", "PartitionedCall")], {}),
        ],
        [("a", "Placeholder"), ("b", "Placeholder"), ("late", "NoOp"), ("call", "pair", ["a", "b", "^late"]),
         ("chosen", "If", ["call:1"])],
    )  # fmt: skip
    graph.bodies[MAIN].nodes["chosen"].attr.add(key="then_branch").value.func.name = "branch"

    def computing(tensor):
        return sorted((body.name, node.name) for body, node in graph.computing(tensor))

    assert computing("call:0") == [("", "b"), ("", "call")]
    second = [("", "a"), ("", "call"), ("pair", "clock"), ("pair", "sum")]
    assert computing("call:1") == second
    assert computing("chosen:0") == sorted([*second, ("", "chosen"), ("branch", "inner")])
    assert computing("nowhere:0") == []
