"""What may stand in the place of a model's files: each fault is a refusal in words, and none is waited for."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from batchscore.errors import ModelError
from batchscore.inspection.inspection import inspect_model
from batchscore.savedmodel.chosen import choose_scoring
from batchscore.savedmodel.model_files import list_model_files, readable_model
from batchscore.savedmodel.saved_model import read_saved_model

ECHO = Path(__file__).parents[1] / "models" / "echo" / "1"
CARD = Path("assets.extra") / "batchscore.json"


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def device(path):
    path.unlink()
    path.symlink_to(os.devnull)


def loop(path):
    path.unlink()
    path.symlink_to(path)


def huge(path):
    os.truncate(path, 2**41)  # sparse


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


FAULTS = {
    "saved_model.pb": {
        pipe: "E-MODEL-INCOMPLETE", folder: "E-MODEL-INCOMPLETE", device: "E-MODEL-INCOMPLETE",
        loop: "E-MODEL-NOT-SAVEDMODEL", huge: "E-MODEL-UNREADABLE", zeros: "E-MODEL-NOT-SAVEDMODEL",
    },
    "variables/variables.index": {
        pipe: "E-MODEL-INCOMPLETE", folder: "E-MODEL-INCOMPLETE", device: "E-MODEL-INCOMPLETE",
        loop: "E-MODEL-INCOMPLETE", huge: "E-MODEL-INCOMPLETE", zeros: "E-MODEL-INCOMPLETE",
    },
    "variables/variables.data-00000-of-00001": {
        pipe: "E-MODEL-INCOMPLETE", folder: "E-MODEL-INCOMPLETE", device: "E-MODEL-INCOMPLETE",
        loop: "E-MODEL-INCOMPLETE",
    },
    "assets.extra/batchscore.json": {
        pipe: "E-MODEL-CARD", folder: "E-MODEL-CARD", device: "E-MODEL-CARD", loop: "E-MODEL-CARD",
        huge: "E-MODEL-CARD", zeros: "E-MODEL-CARD",
    },
}  # fmt: skip


@pytest.fixture
def model(tmp_path):
    return Path(shutil.copytree(ECHO, tmp_path / "model"))


def refused(model):
    with pytest.raises(ModelError) as caught:
        read_saved_model(model)
    assert caught.value.exit_code == 4
    return caught.value


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name, faults in FAULTS.items() for fault in faults],
    ids=lambda value: getattr(value, "__name__", value),
)  # fmt: skip
def test_whatever_stands_in_the_place_of_a_file_is_refused_at_once(model, name, fault):
    fault(model / name)
    assert refused(model).error_id == FAULTS[name][fault]


def test_a_pipe_in_the_place_of_a_card_is_named(model):
    pipe(model / CARD)
    assert "the model card cannot be read: it is a named pipe, not a file" in str(refused(model))


@pytest.mark.parametrize("path", ["a\0b", "", "/etc/passwd", "../other/saved_model.pb", "variables/../../x"])
def test_a_card_lists_only_files_inside_its_model(model, path):
    card = json.loads((model / CARD).read_bytes())
    card["files"] = [{"path": path, "bytes": 1}]
    (model / CARD).write_text(json.dumps(card), "utf-8")
    error = refused(model)
    assert error.error_id == "E-MODEL-CARD"
    assert "must name a file inside the model's directory" in str(error)


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"training": ' + b'{"a":' * 100_000, b'{"signature": "\\ud800"}', b"NaN"],
    ids=["empty", "not UTF-8", "deep list", "deep object", "half a character", "no object"],
)
def test_a_card_of_any_bytes_is_refused_in_words(model, text):
    (model / CARD).write_bytes(text)
    assert refused(model).error_id == "E-MODEL-CARD"


def deny(monkeypatch, denied):
    """Root may read everything: the system's refusal is what is replaced."""
    scandir, open_, stat = os.scandir, os.open, os.stat

    def refuse(call):
        def replaced(path, *arguments, **named):
            if not isinstance(path, int) and (Path(path) == denied or denied in Path(path).parents):
                raise PermissionError(13, "Permission denied", str(path))
            return call(path, *arguments, **named)

        return replaced

    monkeypatch.setattr(os, "scandir", refuse(scandir))
    monkeypatch.setattr(os, "open", refuse(open_))
    return lambda: monkeypatch.setattr(os, "stat", refuse(stat))


@pytest.mark.parametrize("look", [read_saved_model, inspect_model])
@pytest.mark.parametrize(
    "name",
    [
        "saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001", "variables",
        "assets.extra", "assets.extra/batchscore.json",
    ],
)  # fmt: skip
def test_a_file_or_folder_that_may_not_be_read_is_named(model, name, look, monkeypatch):
    deny(monkeypatch, model / name)
    with pytest.raises(ModelError) as caught:
        look(model)
    assert caught.value.error_id == "E-MODEL-UNREADABLE"
    assert "Permission denied" in str(caught.value)
    assert "check owner and permissions" in str(caught.value)
    assert str(model / name) in str(caught.value) or name in str(caught.value)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.data-00000-of-00001", "assets.extra"])
def test_a_newest_version_that_may_not_be_read_is_not_called_incomplete(tmp_path, name, monkeypatch):
    for version in ("1", "2"):
        shutil.copytree(ECHO, tmp_path / version)
    deny(monkeypatch, tmp_path / "2" / name)
    saved = read_saved_model(tmp_path)
    assert (saved.version, saved.chosen) == (
        1, "highest complete version (version(s) 2 cannot be read (Permission denied))",
    )  # fmt: skip
    assert "version 2 of the model cannot be read (Permission denied): scoring with version 1" in (
        choose_scoring(saved).warnings
    )
    versions = inspect_model(tmp_path).versions
    assert [(item.number, item.complete, item.missing) for item in versions] == [(2, False, []), (1, True, [])]
    assert str(versions[0].unreadable).endswith("(Permission denied)")


def test_reasons_are_told_with_their_versions(tmp_path, monkeypatch):
    for version in ("1", "2", "3", "4"):
        shutil.copytree(ECHO, tmp_path / version)
    (tmp_path / "3" / "saved_model.pb").unlink()
    deny(monkeypatch, tmp_path / "2")
    assert read_saved_model(tmp_path, 4).version == 4
    (tmp_path / "4" / "variables" / "variables.index").unlink()
    assert read_saved_model(tmp_path).chosen == (
        "highest complete version (version(s) 4, 3 incomplete, version(s) 2 cannot be read (Permission denied))"
    )


def test_where_no_version_may_be_read_that_is_what_is_wrong(model, monkeypatch, tmp_path):
    (tmp_path / "base").mkdir()
    model.rename(tmp_path / "base" / "1")
    deny(monkeypatch, tmp_path / "base" / "1" / "variables")
    assert refused(tmp_path / "base").error_id == "E-MODEL-UNREADABLE"


def test_a_model_below_a_folder_that_may_not_be_searched_is_not_called_missing(model, monkeypatch):
    deny(monkeypatch, model)()
    assert refused(model).error_id == "E-MODEL-UNREADABLE"


def test_no_folder_is_passed_over(model, monkeypatch):
    files = list_model_files(model)
    assert {path.relative_to(model).as_posix() for path in files} >= {"saved_model.pb", CARD.as_posix()}
    deny(monkeypatch, model / "variables")
    with pytest.raises(PermissionError):
        list_model_files(model)


def test_memory_that_runs_out_is_not_called_an_unreadable_model(tmp_path):
    with pytest.raises(OSError, match="Cannot allocate memory"), readable_model(tmp_path):
        raise OSError(12, "Cannot allocate memory")
