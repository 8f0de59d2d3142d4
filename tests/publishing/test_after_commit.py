"""Whatever fails after a version's rename: it is published, nothing is raised, and the next one finds its way."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from batchscore.errors import OutputError
from batchscore.publishing.model_base import EVALUATED, hold_model_base
from batchscore.savedmodel.versions import HIGHEST_VERSION, LOCK


def publish(path, keep=1):
    with hold_model_base(path) as base:
        (base.incoming / "saved_model.pb").write_text(f"model {base.next_version}")
        base.incoming_evaluated.mkdir(parents=True)
        (base.incoming_evaluated / "saved_model.pb").write_text("evaluated")
        base.training.mkdir(exist_ok=True)
        published = base.publish()
        base.remove_old_versions(keep)
        base.forget_training()
    return published


def test_each_call_after_the_commit_may_fail(tmp_path, failpoints, caplog):
    path = tmp_path / "model"

    def begin_anew():
        shutil.rmtree(path, ignore_errors=True)
        publish(path)
        assert publish(path).name == "2"

    def verify():
        assert (path / "2" / "saved_model.pb").read_text() == "model 2"

    failed = failpoints.fail_each_call_after(lambda target: target == path / "2", begin_anew, verify)
    assert len(failed) > 20
    assert any("fsync" in call for call in failed)
    assert "but may not survive a power cut: Input/output error" in caplog.text
    assert publish(path).name == "3"
    assert sorted(entry.name for entry in path.iterdir())[:2] == [EVALUATED, LOCK]


@pytest.mark.parametrize("call", ["mkdir", "open", "fsync", "rename", "replace"])
def test_a_call_that_fails_before_leaves_nothing(tmp_path, monkeypatch, call):
    path = tmp_path / "model"
    real = getattr(os, call)

    def fail(*arguments, **options):
        if call == "fsync" or str(arguments[0]).startswith(str(path)):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OutputError) as caught:
            publish(path)
    assert caught.value.error_id == "E-OUTPUT"
    left = [entry.name for entry in path.iterdir()] if path.exists() else []
    assert set(left) <= {LOCK, HIGHEST_VERSION, EVALUATED, ".batchscore.training"}
    assert publish(path).name.isdecimal()
