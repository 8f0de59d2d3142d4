"""Ranking models to plan, and a run of a plan with nothing but a TensorFlow session."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest


def save(tf, path, score, inputs, tracked, *, ranks=None):
    """Export `score(**inputs) -> {output: tensor}`; `inputs` name their dtypes, `tracked` holds what it uses."""
    module = tf.Module()
    module.tracked = tracked
    shapes = {name: [None, 1] if (ranks or {}).get(name) == 2 else [None] for name in inputs}
    specs = {name: tf.TensorSpec(shapes[name], dtype, name=name) for name, dtype in inputs.items()}
    signature = tf.function(score).get_concrete_function(**specs)
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
    return path


class LoadedModel:
    """A SavedModel in one session, with a plan imported beside it."""

    def __init__(self, tf, path, plan=None):
        self._graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=2)
        self._session = tf.compat.v1.Session(graph=self._graph, config=config)
        with self._graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(path))
            if plan is not None:
                tf.graph_util.import_graph_def(tf.compat.v1.GraphDef.FromString(plan.graph), name="")
        self._signature = loaded.signature_def["serving_default"]
        self._plan = plan

    def close(self):
        self._session.close()

    def run(self, fetches, feeds):
        return self._session.run(fetches, feeds)

    def score(self, pairs, output="score"):
        """Scores of `pairs` (input -> array [n]) by the signature."""
        ranks = {name: len(info.tensor_shape.dim) for name, info in self._signature.inputs.items()}
        feeds = {
            info.name: pairs[name].reshape(-1, 1) if ranks[name] == 2 else pairs[name]
            for name, info in self._signature.inputs.items()
        }
        return self.run(self._signature.outputs[output].name, feeds).reshape(-1)

    def score_with_plan(self, pairs, *, shuffle=None):
        """Scores of `pairs` by the plan: distinct tuples through the parts, row numbers through the head."""
        plan, n = self._plan, len(next(iter(pairs.values())))
        assert n <= plan.head.call_rows
        feeds = {plan.head.blocks_feed: -(-n // plan.head.block_rows)}
        for part in plan.parts:
            columns = [pairs[item.name] for item in part.inputs]
            tuples = list(zip(*(column.tolist() for column in columns), strict=True))
            distinct = list(dict.fromkeys(tuples))
            if shuffle is not None:
                shuffle.shuffle(distinct)
            number = {key: row for row, key in enumerate(distinct)}
            values = {
                item.tensor: np.array([key[i] for key in distinct], dtype=columns[i].dtype).reshape(
                    (-1, 1)[: item.rank]
                )
                for i, item in enumerate(part.inputs)
            }
            tables = self.run([table.output for table in part.tables], values)
            for table, rows in zip(part.tables, tables, strict=True):
                assert rows.shape == (len(distinct), table.width)
                feeds[table.feed] = rows
            feeds[part.rows_feed] = pad(np.array([number[key] for key in tuples], np.int32), plan.head.call_rows)
        for item in plan.head.inputs:
            feeds[item.tensor] = pad(pairs[item.name], plan.head.call_rows).reshape((-1, 1)[: item.rank])
        return self.run(plan.head.output, feeds)[:n]


def pad(values, rows):
    return np.concatenate([values, np.repeat(values[:1], rows - len(values), axis=0)])


def tolerance(scores):
    """The check's: 1e-4 x the spread of the scores compared, at least 8 float32 ulps of the largest."""
    largest = np.float32(np.abs(scores).max())
    return max(1e-4 * float(np.std(scores.astype(np.float64))), 8 * float(np.spacing(largest)))


def assert_same_scores(tf, path, plan, pairs, output="score", *, spread=True):
    """The plan scores `pairs` as the signature does, in any order of the tables' rows."""
    model = LoadedModel(tf, path, plan)
    try:
        expected = model.score(pairs, output)
        actual = model.score_with_plan(pairs)
        again = model.score_with_plan(pairs, shuffle=np.random.default_rng(1))
    finally:
        model.close()
    assert not spread or expected.std() > 0 or len(expected) == 1
    worst = np.abs(actual.astype(np.float64) - expected).max()
    assert worst <= tolerance(expected), (worst, tolerance(expected))
    assert np.abs(again.astype(np.float64) - expected).max() <= tolerance(expected)


@pytest.fixture(scope="session")
def planning(tf):
    """The helpers above, for tests that cannot import a conftest."""
    return SimpleNamespace(
        save=partial(save, tf),
        LoadedModel=partial(LoadedModel, tf),
        assert_same_scores=partial(assert_same_scores, tf),
        tolerance=tolerance,
        pad=pad,
    )
