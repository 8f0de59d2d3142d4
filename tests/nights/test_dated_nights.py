"""A job whose output has a date in its path: each night is compared with the one before it."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.tensorflow


@pytest.fixture(params=["ranked-{date}.parquet", "lists/dt={date}/ranked.parquet"])
def nightly(job, request):
    (job.folder / "lists").mkdir()
    job.train("personal")
    output = job.folder / request.param

    def run(date, *flags):
        return job.run("--output", output, "--date", date, *flags)

    return job, output, run


def test_a_dated_night_is_guarded_warned_and_rolled_back(nightly):
    job, output, run = nightly
    job.retrieve()
    told = run("2026-11-26")
    assert (told.exit_code, told.troubles) == (0, "")
    assert (
        "INFO this job has no published output of an earlier date yet: this run has nothing to compare itself"
        in (told.err)
    )
    told = run("2026-11-27")
    assert told.exit_code == 0
    assert told.troubles.startswith("WARNING the input is that of the published run ")
    assert told.troubles.endswith("did retrieval run?\n")

    job.retrieve(users=20, night=2)
    told = run("2026-11-28")
    assert told.exit_code == 6
    assert "E-PAIRS-DROPPED: 400 pairs, last published 800 (-50.0 %, limit 20 %)." in told.troubles
    today = type(output)(str(output).replace("{date}", "2026-11-28"))
    assert not today.parent.exists() or today.parent == output.parent

    job.retrieve(users=36, night=3)
    assert run("2026-11-28").exit_code == 0
    (report,) = job.folder.rglob("*2026-11-28*.report.json")
    told_by = json.loads(report.read_text())
    assert told_by["compared_with"] == str(output).replace("{date}", "2026-11-27")
    assert told_by["previous"]["users"] == 40
    job.retrieve(users=38, night=4)
    assert run("2026-11-28").exit_code == 0
    assert len(pq.read_table(today)["user_id"].unique()) == 38
    assert job.roll_back(today).exit_code == 0
    assert len(pq.read_table(today)["user_id"].unique()) == 36
