"""When two runs count as scored by one model."""

from __future__ import annotations

import datetime as dt

import pytest

from batchscore.report_parts import ModelUsed, PlanUsed
from batchscore.run_report import Report


def report(fingerprint, plan=None, *, used=True):
    model = ModelUsed(
        path="m", version=1, fingerprint=fingerprint, chosen="", signature="s", signature_chosen="",
        score_output="o", score_output_chosen="",
    )  # fmt: skip
    return Report(
        run_id="r", started_at=dt.datetime.now(dt.UTC), model=model, plan=PlanUsed(used=used, sha256=plan)
    )


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (report("m", "p"), True),
        (report("m", "q"), False),
        (report("n", "p"), False),
        (report("m", "q", used=False), True),
        (report("m", used=False), True),
    ],
)
def test_equal_fingerprints_and_not_two_different_plans(other, same):
    assert report("m", "p").has_model_of(other) is same
    assert other.has_model_of(report("m", "p")) is same
