"""A law: whatever a ranking model is made of, its plan scores as its signature does."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchscore.planning.graph.plan_model import plan_model
from batchscore.planning.plan import Plan
from batchscore.planning.plan_file import write_plan
from batchscore.scoring.run import run
from batchscore.settings.run import RunSettings

pytestmark = pytest.mark.tensorflow

FEATURES = st.fixed_dictionaries({
    "side": st.sampled_from(["user", "candidate", "pair"]),
    "kind": st.sampled_from(["string id", "int64 id", "int32 id", "float32", "bucket", "int64 number", "hashed"]),
    "width": st.integers(1, 6),
    "rank": st.sampled_from([1, 1, 2]),
    "role": st.booleans(),
})  # fmt: skip
UNARY = ["relu", "tanh", "sigmoid", "identity", "square", "softplus", "silu", "gelu"]
TOWERS = st.lists(
    st.tuples(st.sampled_from(["dense", "norm", "scale", "softmax"]), st.integers(2, 8), st.sampled_from(UNARY)),
    max_size=2,
)
MIXERS = st.lists(
    st.sampled_from(["concat", "dot", "matmul dot", "product", "sum", "bias"]), min_size=1, max_size=3
)
TOPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["dense", "linear", "cross", "low rank", "residual", "batch norm", "layer norm", "act", "slice", "mask"]
        ),
        st.integers(2, 9),
        st.sampled_from(UNARY),
    ),
    max_size=4,
)
MODELS = st.fixed_dictionaries({
    "features": st.lists(FEATURES, max_size=4), "user": TOWERS, "candidate": TOWERS, "mix": MIXERS, "top": TOPS,
    "flat": st.booleans(), "squeeze": st.booleans(), "seed": st.integers(0, 99),
})  # fmt: skip


class Builder:
    """Draws a model with plain TensorFlow: variables, look-up tables and the ops that Keras layers are made of."""

    def __init__(self, tf, spec):
        self.tf, self.spec, self.rng, self.tracked = tf, spec, np.random.default_rng(spec["seed"]), []
        first = [
            {"side": side, "kind": "string id", "width": 4, "rank": 1, "role": True}
            for side in ("user", "candidate")
        ]
        self.features = {f"{f['side']}_{i}": f for i, f in enumerate([*first, *spec["features"]])}

    def weight(self, *shape):
        scale = 1 / np.sqrt(shape[0]) if len(shape) > 1 else 1
        variable = self.tf.Variable(self.rng.normal(scale=scale, size=shape), dtype=self.tf.float32)
        self.tracked.append(variable)
        return variable

    def embed(self, name):
        """(dtype, a function from the input to rows [n, width])."""
        tf, feature = self.tf, self.features[name]
        kind, width = feature["kind"], feature["width"]
        table = self.weight(12, width)
        if kind == "string id":
            keys = tf.lookup.KeyValueTensorInitializer([f"{i}" for i in range(9)], tf.range(1, 10, dtype=tf.int64))
            lookup = tf.lookup.StaticHashTable(keys, 0)
            self.tracked.append(lookup)
            return "string", lambda x: tf.gather(table, lookup.lookup(x))
        if kind == "hashed":
            return "string", lambda x: tf.nn.embedding_lookup(table, tf.strings.to_hash_bucket_fast(x, 12))
        if kind in ("int64 id", "int32 id"):
            one_hot = self.rng.random() < 0.5
            look = (lambda x: tf.one_hot(x, 12) @ table) if one_hot else (lambda x: tf.gather(table, x))
            return kind.split()[0], look
        if kind == "bucket":
            return "float32", lambda x: tf.gather(table, tf.raw_ops.Bucketize(input=x, boundaries=[2.0, 5.0, 7.0]))
        return kind.split()[0], lambda x: (tf.cast(x, tf.float32)[:, None] - 3.0) / 4.0

    def act(self, name, x):
        tf = self.tf
        return {"identity": tf.identity, "square": tf.square}.get(name) or getattr(tf.nn, name)(x)

    def tower(self, layers, width):
        tf, steps = self.tf, []
        for kind, units, activation in layers:
            if kind == "dense":
                weight, bias = self.weight(width, units), self.weight(units)
                steps.append(lambda x, w=weight, b=bias, a=activation: self.apply(a, tf.nn.bias_add(x @ w, b)))
                width = units
            elif kind == "norm":
                steps.append(lambda x: tf.math.l2_normalize(x, axis=1))
            elif kind == "softmax":
                steps.append(tf.nn.softmax)
            else:
                scale = self.weight(width)
                steps.append(lambda x, s=scale: x * s)
        return steps, width

    def apply(self, activation, x):
        found = self.act(activation, x)
        return found(x) if callable(found) else found

    def build(self):  # noqa: C901 - a model is one function
        """(score function, dtypes and ranks of its inputs)."""
        tf, spec = self.tf, self.spec
        embeds = {name: self.embed(name) for name in self.features}
        numeric = ("float32", "int64 number")
        widths = {name: 1 if f["kind"] in numeric else f["width"] for name, f in self.features.items()}
        sides = {
            side: [n for n, f in self.features.items() if f["side"] == side]
            for side in ("user", "candidate", "pair")
        }
        towers = {s: self.tower(spec[s], sum(widths[n] for n in sides[s])) for s in ("user", "candidate")}
        common = 5
        project = {side: self.weight(towers[side][1], common) for side in towers}
        bias = {side: self.weight(towers[side][1], 1) for side in towers}
        flat = spec["flat"]
        width = sum(
            {"concat": sum(widths.values()) if flat else towers["user"][1] + towers["candidate"][1],
             "dot": 1, "matmul dot": 1, "product": common, "sum": common, "bias": 1}[mixer]
            for mixer in spec["mix"]
        ) + (0 if flat and "concat" in spec["mix"] else sum(widths[n] for n in sides["pair"]))  # fmt: skip
        top, width = self.top(width)
        last = self.weight(width, 1)

        def score(**inputs):  # noqa: C901
            rows = {}
            for name, value in inputs.items():
                rows[name] = embeds[name][1](tf.reshape(value, [-1]) if self.features[name]["rank"] == 2 else value)
            side = {}
            for name, (steps, _) in towers.items():
                side[name] = tf.concat([rows[n] for n in sides[name]], 1)
                for step in steps:
                    side[name] = step(side[name])
            u, c = (side[name] @ project[name] for name in ("user", "candidate"))
            mixed = []
            for mixer in spec["mix"]:
                if mixer == "concat":
                    mixed += list(rows.values()) if flat else [side["candidate"], side["user"]]
                elif mixer == "dot":
                    mixed.append(tf.reduce_sum(u * c, 1, keepdims=True))
                elif mixer == "matmul dot":
                    mixed.append(tf.squeeze(tf.matmul(u[:, None, :], c[:, :, None]), [2]))
                elif mixer == "bias":
                    mixed.append(side["user"] @ bias["user"] + side["candidate"] @ bias["candidate"])
                else:
                    mixed.append(u * c if mixer == "product" else u - c)
            if not (flat and "concat" in spec["mix"]):
                mixed += [rows[n] for n in sides["pair"]]
            x = tf.concat(mixed, 1)
            first = x
            for step in top:
                x, first = step(x, first)
            result = x @ last
            return {"score": tf.squeeze(result) if spec["squeeze"] else result}

        dtypes = {name: embeds[name][0] for name in self.features}
        return score, dtypes, {name: f["rank"] for name, f in self.features.items()}

    def normalise(self, x):
        mean, variance = self.tf.nn.moments(x, [1], keepdims=True)
        return (x - mean) * self.tf.math.rsqrt(variance + 0.1)

    def top(self, width):
        tf, steps = self.tf, []
        start = width
        for kind, units, activation in self.spec["top"]:
            if kind in ("dense", "linear"):
                weight, bias = self.weight(width, units), self.weight(units)
                a = activation if kind == "dense" else "identity"
                steps.append(lambda x, f, w=weight, b=bias, a=a: (self.apply(a, x @ w + b), f))
                width = units
            elif kind in ("cross", "low rank") and width == start:
                weight, bias = self.weight(width, width), self.weight(width)
                down, up = self.weight(width, 2), self.weight(2, width)
                low = kind == "low rank"
                steps.append(
                    lambda x, f, w=weight, b=bias, d=down, u=up, low=low: (
                        f * ((x @ d @ u if low else x @ w) + b) + x,
                        f,
                    )
                )
            elif kind == "residual":
                weight = self.weight(width, width)
                steps.append(lambda x, f, w=weight, a=activation: (x + self.apply(a, x) @ w, f))
            elif kind == "batch norm":
                scale, shift = self.weight(width), self.weight(width)
                steps.append(lambda x, f, s=scale, t=shift: (x * s + t, f))
            elif kind == "layer norm":
                steps.append(lambda x, f: (self.normalise(x), f))
            elif kind == "act":
                steps.append(lambda x, f, a=activation: (self.apply(a, x), f))
            elif kind == "slice" and width > 1:
                steps.append(lambda x, f: (x[:, 1:], f))
                width -= 1
            else:
                steps.append(lambda x, f: (tf.where(x > 0, x, 0.1 * tf.ones_like(x)), f))
        return steps, width


def draw_column(rng, feature, n):
    kind = feature["kind"]
    if kind in ("string id", "hashed"):
        return rng.integers(0, 12, n).astype(str).astype(object)
    if kind in ("float32", "bucket"):
        return rng.uniform(0, 9, n).astype(np.float32)
    return rng.integers(0, 12, n).astype(kind.split()[0])


@given(spec=MODELS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_a_plan_scores_as_the_signature_does(planning, spec, tf):
    builder = Builder(tf, spec)
    score, dtypes, ranks = builder.build()
    with tempfile.TemporaryDirectory() as folder:
        path = planning.save(Path(folder) / "m", score, dtypes, builder.tracked, ranks=ranks)
        roles = {
            side: [n for n, f in builder.features.items() if f["side"] == side and f["role"]]
            for side in ("user", "candidate")
        }
        found = plan_model(
            path, "serving_default", "score", user_inputs=roles["user"], candidate_inputs=roles["candidate"]
        )
        assert isinstance(found, Plan), found
        rng = np.random.default_rng(spec["seed"])
        pairs = {name: draw_column(rng, feature, 200) for name, feature in builder.features.items()}
        planning.assert_same_scores(path, found, pairs, spread=False)
    tf.keras.backend.clear_session()


@given(spec=MODELS)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_a_run_gives_the_same_scores_with_and_without_the_plan(planning, spec, tf):
    builder = Builder(tf, spec)
    score, dtypes, ranks = builder.build()
    rng = np.random.default_rng(spec["seed"])
    pairs = {name: draw_column(rng, feature, 144) for name, feature in builder.features.items()}
    ids = [np.arange(12).astype(str).astype(object)] * 2
    pairs["user_0"], pairs["candidate_1"] = (grid.reshape(-1) for grid in np.meshgrid(*ids))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = planning.save(folder / "m", score, dtypes, builder.tracked, ranks=ranks)
        plan = plan_model(
            path, "serving_default", "score", user_inputs=["user_0"], candidate_inputs=["candidate_1"]
        )
        (path / "assets.extra").mkdir()
        write_plan(path / "assets.extra", plan)
        pq.write_table(pa.table(pairs), folder / "pairs.parquet")
        found = []
        for way in ("require", "off"):
            report = run(RunSettings(
                input=folder / "pairs.parquet", output=folder / "ranked.parquet", model=path, plan=way, top_n=144,
                user_column="user_0", candidate_column="candidate_1", max_unknown_users="off",
                max_unknown_candidates="off", max_identical_lists="off", allow_equal_scores=True,
            ))  # fmt: skip
            assert report.plan.used == (way == "require")
            table = pq.read_table(folder / "ranked.parquet").sort_by(
                [("user_0", "ascending"), ("candidate_1", "ascending")]
            )
            found.append(table["score"].to_numpy())
        assert len(found[0]) == 144
        assert np.abs(found[0].astype(float) - found[1]).max() <= planning.tolerance(found[1])
    tf.keras.backend.clear_session()
