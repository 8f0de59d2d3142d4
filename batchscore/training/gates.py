"""Which models are not published: worse than a baseline, or worse than the live version."""

from __future__ import annotations

import math

from batchscore.errors import RefusedError
from batchscore.settings.train import TrainSettings
from batchscore.training.comparison import Comparison
from batchscore.training.live_version import Live

_STEPS_AN_EPOCH = 40


def require_better_than_baseline(comparison: Comparison, training_rows: int, settings: TrainSettings) -> None:
    """Raises RefusedError (E-MODEL-QUALITY) unless the first task's figure is strictly better than its baseline's.

    A rating must beat predicting the mean, a click predicting the base rate, an order that by popularity.
    """
    metric, value, baseline = comparison.metric, comparison.value, comparison.baseline
    if value is None or baseline is None:
        raise RefusedError(
            "E-MODEL-QUALITY",
            "the held-out rows cannot show whether the model is good; it was not published",
            found=f"{metric.name} is not defined: no user has held-out rows with different labels, one above 0",
            expected="an order that can be right or wrong",
            next_step="hold out more of each user: raise --held-out or --last, or take --split random",
        )
    if metric.is_better(value, baseline):
        return
    advice = "check the figures of each epoch: more epochs, another learning rate or other labels may help"
    if training_rows < _STEPS_AN_EPOCH * settings.batch_rows:
        steps = -(-training_rows // settings.batch_rows)
        advice = (
            f"{settings.batch_rows:,} rows per batch make only {steps} step(s) per epoch of {training_rows:,} "
            f"training rows; try --batch-rows {_suggest_batch_rows(training_rows)}"
        )
    raise RefusedError(
        "E-MODEL-QUALITY",
        f"the model is no better than {metric.baseline_text}; it was not published",
        found=f"held-out {metric.name} {value:.4f}",
        expected=f"{'less' if metric.lower_is_better else 'more'} than {baseline:.4f}, the figure of the baseline",
        next_step=advice,
    )


def require_no_regression(comparison: Comparison, live: Live, settings: TrainSettings) -> None:
    """Raises RefusedError (E-MODEL-REGRESSION) if it is worse than the live version beyond the limit."""
    limit, metric = settings.max_regression.fraction, comparison.metric
    if limit is None or live.value is None or comparison.value is None:
        return
    worse = metric.loss(comparison.value, live.value)
    if worse <= float(limit):
        return
    raise RefusedError(
        "E-MODEL-REGRESSION",
        f"the model is worse than the live version {live.version}, which stays; it was not published",
        found=f"held-out {metric.name} {comparison.value:.4f}, {100 * worse:.1f} % worse",
        expected=f"at most {settings.max_regression} worse than its {live.value:.4f} on these rows",
        next_step="check what changed in data and settings, or accept it once with --max-regression off",
    )


def _suggest_batch_rows(training_rows: int) -> int:
    """A power of two that makes about `_STEPS_AN_EPOCH` steps an epoch."""
    return 1 << max(0, int(math.log2(max(1, training_rows / _STEPS_AN_EPOCH))))
