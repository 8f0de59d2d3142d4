"""A cache of plans is used only where nobody else can put a plan into it."""

from __future__ import annotations

import os
import stat

import pytest

from batchscore.planning.plan import NotPlanned
from batchscore.planning.plan_cache import make_cache_folder, read_cached_plan, require_own_cache
from batchscore.planning.plan_file import PLAN_FILE, write_plan

PLAN = NotPlanned("serving_default", "score", "layer/Softmax (Softmax): it normalises", "2.21.0")


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "cache" / "plans" / "key"
    make_cache_folder(found)
    write_plan(found, PLAN)
    return found


def test_it_is_made_for_the_user_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        make_cache_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    for name in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    make_cache_folder(tmp_path / "a" / "b" / "c")


def test_a_plan_in_it_is_read(folder):
    assert read_cached_plan(folder) == PLAN
    assert read_cached_plan(folder.parent / "other") is None
    (folder / PLAN_FILE).unlink()
    assert read_cached_plan(folder) is None


def test_the_cache_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder.parent)
    assert read_cached_plan(tmp_path / "link" / "key") == PLAN


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("place", ["the cache", "the folder", "the file"])
def test_what_others_may_write_to_is_not_read(folder, place, mode):
    path = {"the cache": folder.parent, "the folder": folder, "the file": folder / PLAN_FILE}[place]
    path.chmod(path.stat().st_mode | mode)
    with pytest.raises(PermissionError, match="others may write to it: chmod go-w") as caught:
        read_cached_plan(folder)
    assert caught.value.filename == str(path)
    if place != "the file":
        with pytest.raises(PermissionError, match="chmod go-w"):
            require_own_cache(folder)


@pytest.mark.parametrize("place", ["the cache", "the folder", "the file"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_not_read(folder, place):
    path = {"the cache": folder.parent, "the folder": folder, "the file": folder / PLAN_FILE}[place]
    os.chown(path, 12345, -1)
    with pytest.raises(PermissionError, match="belongs to user 12345"):
        read_cached_plan(folder)


@pytest.mark.parametrize("place", ["the folder", "the file"])
def test_a_link_in_it_is_not_followed(folder, place):
    path = folder if place == "the folder" else folder / PLAN_FILE
    moved = folder.parent / "moved"
    path.rename(moved)
    path.symlink_to(moved)
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        read_cached_plan(folder)


@pytest.mark.parametrize("kind", ["a pipe", "a folder"])
def test_what_is_no_file_is_not_read(folder, kind):
    (folder / PLAN_FILE).unlink()
    if kind == "a pipe":
        os.mkfifo(folder / PLAN_FILE)
    else:
        (folder / PLAN_FILE).mkdir()
    with pytest.raises(OSError, match=r"not a file|Is a directory"):
        read_cached_plan(folder)
