import pytest

pytestmark = pytest.mark.tensorflow


def test_xla_compiles_the_arithmetic_that_the_head_may_be_made_of(tf):
    from tensorflow.core.framework import types_pb2
    from tensorflow.python.framework import op_def_registry

    from batchscore.planning.graph.rules.rule_table import MATH, NOT_COMPILED

    values = {
        types_pb2.DT_FLOAT: tf.constant([[0.5, 0.25], [0.75, 0.1]]),
        types_pb2.DT_INT32: tf.constant([[1, 2], [3, 1]]),
        types_pb2.DT_BOOL: tf.constant([[True, False], [True, True]]),
    }

    def apply(op):
        definition = op_def_registry.get(op)
        types = {attr.name: attr.allowed_values.list.type for attr in definition.attr if attr.type == "type"}
        arguments = {}
        for argument in definition.input_arg:
            allowed = types.get(argument.type_attr) or ([argument.type] if argument.type else list(values))
            value = next(values[dtype] for dtype in values if dtype in allowed)
            arguments[argument.name] = [value, value] if argument.number_attr else value
        return getattr(tf.raw_ops, op)(**arguments)

    names = sorted(MATH - NOT_COMPILED)
    results = tf.function(lambda: [apply(op) for op in names], jit_compile=True)()
    assert len(results) == len(names) > 60
