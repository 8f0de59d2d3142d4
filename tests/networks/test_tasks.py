from __future__ import annotations

import math

import numpy as np
import pytest

from batchscore.networks.batch_columns import LIST, OBSERVED
from batchscore.settings.recipe import Click, Ranking, Rating

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("keras2")]


@pytest.fixture
def loss(tf):
    """The loss of tasks over a batch of labels, given what is predicted for each task."""
    from batchscore.networks.tasks import Objectives

    def _loss(tasks, inputs, raw):
        columns = {n: tf.constant(values, tf.int64 if n == LIST else tf.float32) for n, values in inputs.items()}
        predicted = {name: tf.constant(values, tf.float32) for name, values in raw.items()}
        return float(Objectives(tasks).compute_loss(columns, predicted))

    return _loss


def softplus(value):
    return math.log(1 + math.exp(value))


def test_a_rating_is_judged_by_squares(loss):
    tasks = {"stars": Rating(kind="rating", label="r")}
    assert loss(tasks, {"r": [1, 5]}, {"stars": [2, 3]}) == pytest.approx((1 + 4) / 2)


def test_a_click_is_judged_by_its_logit(loss):
    tasks = {"click": Click(kind="click", label="c")}
    assert loss(tasks, {"c": [1, 0]}, {"click": [2, -1]}) == pytest.approx((softplus(-2) + softplus(-1)) / 2)


def test_drawn_negatives_are_a_no_to_clicks_and_nothing_to_ratings(loss):
    tasks = {"click": Click(kind="click", label="c", negatives=1), "stars": Rating(kind="rating", label="r")}
    inputs = {"r": [1, 2, 0, 0], OBSERVED: [1, 1, 0, 0]}
    raw = {"click": [2, 1, -1, 0], "stars": [3, 2, 100, 100]}
    clicks = (softplus(-2) + softplus(-1) + softplus(-1) + softplus(0)) / 4
    assert loss(tasks, inputs, raw) == pytest.approx(clicks + 4 / 2)
    assert loss(tasks, inputs | {OBSERVED: [0] * 4}, raw) == pytest.approx(
        (softplus(2) + softplus(1) + softplus(-1) + softplus(0)) / 4
    )


def test_weights_and_several_tasks(loss):
    from batchscore.networks.tasks import Objectives

    tasks = {
        "stars": Rating(kind="rating", label="r", weight=0.5), "click": Click(kind="click", label="c", weight=3),
    }  # fmt: skip
    total = loss(tasks, {"r": [1.0], "c": [1.0]}, {"stars": [3.0], "click": [0.0]})
    assert total == pytest.approx(0.5 * 4 + 3 * softplus(0))
    names = [metric.name for task in Objectives(tasks).tfrs_tasks.values() for metric in task.metrics]
    assert names == ["stars_root_mean_squared_error", "click_auc"]


LABELS, LISTS = [3, 1, 2, 5, 5, 4, 4, 9], [0, 0, 0, 1, 1, 2, 2, 3]
SCORES = [0.5, 1.5, -1.0, 7.0, -7.0, 1.0, 3.0, 2.0]
"""A list of three, two of equal labels, and one of a single row."""


def test_pairs_of_a_list_by_hand(loss):
    tasks = {"order": Ranking(kind="pairwise", label="r")}
    inputs = {"r": [*LABELS[:5], 4, 3, 9], LIST: LISTS}
    first = (softplus(1.5 - 0.5) + softplus(-1.0 - 0.5) + softplus(1.5 + 1.0)) / 3
    third = softplus(3.0 - 1.0)
    assert loss(tasks, inputs, {"order": SCORES}) == pytest.approx((first + third) / 2)


def test_lists_by_hand(loss):
    tasks = {"order": Ranking(kind="listwise", label="r")}
    inputs = {"r": [*LABELS[:5], 4, 3, 9], LIST: LISTS}
    best = -math.log(math.exp(0.5) / (math.exp(0.5) + math.exp(1.5) + math.exp(-1.0)))
    second = -math.log(math.exp(-1.0) / (math.exp(-1.0) + math.exp(1.5)))
    third = softplus(3.0 - 1.0)
    assert loss(tasks, inputs, {"order": SCORES}) == pytest.approx(((best + second) / 2 + third) / 2)


@pytest.mark.parametrize("kind", ["pairwise", "listwise"])
def test_rows_of_equal_labels_do_not_compete_and_their_order_does_not_matter(kind, loss):
    tasks = {"order": Ranking(kind=kind, label="r")}
    assert loss(tasks, {"r": [5, 5, 2], LIST: [0, 0, 1]}, {"order": [9, -9, 4]}) == 0
    one = loss(tasks, {"r": [5, 5, 2, 2], LIST: [0] * 4}, {"order": [1, 2, 3, 4]})
    other = loss(tasks, {"r": [2, 5, 2, 5], LIST: [0] * 4}, {"order": [4, 2, 3, 1]})
    assert one == pytest.approx(other)
    assert one > 0


@pytest.mark.parametrize("kind", ["pairwise", "listwise"])
def test_padding_changes_neither_loss_nor_gradient(kind, tf):
    from batchscore.networks import tasks as module

    judge = {"pairwise": module.pairwise_loss, "listwise": module.listwise_loss}[kind]
    labels, scores = tf.constant([[3.0, 1, 2], [1, 2, -4]]), tf.Variable([[0.5, 1.5, -80], [1, 0.2, 80]])
    padded = tf.Variable(tf.pad(scores, [[0, 0], [0, 2]], constant_values=50))
    with tf.GradientTape(persistent=True) as tape:
        short = judge(labels, scores, tf.ones([2, 3]))
        long = judge(tf.pad(labels, [[0, 0], [0, 2]]), padded, tf.sequence_mask([3, 3], 5, tf.float32))
    assert float(short) == pytest.approx(float(long))
    gradient = tape.gradient(long, padded).numpy()
    assert gradient[:, :3] == pytest.approx(tape.gradient(short, scores).numpy(), abs=1e-7)
    assert not gradient[:, 3:].any()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", ["pairwise", "listwise"])
def test_keras_rs_agrees_on_full_lists_without_ties(kind, tf):
    losses = pytest.importorskip("keras_rs").losses
    from batchscore.networks import tasks as module

    random = np.random.default_rng(0)
    labels = np.argsort(random.random((4, 6)), axis=1).astype(np.float32)
    scores = random.normal(size=(4, 6)).astype(np.float32)
    if kind == "pairwise":
        ours = module.pairwise_loss(tf.constant(labels), tf.constant(scores), tf.ones([4, 6]))
        theirs = losses.PairwiseLogisticLoss(reduction="sum")(labels, scores) / (4 * 15)
    else:
        ours = module.listwise_loss(tf.constant(labels), tf.constant(scores), tf.ones([4, 6]))
        theirs = losses.ListMLELoss(reduction="sum")(labels, scores) / (4 * 5)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
