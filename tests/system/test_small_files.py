"""What may stand in the place of a small file: (place) x (fault) ends in its error, at once and in words."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from batchscore.arrays.codes import Codes
from batchscore.errors import BatchscoreError
from batchscore.evaluation.coded_files import Ids, read_coded
from batchscore.golden_cases.cases import read_case, read_expected, write_expected
from batchscore.golden_cases.outcome import Outcome
from batchscore.interactions.identity import identify_files
from batchscore.outputs.rows import open_ranked
from batchscore.planning.plan_file import PLAN_FILE, read_plan
from batchscore.run_report import read_report
from batchscore.savedmodel.card import CARD_PATH, read_card
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings
from batchscore.settings.train import TrainSettings

CASE = 'about = "a case"\nmodel = "model"\n[pairs]\nuser_id = "string"\n'


def configuration(folder, name):
    return resolve(RunSettings, "run", {}, config=folder / name, environ={})


def card(folder, name):
    (folder / CARD_PATH.parent).symlink_to((folder / name).parent)
    return read_card(folder)


def case(folder, name):
    (folder / "model").mkdir()
    for other, text in (("case.toml", CASE), ("pairs.csv", "user_id\nu1\n")):
        if other != name:
            (folder / other).write_text(text)
    return read_case(folder)


def expected(folder, name):
    if name != "expected.toml":
        (folder / "expected.toml").write_text('[columns]\nuser_id = "string"\n')
    return read_expected(folder)


def truth(folder, name):
    ids = Ids("user_id", "item_id", Codes(pa.large_string()), Codes(pa.large_string()), folder / "ranked.parquet")
    return read_coded(folder / name, ids, None)


PLACES = {
    "job.toml": (configuration, "E-CONFIG"),
    CARD_PATH.name: (card, "E-MODEL-CARD"),
    PLAN_FILE: (lambda folder, _: read_plan(folder), "E-MODEL-PLAN"),
    "case.toml": (case, "E-GOLDEN"),
    "pairs.csv": (case, "E-GOLDEN"),
    "expected.toml": (expected, "E-GOLDEN"),
    "expected.csv": (expected, "E-GOLDEN"),
    "truth.parquet": (truth, "E-TRUTH"),
    "truth.csv": (truth, "E-TRUTH"),
    "ranked.parquet": (lambda folder, name: open_ranked(folder / name), "E-RANKED-FILE"),
}


def put_pipe(path):
    os.mkfifo(path)


def put_device(path):
    path.symlink_to(os.devnull)


def put_folder(path):
    path.mkdir()


def put_huge_file(path):
    path.touch()
    os.truncate(path, 2**41)  # sparse


def put_nothing(path):
    path.symlink_to("nowhere")


def put_loop(path):
    path.symlink_to(path)


def put_nested(path):
    path.write_bytes(b"x = " + b"[" * 50_000 if path.suffix == ".toml" else b"[" * 500_000)


def put_no_text(path):
    path.write_bytes(b"\xff\xfe\0\x80" * 10)


def put_nul(path):
    path.write_bytes(b"\0" * 100)


FAULTS = [
    put_pipe, put_device, put_folder, put_huge_file, put_nothing, put_loop, put_nested, put_no_text, put_nul,
]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("name", PLACES)
def test_whatever_stands_in_the_place_of_a_file_ends_in_its_error(tmp_path, name, fault):
    take, error_id = PLACES[name]
    fault(tmp_path / name)
    if fault is put_nothing and take is card:
        assert take(tmp_path, name) is None
        return
    if fault is put_nothing and name == PLAN_FILE:
        assert read_plan(tmp_path) is None
        return
    with pytest.raises(BatchscoreError) as caught:
        take(tmp_path, name)
    assert caught.value.error_id in (error_id, f"{error_id}-COLUMNS")
    assert len(str(caught.value)) < 2_000


@pytest.mark.timeout(20)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_report_that_cannot_be_read_is_none(tmp_path, fault):
    fault(tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") is None


@pytest.mark.timeout(20)
@pytest.mark.parametrize("fault", [put_pipe, put_device, put_folder, put_nothing, put_loop])
def test_an_input_that_cannot_be_read_has_no_identity(tmp_path, fault):
    fault(tmp_path / "input.parquet")
    settings = TrainSettings.model_construct(input=tmp_path / "input.parquet", users=None, candidates=None)
    assert identify_files(settings) == {"input": []}


@pytest.mark.parametrize("text", ['columns = ["a"]', "columns = 5", "[columns]\nuser = 1"])
def test_expected_columns_that_are_no_table_of_types_are_told(tmp_path, text):
    (tmp_path / "expected.toml").write_text(text)
    with pytest.raises(BatchscoreError, match="E-GOLDEN"):
        read_expected(tmp_path)


@pytest.mark.parametrize("name", ["expected.toml", "expected.csv"])
def test_an_update_writes_through_no_link(tmp_path, name):
    private = tmp_path / "private"
    private.write_text("untouched")
    (tmp_path / name).symlink_to(private)
    with pytest.raises(BatchscoreError, match=r"E-GOLDEN(.|\n)*it is a symbolic link"):
        write_expected(tmp_path, Outcome({"exit_code": 0}))
    assert private.read_text() == "untouched"


def test_an_update_that_the_disk_refuses_is_an_output_error_and_leaves_the_old_file(tmp_path, monkeypatch):
    write_expected(tmp_path, Outcome({"exit_code": 0}))

    def full(_):
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("batchscore.system.durable.os.fsync", full)
    with pytest.raises(BatchscoreError, match="E-OUTPUT: the expected files of a golden case cannot be written"):
        write_expected(tmp_path, Outcome({"exit_code": 3}))
    assert [path.name for path in tmp_path.iterdir()] == ["expected.toml"]
    assert Path(tmp_path / "expected.toml").read_text() == "exit_code = 0\n"
