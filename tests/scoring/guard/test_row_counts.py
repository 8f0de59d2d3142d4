"""What guards make of sources whose number of pairs is known, bounded, or unknown before the end."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from batchscore.errors import RefusedError
from batchscore.publishing.baseline import Baseline
from batchscore.scoring.guard.guards import Guards
from batchscore.scoring.source.pair_source import RowCount
from batchscore.settings.run import RunSettings

NOW = dt.datetime.now(dt.UTC)


def source(count):
    part = SimpleNamespace(path=Path("table"), modified_at=NOW)
    return SimpleNamespace(row_count=count, path=Path("table"), parts=(part,))


def check(count, **settings):
    results = []
    settings = RunSettings(input="i", output="o", **settings)
    Guards(settings, Baseline(None, None), results, pytest.fail).check_input(
        source(count), lambda: pl.Series(["a", "b"])
    )
    return {result.name for result in results}


@pytest.mark.parametrize("count", [RowCount(9), RowCount(9, exact=False)], ids=["exact", "at most"])
@pytest.mark.parametrize("limit", ["min_pairs", "min_users"])
def test_what_can_never_be_enough_is_refused_before_anything_is_read(count, limit):
    with pytest.raises(RefusedError, match="at least 10 required"):
        check(count, **{limit: 10})


def test_only_an_exact_number_is_a_verdict():
    settled = {"max_input_age", "min_pairs", "max_pair_drop"}
    assert check(RowCount(30), min_pairs=10) == settled
    assert check(RowCount(30, exact=False), min_pairs=10) == {"max_input_age"}
    assert check(RowCount(None), min_pairs=10) == {"max_input_age"}
