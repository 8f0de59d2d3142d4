"""Where a model lies: a SavedModel, or the highest complete of its versions."""

from __future__ import annotations

import os

import pytest

from batchscore.errors import ModelError
from batchscore.savedmodel.card import FileEntry, ModelCard, Probes, write_card
from batchscore.savedmodel.proto import SavedModelProto
from batchscore.savedmodel.versions import FAILED_REPORT, LOCK, REPORTS, list_versions, locate, missing_files


def export(path, *, restores=False, files=None):
    """The least that counts as a complete SavedModel, with a card where `files` are given."""
    path.mkdir(parents=True)
    proto = SavedModelProto(schema_version=1)
    graph = proto.meta_graphs.add(object_graph_def=b"\n\0")
    graph.meta_info_def.tags.append("serve")
    if restores:
        graph.saver_def.restore_op_name = "StatefulPartitionedCall_1"
    (path / "saved_model.pb").write_bytes(proto.SerializeToString())
    if files is not None:
        for entry in files:
            (path / entry.path).parent.mkdir(parents=True, exist_ok=True)
            (path / entry.path).write_bytes(b"x" * entry.bytes)
        write_card(
            path,
            ModelCard(
                signature="s", score_output="o", user_input="u", candidate_input="c",
                probes=Probes(inputs={}, scores=[]), files=files,
            ),
        )  # fmt: skip
    return path


def refused(error_id, path, version=None):
    with pytest.raises(ModelError) as caught:
        locate(path, version)
    assert caught.value.error_id == error_id
    return str(caught.value)


def test_a_saved_model_is_itself(tmp_path):
    path = export(tmp_path / "model")
    located = locate(path)
    assert (located.path, located.version, located.chosen) == (path, None, "the directory given")


def test_the_highest_version_is_by_number_and_not_by_text(tmp_path):
    for number in (1, 2, 10, 9):
        export(tmp_path / str(number))
    located = locate(tmp_path)
    assert (located.path, located.version) == (tmp_path / "10", 10)
    assert located.chosen == "highest complete version"
    assert list_versions(tmp_path) == [10, 9, 2, 1]


def test_what_is_no_version_is_passed_over(tmp_path):
    export(tmp_path / "3")
    for name in ("007", "-5", "+6", "1.5", "99a", "٤٢", "10_0", ".43.tmp", "temp-44", "1e3"):
        export(tmp_path / name)
    (tmp_path / "50").write_bytes(b"a file")
    assert list_versions(tmp_path) == [3]
    assert locate(tmp_path).version == 3


def test_a_version_asked_for_is_taken(tmp_path):
    for number in (41, 42):
        export(tmp_path / str(number))
    located = locate(tmp_path, 41)
    assert (located.version, located.chosen) == (41, "--model-version")


def test_a_base_that_is_a_symbolic_link_is_resolved(tmp_path):
    export(tmp_path / "real" / "7")
    (tmp_path / "current").symlink_to("real")
    assert locate(tmp_path / "current").path == tmp_path / "real" / "7"
    (tmp_path / "real" / "8").symlink_to(export(tmp_path / "elsewhere"))
    assert locate(tmp_path / "current").path == tmp_path / "elsewhere"
    assert locate(tmp_path / "current").version == 8


def half_copied(path, how):
    if how == "empty":
        path.mkdir()
        return
    export(path, restores=how == "no variables", files=[])
    if how == "no pb":
        (path / "saved_model.pb").unlink()
    elif how == "half a pb":
        (path / "saved_model.pb").write_bytes((path / "saved_model.pb").read_bytes()[:-3])
    elif how == "no index":
        (path / "variables").mkdir()
        (path / "variables" / "variables.data-00000-of-00001").write_bytes(b"data")
    elif how == "half an index":
        (path / "variables").mkdir()
        (path / "variables" / "variables.index").write_bytes(b"\0" * 10)
    elif how == "half a card":
        card = path / "assets.extra" / "batchscore.json"
        card.write_bytes(card.read_bytes()[:-9])
    elif how == "an index that is a folder":
        (path / "variables" / "variables.index").mkdir(parents=True)


