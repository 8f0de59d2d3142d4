"""What stands in the output's place is replaced only if it is ranked lists, or was published by the job."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import OutputError, UsageError
from batchscore.publishing.claim import claim
from batchscore.publishing.job import Job
from batchscore.run_report import Report
from batchscore.settings.paths import DatedPath
from batchscore.settings.run import RunSettings

SCORES = pa.array([0.5], pa.float32())
RANKS = pa.array([1], pa.int32())
IDS = {"user_id": ["u"], "movie_id": ["m"]}


@pytest.fixture
def output(tmp_path):
    return tmp_path / "ranked.parquet"


def claim_only(output, **how):
    with claim(Job(DatedPath(output), **how)):
        pass


def publish(output, columns):
    with claim(Job(DatedPath(output))) as ours:
        done = ours.publish(
            lambda path: pq.write_table(pa.table(columns), path), 1, keep_replaced=False, committing=lambda: None
        )
        report = Report.begin(RunSettings(input="i", output="o"))
        report.output = done
        ours.settle(report, 0)


def assert_refused(output, found):
    before = output.read_bytes()
    with pytest.raises(OutputError) as refused:
        claim_only(output)
    assert (refused.value.error_id, refused.value.exit_code) == ("E-OUTPUT", 5)
    assert f"found:    {found}" in str(refused.value)
    assert output.read_bytes() == before
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"[run]\ntop_n = 10\n", "no Parquet file: "),
        (b"import os\n", "no Parquet file: "),
        (b"PAR1 cut off", "no Parquet file: "),
        (b"", "an empty file"),
    ],
)
def test_a_file_that_is_not_parquet_is_not_replaced(output, content, found):
    output.write_bytes(content)
    assert_refused(output, found)


@pytest.mark.parametrize(
    "columns",
    [
        {**IDS, "user_rating": SCORES, "timestamp": [1]},
        IDS,
        {"movie_id": ["m"], "score": SCORES},
        {**IDS, "rank": ["first"]},
        {"user_id": ["u"], "x": ["a"], "y": ["b"], "z": ["c"]},
    ],
    ids=["interactions", "pairs", "no user", "a rank of text", "which candidate?"],
)
def test_a_table_that_is_not_ranked_lists_is_not_replaced(output, columns):
    pq.write_table(pa.table(columns), output)
    assert_refused(output, f"columns {next(iter(columns))} string")


@pytest.mark.parametrize(
    "columns",
    [
        {**IDS, "score": SCORES, "rank": RANKS},
        {"customer": ["c"], "article": ["a"], "score": SCORES, "rank": RANKS, "user_id": ["kept"]},
        {"customer": ["c"], "article": ["a"], "rank": RANKS},
        {**IDS, "score": pa.array([0.5])},
        {"rank": [1], "movie_id": [7], "user_id": [3]},
    ],
    ids=["an output", "an output with a kept user_id", "ranks of a loop", "scores of a loop", "in another order"],
)
def test_ranked_lists_are_replaced_whoever_wrote_them(output, columns):
    pq.write_table(pa.table(columns), output)
    claim_only(output)


def test_what_the_job_published_is_known_by_its_report_alone(output, monkeypatch):
    publish(output, {"number": [1]})
    monkeypatch.setattr(pq, "ParquetFile", None)  # no footer is read
    claim_only(output)


@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_published_file_that_is_damaged_since_is_replaced(output, damage):
    publish(output, IDS | {"rank": [1]})
    output.write_bytes(damage)
    claim_only(output)


def test_another_table_in_the_place_of_a_published_file_is_not_replaced(output):
    publish(output, IDS | {"rank": [1]})
    pq.write_table(pa.table(IDS), output)
    with pytest.raises(OutputError, match="does not hold ranked lists"):
        claim_only(output)


@pytest.mark.parametrize(
    "name",
    [
        "_batchscore/new.parquet", "_batchscore/deeper/new.parquet", "link/new.parquet",
        "state/k.parquet.report.json", "state/k.parquet.failed.json", "state/k.parquet.previous-1",
        "state/k.parquet.previous-2.report.json", "state/k.parquet.rejects.jsonl",
        "state/k.parquet.failed.rejects.jsonl", "state/k.parquet.refused.parquet", ".k.parquet.lock",
        ".k.parquet.0123abcd.tmp",
    ],
)  # fmt: skip
@pytest.mark.parametrize("stands", [True, False])
def test_no_output_stands_among_the_records_of_jobs(tmp_path, name, stands):
    (tmp_path / "_batchscore" / "deeper").mkdir(parents=True)
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to("_batchscore")
    output = tmp_path / name
    if stands:
        pq.write_table(pa.table(IDS | {"rank": [1]}), output)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as refused:
        claim_only(output)
    assert (refused.value.error_id, refused.value.exit_code) == ("E-OUTPUT-IS-INPUT", 2)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["report.json", "lists.lock", "my_batchscore.parquet", "previous-1", ".hidden"])
def test_other_names_are_free(tmp_path, name):
    claim_only(tmp_path / name)
