from __future__ import annotations

import datetime as dt
import fcntl
import os
import signal
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from batchscore.errors import OutputError, TryLaterError
from batchscore.publishing.claim import claim
from batchscore.publishing.job import Job
from batchscore.publishing.model_base import EVALUATED, INCOMING, REMOVED, hold_model_base
from batchscore.savedmodel.card import CARD_PATH, ModelCard, Probes, write_card
from batchscore.savedmodel.versions import HIGHEST_VERSION, LOCK
from batchscore.settings.paths import DatedPath


def publish(path, content="model"):
    with hold_model_base(path) as base:
        (base.incoming / "saved_model.pb").write_text(content)
        (base.incoming / "variables").mkdir()
        (base.incoming / "variables" / "data").write_text(content)
        return base.publish()


def test_versions_count_up_from_one_in_a_new_directory(tmp_path):
    path = tmp_path / "model"
    assert [publish(path).name for _ in range(3)] == ["1", "2", "3"]
    assert sorted(entry.name for entry in path.iterdir()) == [LOCK, HIGHEST_VERSION, "1", "2", "3"]


def test_a_directory_behind_a_link_is_one_like_any_other(tmp_path):
    (tmp_path / "releases" / "42").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/42")
    assert publish(tmp_path / "current") == tmp_path / "current" / "1"
    publish(tmp_path / "current" / "model")
    assert (tmp_path / "releases" / "42" / "model" / "1" / "saved_model.pb").exists()


def test_the_version_is_one_above_the_highest_that_ever_was(tmp_path):
    path = tmp_path / "model"
    publish(path)
    (path / "41").mkdir()
    (path / "41" / "saved_model.pb").touch()
    (path / "notes").mkdir()
    assert publish(path).name == "42"
    for name in ("41", "42"):
        (path / name / "saved_model.pb").unlink()
    for folder in (path / "42" / "variables", path / "42", path / "41"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert publish(path).name == "43"


@pytest.mark.parametrize("written", ["ranked.parquet", "r-{date}.parquet", "dt={date}/ranked.parquet"])
def test_a_directory_with_outputs_of_runs_takes_no_versions(tmp_path, written, lists_of_a_loop):
    job = Job(DatedPath(tmp_path / written, dt.date(2026, 11, 28)))
    with claim(job):
        job.path.write_bytes(lists_of_a_loop)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=r"E-OUTPUT: the directory holds outputs of `batchscore run`") as refused:
        publish(tmp_path, "first")
    assert f"found:    {job.path}\n" in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before
    job.path.unlink()
    publish(tmp_path, "first")


def test_whoever_may_read_the_directory_may_read_the_version(tmp_path):
    umask = os.umask(0o022)
    try:
        published = publish(tmp_path / "model")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(published.stat().st_mode) == 0o755


def test_what_is_not_published_leaves_nothing(tmp_path):
    path = tmp_path / "model"
    publish(path)
    with hold_model_base(path) as base:
        (base.incoming / "saved_model.pb").write_text("half")
    assert sorted(entry.name for entry in path.iterdir()) == [LOCK, HIGHEST_VERSION, "1"]


