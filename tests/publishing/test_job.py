"""A job is its output as it is written: where its records lie, what they are called, and what it locks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.errors import OutputError, TryLaterError
from batchscore.publishing.claim import claim
from batchscore.publishing.job import Job, find_job
from batchscore.settings.paths import DatedPath

DAY = dt.date(2026, 11, 28)
BEFORE = dt.date(2026, 11, 27)


def job(written, date=DAY, **how):
    return Job(DatedPath(Path(written), date), **how)


@pytest.mark.parametrize(
    ("written", "folder", "record"),
    [
        ("out/ranked.parquet", "out", "ranked.parquet"),
        ("ranked.parquet", ".", "ranked.parquet"),
        ("out/ranked-{date}.parquet", "out", "ranked-2026-11-28.parquet"),
        ("out/dt={date}/ranked.parquet", "out", "dt=2026-11-28%2Franked.parquet"),
        ("out/{date}/de/{date}.parquet", "out", "2026-11-28%2Fde%2F2026-11-28.parquet"),
        ("{date}/ranked.parquet", ".", "2026-11-28%2Franked.parquet"),
        ("/{date}/50%/r", "/", "2026-11-28%2F50%25%2Fr"),
    ],
)
def test_records_lie_in_the_deepest_folder_without_a_date(written, folder, record):
    found = job(written)
    assert (found.folder, found.state, found.record) == (Path(folder), Path(folder, "_batchscore"), record)


def test_nights_of_a_job_share_the_lock_and_the_folder_and_not_the_records():
    one, other = job("out/dt={date}/r.parquet"), job("out/dt={date}/r.parquet", BEFORE)
    assert one.locks == other.locks == [Path("out/.dt={date}%2Fr.parquet.lock")]
    assert one.state == other.state
    assert one.record != other.record


def test_a_job_may_have_a_name_of_its_own():
    assert job("out/r.parquet", name="lists").record == "lists"
    assert job("out/r-{date}.parquet", name="lists").record == "lists-2026-11-28"
    assert job("out/r.parquet", state_dir=Path("state"), name="lists").named_locks == [Path("state/.lists.lock")]


NAMES = st.text("ab%F2/={}-", min_size=1, max_size=6).map(lambda text: text.strip("/").replace("//", "/") or "x")


@given(one=NAMES, other=NAMES)
def test_no_two_outputs_have_the_same_records(one, other):
    paths = [f"out/{{date}}{text}" for text in (one, other)]
    assert (job(paths[0]).record == job(paths[1]).record) == (Path(paths[0]) == Path(paths[1]))


@pytest.mark.parametrize("written", ["r-{date}.parquet", "dt={date}/r.parquet", "{date}/a/{date}.parquet"])
def test_the_job_of_a_published_file_is_found_by_its_lock(tmp_path, written):
    with claim(job(tmp_path / written)) as ours:
        ours.output.write_bytes(b"published")
    found = find_job(tmp_path / written.replace("{date}", "2026-11-27"))
    assert found == job(tmp_path / written, BEFORE)
    plain = tmp_path / "other.parquet"
    assert find_job(plain) == Job(DatedPath(plain))
    assert find_job(tmp_path / written.replace("{date}", "2026-13-01")).date is None


# dates


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


@pytest.mark.parametrize("written", ["r-{date}.parquet", "dt={date}/r.parquet", "{date}/a/r-{date}.parquet"])
def test_earlier_nights_are_those_with_an_output_or_a_report_the_latest_first(tmp_path, written):
    ours = job(tmp_path / written)
    for day in (25, 27, 28, 29):
        touch(ours.output.on(dt.date(2026, 11, day)))
    touch(ours.state / f"{job(tmp_path / written, dt.date(2026, 11, 26)).record}.report.json")
    touch(ours.state / f"{job(tmp_path / written, dt.date(2026, 11, 24)).record}.failed.json")
    touch(tmp_path / "r-2026-11-31.parquet")
    touch(tmp_path / "2026-11-20" / "a" / "r-2026-11-21.parquet")
    assert [date.day for date in ours.earlier_dates()] == [27, 26, 25]


# claims


def test_two_nights_of_a_job_do_not_run_at_once(tmp_path):
    written = tmp_path / "r-{date}.parquet"
    with claim(job(written)):
        for other in (job(written, BEFORE), Job(DatedPath(tmp_path / "r-2026-11-27.parquet"))):
            with pytest.raises(TryLaterError), claim(other):
                pass
        with claim(job(tmp_path / "s-{date}.parquet")):
            pass


def test_outputs_of_one_named_job_do_not_run_at_once(tmp_path):
    with (
        claim(job(tmp_path / "a.parquet", name="lists")),
        pytest.raises(TryLaterError),
        claim(job(tmp_path / "b.parquet", name="lists")),
    ):
        pass


def test_the_folder_of_a_date_is_made_and_goes_again_if_nothing_is_published(tmp_path, lists_of_a_loop):
    ours = job(tmp_path / "dt={date}" / "de" / "r.parquet")
    with claim(ours):
        assert ours.path.parent.is_dir()
    assert not (tmp_path / "dt=2026-11-28").exists()
    with claim(ours):
        ours.path.write_bytes(lists_of_a_loop)
    assert ours.path.exists()
    with claim(ours):
        pass
    assert ours.path.exists()


@pytest.mark.parametrize("written", ["lists/r.parquet", "lists/dt={date}/r.parquet", "lists/r-{date}.parquet"])
def test_a_folder_that_no_date_names_is_not_made(tmp_path, written):
    with pytest.raises(OutputError) as caught, claim(job(tmp_path / "my data" / written)):
        pass
    assert f"next:     make it: mkdir -p '{tmp_path}/my data/lists'" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("written", ["r-{date}.parquet", "dt={date}/r.parquet"])
def test_what_a_dead_run_of_an_earlier_night_left_is_cleared(tmp_path, written):
    yesterday = job(tmp_path / written, BEFORE)
    stale = yesterday.path.with_name(f".{yesterday.path.name}.0123abcd.tmp")
    foreign = yesterday.path.with_name(f".x{yesterday.path.name}.0123abcd.tmp")
    record = yesterday.state / f".{yesterday.record}.failed.json.tmp"
    for path in (stale, foreign, record):
        touch(path)
    with claim(job(tmp_path / written)):
        assert [path.exists() for path in (stale, foreign, record)] == [False, True, False]
