"""What a night is compared with, and what is said if there is little or nothing."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import UsageError
from batchscore.publishing.baseline import find_baseline
from batchscore.publishing.claim import claim
from batchscore.publishing.job import Job
from batchscore.publishing.rollback import rollback
from batchscore.run_report import KnownIds, Report
from batchscore.settings.paths import DatedPath
from batchscore.settings.run import RunSettings

FORMER = Path(__file__).parent / "state_before_jobs"
WRITTEN = ["r-{date}.parquet", "dt={date}/r.parquet"]


def day(number):
    return dt.date(2026, 11, number)


def night(path, number=28, **how):
    return Job(DatedPath(path, day(number)), **how)


def publish(job, users, *, keep=1):
    """One publication with that many users, each with one row."""
    table = pa.table({
        "user_id": [f"u{user:04}" for user in range(users)],
        "item_id": ["a"] * users,
        "score": pa.array([1.0] * users, pa.float32()),
        "rank": pa.array([1] * users, pa.int32()),
    })  # fmt: skip
    report = Report.begin(RunSettings(input="i", output="o"))
    with claim(job) as ours:
        report.output = ours.publish(
            lambda path: pq.write_table(table, path), users, keep_replaced=keep > 0, committing=lambda: None
        )
        report.users = report.rows_written = users
        ours.settle(report, keep)


def report_of(job):
    return job.state / f"{job.record}.report.json"


# dated outputs


@pytest.mark.parametrize("name", [None, "lists"])
@pytest.mark.parametrize("written", WRITTEN)
def test_a_night_is_compared_with_the_latest_one_before_it(tmp_path, written, name):
    path = tmp_path / written
    for number in (24, 26, 28, 29):
        publish(night(path, number, name=name), number)
    found = find_baseline(night(path, 28, name=name))
    assert (found.users, found.rows, found.report.users) == (26, 26, 26)
    assert found.file == found.output == night(path, 26).path
    assert (found.warnings, found.notes) == ((), ())
    assert find_baseline(night(path, 25, name=name)).users == 24


@pytest.mark.parametrize("written", WRITTEN)
def test_an_output_that_a_consumer_took_away_is_compared_through_its_report(tmp_path, written):
    path = tmp_path / written
    publish(night(path, 27), 40)
    shutil.move(night(path, 27).path, tmp_path / "taken")
    found = find_baseline(night(path))
    assert (found.users, found.file, found.warnings) == (40, None, ())
    assert found.notes == (f"{night(path, 27).path} is no longer there: this run compares itself with its report",)


def test_so_is_an_output_without_a_date(tmp_path):
    job = night(tmp_path / "r.parquet")
    publish(job, 40)
    job.path.unlink()
    found = find_baseline(job)
    assert (found.users, found.file, found.warnings, len(found.notes)) == (40, None, (), 1)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_rerun_of_a_date_keeps_what_it_replaces_and_rollback_brings_that_back(tmp_path, written):
    path = tmp_path / written
    publish(night(path, 27), 27)
    publish(night(path), 1)
    publish(night(path), 2)
    assert rollback(night(path).path).users == 1
    assert [pq.read_metadata(night(path, number).path).num_rows for number in (27, 28)] == [27, 1]
    assert rollback(path, date=day(28)).users == 2
    assert pq.read_metadata(night(path).path).num_rows == 2


def test_a_named_job_is_rolled_back_by_its_name(tmp_path):
    path = tmp_path / "r-{date}.parquet"
    for users in (1, 2):
        publish(night(path, name="lists"), users)
    assert rollback(night(path).path, job="lists").users == 1
    assert rollback(path, date=day(28), job="lists").users == 2


# reports that are not believed


def damage(report, how):
    text = report.read_text()
    if how == "cut":
        report.write_text(text[: len(text) // 2])
    elif how == "empty":
        report.write_bytes(b"")
    elif how == "of another file":
        report.write_text(json.dumps(_with_output(text, sha256="0" * 64, file_id=None)))
    elif how == "of another schema":
        report.write_text(json.dumps(json.loads(text) | {"schema_version": 9}))
    elif how == "of no output":
        report.write_text(json.dumps(json.loads(text) | {"output": None}))
    elif how == "a pipe":
        report.unlink()
        os.mkfifo(report)
    else:
        report.unlink()
        report.mkdir()


def _with_output(text, **changes):
    report = json.loads(text)
    return report | {"output": report["output"] | changes}


DAMAGES = {
    "cut": "is cut off or damaged",
    "empty": "is cut off or damaged",
    "of another file": "is of another file (run ",
    "of another schema": "is not one that this release understands (schema_version: Input should be 1)",
    "of no output": "is not one of a published output",
    "a pipe": "cannot be read: it is a named pipe, not a file",
    "a folder": "cannot be read: it is a folder, not a file",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("written", ["r.parquet", *WRITTEN])
def test_a_report_that_is_not_believed_is_named_and_the_file_is_counted(tmp_path, written, how):
    last = night(tmp_path / written, 27)
    publish(last, 40)
    damage(report_of(last), how)
    found = find_baseline(night(tmp_path / written))
    assert (found.report, found.users, found.rows, found.file) == (None, 40, 40, last.path)
    (warning,) = found.warnings
    assert warning.startswith(f"the report {report_of(last)} {DAMAGES[how]}")
    assert warning.endswith(": this run compares itself with the users and rows of the file alone")


@pytest.mark.parametrize("written", WRITTEN)
def test_a_night_of_which_nothing_can_be_used_is_passed_over_with_a_warning(tmp_path, written):
    path = tmp_path / written
    for number in (25, 26, 27):
        publish(night(path, number), number)
    damage(report_of(night(path, 27)), "cut")
    night(path, 27).path.unlink()
    report_of(night(path, 26)).unlink()
    night(path, 26).path.write_bytes(b"no Parquet")
    found = find_baseline(night(path))
    assert found.users == 25
    gone, uncounted = found.warnings
    assert gone.endswith("is cut off or damaged, and its output is gone")
    assert "has no report, and the users of the file cannot be counted: " in uncounted
    assert not uncounted.endswith(".")


def _cut(path):
    path.write_bytes(path.read_bytes()[:100])


def _write_other(path):
    pq.write_table(pa.table({"user_id": ["a"]}), path)


@pytest.mark.parametrize("harm", [_cut, _write_other])
@pytest.mark.parametrize("written", ["r.parquet", *WRITTEN])
def test_a_damaged_output_is_compared_through_its_report(tmp_path, written, harm):
    path = tmp_path / written
    publish(night(path, 26), 26)
    publish(night(path, 27), 40)
    harm(night(path, 27).path)
    found = find_baseline(night(path))
    assert (found.report.users, found.users, found.rows, found.file) == (40, 40, 40, None)
    (warning,) = found.warnings
    assert "is of another file (run " in warning
    assert "and the users of the file cannot be counted: " in warning
    assert ".:" not in warning
    assert warning.endswith(": this run compares itself with that report")


def test_a_job_whose_output_has_moved_names_the_one_it_published(tmp_path):
    old, new = (night(tmp_path / name / "r.parquet", name="lists", state_dir=tmp_path / "state") for name in "ab")
    for job in (old, new):
        job.folder.mkdir()
    publish(old, 40)
    found = find_baseline(new)
    assert (found.users, found.file, found.warnings) == (40, None, ())
    assert found.notes == (f"this job published {old.path} last: this run compares itself with its report",)


# nothing


@pytest.mark.parametrize(("written", "earlier"), [("r.parquet", ""), ("r-{date}.parquet", " of an earlier date")])
def test_a_first_night_is_told_so_and_warned_of_nothing(tmp_path, written, earlier):
    for _ in range(2):  # a first night that failed changes nothing
        with claim(night(tmp_path / written)) as ours:
            found = find_baseline(ours.job)
        assert (found.report, found.users, found.warnings) == (None, None, ())
        assert found.notes == (
            f"this job has no published output{earlier} yet: this run has nothing to compare itself with",
        )


@pytest.mark.parametrize("written", WRITTEN)
def test_an_output_whose_date_the_shell_filled_in_is_told_of_its_nights(tmp_path, written):
    path = tmp_path / written
    for number in (26, 27, 29):
        filled = night(path, number).path
        filled.parent.mkdir(exist_ok=True)
        publish(Job(DatedPath(filled)), 40)
    filled = night(path).path
    filled.parent.mkdir(exist_ok=True)
    with claim(Job(DatedPath(filled))) as ours:
        (warning,) = find_baseline(ours.job).warnings
    assert warning == (
        "this job has no published output yet: this run has nothing to compare itself with; "
        f"{night(path, 27).path} looks like the night before: "
        "write {date} in place of the date in --output, and each night is compared with the one before"
    )
    for other in ("lists-2026-11-28.parquet", "r-2026-99-99.parquet"):
        with claim(Job(DatedPath(tmp_path / other))) as ours:
            assert find_baseline(ours.job).warnings == ()


def test_a_rollback_of_a_date_that_was_published_once_names_the_date_before(tmp_path):
    path = tmp_path / "r-{date}.parquet"
    for number in (27, 28):
        publish(night(path, number), number)
    with pytest.raises(UsageError) as raised:
        rollback(path, date=day(28))
    assert f"next:     the output of an earlier date is still at {night(path, 27).path}; " in str(raised.value)


def test_a_job_that_published_and_lost_everything_is_warned_of(tmp_path):
    job = night(tmp_path / "r.parquet")
    publish(job, 1)
    publish(job, 2)
    job.path.unlink()
    report_of(job).unlink()
    (warning,) = find_baseline(job).warnings
    assert warning == (
        f"{job.path} and its report are gone, although this job published before ({job.state}): "
        "this run has nothing to compare itself with"
    )


# the state of the release before


@pytest.fixture
def former(tmp_path):
    shutil.copytree(FORMER, tmp_path / "ranking")
    return tmp_path / "ranking"


@pytest.mark.parametrize("written", ["dated/ranked-{date}.parquet", "folders/dt={date}/ranked.parquet"])
@pytest.mark.parametrize("name", [None, "lists"])
def test_nights_of_the_release_before_are_compared_with(former, written, name):
    for number, users in ((30, 8), (22, 6)):
        found = find_baseline(night(former / written, number, name=name))
        assert (found.report.users, found.users, found.warnings) == (users, users, ())
        assert found.file == night(former / written, number - 1 if number == 22 else 22).path
    night(former / written, 22).path.unlink()
    assert find_baseline(night(former / written, 30, name=name)).users == 8
    assert find_baseline(night(former / written, 21, name=name)).report is None


@pytest.mark.parametrize("name", [None, "lists"])
def test_so_is_an_output_of_it_without_a_date(former, name):
    job = night(former / "plain" / "ranked.parquet", name=name)
    assert (find_baseline(job).users, find_baseline(job).report.users_short) == (5, 5)
    publish(job, 9)
    assert pq.read_metadata(job.state / f"{job.record}.previous-1").num_rows == 5
    assert find_baseline(job).users == 9


@pytest.mark.parametrize(
    ("path", "users"),
    [
        ("plain/ranked.parquet", 4),
        ("dated/ranked-2026-11-22.parquet", 7),
        ("folders/dt=2026-11-22/ranked.parquet", 7),
    ],
)
@pytest.mark.parametrize("ran_since", [False, True])
def test_outputs_of_it_are_rolled_back(former, path, users, ran_since):
    if ran_since:  # the job has a lock and a state folder of its own now
        publish(night(former / "dated" / "ranked-{date}.parquet"), 1)
        publish(night(former / "folders" / "dt={date}" / "ranked.parquet"), 1)
    report = rollback(former / path)
    assert (report.users, pq.read_metadata(former / path).num_rows) == (users, users)


def test_a_rerun_of_its_last_date_keeps_its_output_and_report(former):
    job = night(former / "folders" / "dt={date}" / "ranked.parquet", 22)
    publish(job, 9)
    assert rollback(job.path).users == 8


def test_reasons_are_read_under_the_names_that_they_had(former):
    report = find_baseline(night(former / "plain" / "ranked.parquet", 30)).report
    assert report.plan.reason == "5 pairs are scored sooner without (a plan pays from 50,000 on)"
    assert '"why' not in report.to_json()
    assert KnownIds.model_validate({"why": "no look-up"}) == KnownIds(reason="no look-up")