DIE_WHILE_HOLDING = """
import os, signal, sys
from pathlib import Path
from batchscore.publishing.model_base import hold_model_base

with hold_model_base(Path(sys.argv[1])) as base:
    (base.incoming / "saved_model.pb").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_trainer_left_is_removed(tmp_path):
    path = tmp_path / "model"
    process = subprocess.run([sys.executable, "-c", DIE_WHILE_HOLDING, str(path)], timeout=60, check=False)
    assert process.returncode == -signal.SIGKILL
    assert (path / INCOMING / "saved_model.pb").read_text() == "half"
    assert publish(path, "whole").name == "1"
    assert (path / "1" / "saved_model.pb").read_text() == "whole"
    assert not (path / INCOMING).exists()


def test_two_at_once_one_wins_and_the_other_touches_nothing(tmp_path):
    path = tmp_path / "model"
    with hold_model_base(path) as base:
        (base.incoming / "saved_model.pb").write_text("winner")
        with pytest.raises(TryLaterError) as caught, hold_model_base(path):
            pass
        assert caught.value.error_id == "E-LOCKED"
        assert caught.value.exit_code == 75
        base.publish()
    assert (path / "1" / "saved_model.pb").read_text() == "winner"
    assert publish(path).name == "2"


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError) as caught, hold_model_base(path):
        pass
    assert caught.value.exit_code == 5
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", ["file", "below nothing", "savedmodel", "bad record"])
def test_directories_that_cannot_be_used(tmp_path, kind):
    path = tmp_path / "model"
    if kind == "file":
        path.touch()
    elif kind == "below nothing":
        path = tmp_path / "typo" / "model"
    elif kind == "savedmodel":
        path.mkdir()
        (path / "saved_model.pb").touch()
    else:
        path.mkdir()
        (path / HIGHEST_VERSION).write_text("many\n")
    with pytest.raises(OutputError) as caught, hold_model_base(path):
        pass
    assert caught.value.error_id == "E-OUTPUT"
    assert str(path) in str(caught.value)
    assert ("next:     make it: mkdir -p " in str(caught.value)) == (kind == "below nothing")
    assert not (tmp_path / "typo").exists()


def test_everything_is_on_disk_before_the_rename_and_the_rename_after_it(tmp_path, monkeypatch):
    path, done = tmp_path / "model", []
    real_fsync, real_rename = os.fsync, type(path).rename

    def fsync(handle):
        target = Path(f"/proc/self/fd/{handle}").readlink()
        done.append(("sync", target.relative_to(path).as_posix()))
        real_fsync(handle)

    def rename(source, target):
        done.append(("rename", target.name))
        return real_rename(source, target)

    publish(path)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(type(path), "rename", rename)
    publish(path)
    commit = done.index(("rename", "2"))
    files = {("sync", f"{INCOMING}{name}") for name in ("", "/saved_model.pb", "/variables", "/variables/data")}
    assert files <= set(done[:commit])
    assert done[commit + 1 :] == [("sync", ".")]


def test_a_fault_at_any_fsync_leaves_the_old_version_and_publishes_the_new_one_whole_or_not_at_all(
    tmp_path, monkeypatch
):
    real_fsync, faults = os.fsync, 0
    while True:
        path = tmp_path / str(faults)
        publish(path, "old")
        calls = iter(range(1000))

        def fsync(handle, calls=calls, faults=faults):
            if next(calls) == faults:
                raise OSError(5, "Input/output error")
            real_fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            try:
                publish(path, "new")
                published = True
            except OutputError:
                published = False
        assert (path / "1" / "variables" / "data").read_text() == "old"
        assert (path / "2").exists() == published
        if published:
            assert (path / "2" / "variables" / "data").read_text() == "new"
        assert not (path / INCOMING).exists()
        assert int(publish(path, "next").name) >= 2
        if next(calls) <= faults:
            break
        faults += 1
    assert faults >= 7


def publish_ours(path, keep, made_with="batchscore"):
    """Publish a version with a card and remove old ones. Those removed."""
    with hold_model_base(path) as base:
        (base.incoming / "saved_model.pb").write_text("model")
        card = ModelCard(
            signature="s", score_output="score", probes=Probes(inputs={}, scores=[1.0]), made_with={made_with: "1"}
        )
        write_card(base.incoming, card)
        base.publish()
        return base.remove_old_versions(keep)


def versions(path):
    return sorted(int(entry.name) for entry in path.iterdir() if entry.name.isdecimal())


def test_versions_beyond_those_to_keep_go_and_the_one_just_published_never(tmp_path):
    path = tmp_path / "model"
    assert [publish_ours(path, keep=9) for _ in range(4)] == [[]] * 4
    assert publish_ours(path, keep=2) == [1, 2, 3]
    assert publish_ours(path, keep=1, made_with="adopted_with") == [4, 5]
    assert versions(path) == [6]
    assert not (path / REMOVED).exists()


def test_only_versions_of_ours_are_counted_and_removed(tmp_path):
    path = tmp_path / "model"
    publish(path)
    publish_ours(path, keep=9, made_with="somebody else")
    publish_ours(path, keep=9)
    (path / "notes").mkdir()
    (path / "007").mkdir()
    (path / "5").mkdir()
    (path / "5" / CARD_PATH.parent).mkdir()
    (path / "5" / CARD_PATH).write_text("no card")
    assert publish_ours(path, keep=1) == [3]
    assert versions(path) == [1, 2, 5, 7, 8]
    assert (path / "notes").is_dir()


def test_a_version_that_cannot_be_removed_is_a_warning(tmp_path, monkeypatch, caplog):
    path = tmp_path / "model"
    publish_ours(path, keep=9)
    real = type(path).rename

    def rename(source, target):
        if source.name == "1":
            raise OSError(13, "Permission denied")
        return real(source, target)

    monkeypatch.setattr(type(path), "rename", rename)
    assert publish_ours(path, keep=1) == []
    assert versions(path) == [1, 2]
    assert "version 1 is old, but cannot be removed" in caplog.text


def test_a_version_whose_removal_was_cut_off_is_gone_and_cleaned_up_by_the_next(tmp_path):
    path = tmp_path / "model"
    publish_ours(path, keep=9)
    (path / REMOVED).mkdir()
    (path / "1").rename(path / REMOVED / "1")
    assert publish(path).name == "2"
    assert not (path / REMOVED).exists()


def test_the_model_a_version_was_judged_by_stands_beside_it_until_the_next_one(tmp_path):
    path = tmp_path / "model"
    for version in ("1", "2"):
        with hold_model_base(path) as base:
            (base.incoming / "saved_model.pb").write_text("refitted")
            base.incoming_evaluated.mkdir(parents=True)
            (base.incoming_evaluated / "saved_model.pb").write_text(f"judged {version}")
            base.publish()
        assert [entry.name for entry in (path / EVALUATED).iterdir()] == [version]
        assert (path / EVALUATED / version / "saved_model.pb").read_text() == f"judged {version}"
    publish(path)
    assert list((path / EVALUATED).iterdir()) == []


def test_a_directory_that_was_made_for_nothing_is_removed(tmp_path):
    path = tmp_path / "model"
    with hold_model_base(path):
        pass
    assert not path.exists()
    path.mkdir()
    with hold_model_base(path):
        pass
    assert path.is_dir()


@pytest.mark.parametrize("third", [True, False])
def test_a_lock_that_went_with_its_directory_holds_nothing(tmp_path, monkeypatch, third):
    flock = fcntl.flock
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(hold_model_base(tmp_path / "base"))

        def lock_after_the_first_has_gone(*arguments):
            monkeypatch.setattr(fcntl, "flock", flock)
            first.close()
            if third:
                stack.enter_context(hold_model_base(tmp_path / "base"))
            flock(*arguments)

        monkeypatch.setattr(fcntl, "flock", lock_after_the_first_has_gone)
        with pytest.raises(TryLaterError), hold_model_base(tmp_path / "base"):
            pass
        assert (tmp_path / "base" / INCOMING).exists() == third