HALVES = ["empty", "no pb", "half a pb", "no index", "half an index", "half a card", "no variables",
          "an index that is a folder"]  # fmt: skip


@pytest.mark.parametrize("how", HALVES)
def test_a_highest_version_that_is_incomplete_is_skipped_and_said(tmp_path, how):
    export(tmp_path / "1")
    half_copied(tmp_path / "2", how)
    half_copied(tmp_path / "3", how)
    located = locate(tmp_path)
    assert located.version == 1
    assert located.chosen == "highest complete version (version(s) 3, 2 incomplete)"


@pytest.mark.parametrize("how", HALVES)
def test_an_incomplete_version_that_was_asked_for_is_refused(tmp_path, how):
    half_copied(tmp_path / "2", how)
    if how in ("half a pb", "half a card"):
        return  # the parsers of those name what is wrong with them
    assert "missing or short" in refused("E-MODEL-INCOMPLETE", tmp_path, 2)
    assert "missing or short" in refused("E-MODEL-INCOMPLETE", tmp_path)


FILES = [
    FileEntry(path="assets/words.txt", bytes=5),
    FileEntry(path="variables/variables.data-00000-of-00001", bytes=9),
]


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("gone", "assets/words.txt"),
        ("short", "assets/words.txt (4 bytes, expected 5)"),
        ("long", "assets/words.txt (6 bytes, expected 5)"),
    ],
)
def test_the_files_that_the_card_lists_must_be_there_in_their_size(tmp_path, change, missing):
    path = export(tmp_path / "model", files=FILES[:1])
    assert missing_files(path) == []
    words = path / "assets" / "words.txt"
    if change == "gone":
        words.unlink()
    else:
        words.write_bytes(b"x" * (4 if change == "short" else 6))
    assert missing_files(path) == [missing]
    assert missing in refused("E-MODEL-INCOMPLETE", path)


def test_nothing_at_all(tmp_path):
    message = refused("E-MODEL-MISSING", tmp_path / "none")
    assert str(tmp_path / "none") in message


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"x")
    assert "the model is a file" in refused("E-MODEL-NOT-SAVEDMODEL", tmp_path / "model.h5")


@pytest.mark.parametrize(("entries", "found"), [((), "an empty directory"), (("notes.txt", "a"), "a, notes.txt")])
def test_a_directory_of_other_things_is_no_model(tmp_path, entries, found):
    for name in entries:
        (tmp_path / name).touch()
    assert f"found:    {found}" in refused("E-MODEL-NOT-SAVEDMODEL", tmp_path)


@pytest.mark.parametrize(("numbers", "found"), [((), "no versions"), ((3, 1), r"version(s) 3, 1")])
def test_a_version_that_is_not_there_is_refused_with_those_that_are(tmp_path, numbers, found):
    for number in numbers:
        export(tmp_path / str(number))
    message = refused("E-MODEL-MISSING", tmp_path, 2)
    assert "there is no version 2" in message
    assert f"found:    {found}" in message
    assert ("give --model-version one of these" in message) == bool(numbers)


def test_a_path_that_cannot_be_looked_at_is_missing(tmp_path):
    refused("E-MODEL-MISSING", tmp_path / ("x" * 300))
    (tmp_path / "loop").symlink_to("loop")
    refused("E-MODEL-MISSING", tmp_path / "loop")


def test_a_file_of_the_model_that_cannot_be_read_is_named(tmp_path):
    path = export(tmp_path / "model")
    (path / "saved_model.pb").unlink()
    os.mkfifo(path / "saved_model.pb")
    assert "saved_model.pb" in refused("E-MODEL-INCOMPLETE", path)


def test_a_first_training_that_was_refused_is_told_as_that(tmp_path):
    base = tmp_path / "model"
    (base / REPORTS).mkdir(parents=True)
    (base / LOCK).touch()
    assert "a training or an adoption under way, or one that was stopped" in refused("E-MODEL-MISSING", base)
    report = base / REPORTS / FAILED_REPORT
    report.touch()
    message = refused("E-MODEL-MISSING", base)
    assert "no version has been published yet: the last training was refused or failed" in message
    assert f"found:    its report: {report}" in message
    export(base / "1")
    assert locate(base).version == 1
