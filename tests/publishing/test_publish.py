"""Publishing: whole or not at all, one run at a time, and the last good file survives every failure."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore.errors import OutputError, TryLaterError, UsageError
from batchscore.publishing.claim import claim
from batchscore.publishing.job import Job
from batchscore.publishing.previous import PreviousOutputs
from batchscore.publishing.records import identify, is_output
from batchscore.publishing.rollback import rollback
from batchscore.report_parts import Output
from batchscore.run_report import Report
from batchscore.settings.paths import DatedPath
from batchscore.settings.run import RunSettings
from batchscore.system.disk import cannot_write, keep_access

OLD = b"last night's file"


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "ranked.parquet"


def writer(rows=3, start=0):
    def write(path):
        users = pa.array(range(start, start + rows))
        pq.write_table(pa.table({"user": users, "item": users, "score": users.cast(pa.float32())}), path)

    return write


def claimed(output, state_dir=None, reads=Path("/none/pairs.parquet")):
    return claim(Job(DatedPath(output), state_dir), reads)


def publish(output, start=0, *, keep=1, report=True, state_dir=None):
    """One whole publication, as the run does it."""
    with claimed(output, state_dir) as ours:
        done = ours.publish(writer(start=start), 3, keep_replaced=keep > 0, committing=lambda: None)
        ours.settle(a_report(done, start), keep)
        if not report:
            ours.report_path.unlink()
    return done


def a_report(done=None, rows=0, error=None):
    report = Report.begin(RunSettings(input="i", output="o"))
    report.output, report.rows_written = done, rows
    report.end(error)
    return report


def first_user(path):
    return pq.read_table(path)["user"][0].as_py()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail(error):
    def failing(*_args, **_kwargs):
        raise error

    return failing


def no_space(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# success


def test_the_file_appears_with_its_size_digest_and_rows(output):
    done = publish(output)
    assert names(output.parent) == [".ranked.parquet.lock", "_batchscore", "ranked.parquet"]
    assert names(output.parent / "_batchscore") == ["ranked.parquet.report.json"]
    status = output.stat()
    assert done == Output(
        path=str(output), rows=3, bytes=status.st_size, sha256=_sha256(output), file_id=identify(status)
    )


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read(output, umask, mode):
    before = os.umask(umask)
    try:
        publish(output)
    finally:
        os.umask(before)
    assert stat.S_IMODE(output.stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_an_output_that_is_replaced_keeps_its_mode(output, mode):
    publish(output, start=1)
    output.chmod(mode)
    with claimed(output) as ours:
        assert stat.S_IMODE(ours.temporary.stat().st_mode) == 0o600, "nobody reads it while it is written"
        ours.settle(a_report(ours.publish(writer(start=2), 3, keep_replaced=True, committing=lambda: None)), 1)
        assert stat.S_IMODE(ours.park(writer(start=3)).stat().st_mode) == mode
    assert stat.S_IMODE(output.stat().st_mode) == mode
    rollback(output)
    assert (first_user(output), stat.S_IMODE(output.stat().st_mode)) == (1, mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_output_that_is_replaced_keeps_its_owner(output):
    publish(output, start=1)
    os.chown(output, 12345, 23456)
    publish(output, start=2)
    assert (output.stat().st_uid, output.stat().st_gid) == (12345, 23456)


def test_an_owner_that_may_not_be_kept_is_no_failure(output, monkeypatch):
    publish(output, start=1)
    told = output.stat()
    other = os.stat_result([*told[:4], told.st_uid + 1, *told[5:]])
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **how: other if path == output else real(path, **how))
    monkeypatch.setattr(os, "fchown", fail(PermissionError(errno.EPERM, "Operation not permitted")))
    with (output.parent / "new").open("wb") as file:
        keep_access(file.fileno(), output)
    monkeypatch.undo()
    assert stat.S_IMODE((output.parent / "new").stat().st_mode) == stat.S_IMODE(told.st_mode)


def test_order_of_steps_is_flush_commit_flush_report(output, monkeypatch):
    steps = []
    real_fsync, real_replace, real_link = os.fsync, os.replace, os.link

    def fsync(descriptor):
        steps.append(("fsync", os.path.realpath(f"/proc/self/fd/{descriptor}")))
        real_fsync(descriptor)

    def replace(source, target, **how):
        steps.append(("rename", os.fspath(target)))
        real_replace(source, target, **how)

    publish(output)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "link", lambda *paths: (steps.append(("link", os.fspath(paths[0]))), real_link(*paths)))
    with claimed(output) as ours:
        temporary = str(ours.temporary)
        done = ours.publish(
            writer(start=2), 3, keep_replaced=True, committing=lambda: steps.append(("committing", ""))
        )
        ours.settle(a_report(done), 1)
    order = [
        ("fsync", temporary),
        ("link", str(output)),
        ("fsync", str(ours.state)),
        ("committing", ""),
        ("rename", str(output)),
        ("fsync", str(output.parent)),
        ("rename", str(ours.previous.path(1))),
        ("rename", str(ours.report_path)),
        ("fsync", str(ours.state)),
    ]
    assert [step for step in steps if step in order] == order
    committing = steps.index(("committing", ""))
    assert steps[committing + 1] == ("rename", str(output)), "nothing stands between the last word and the commit"


# failures before the commit point


def deleting_writer(path):
    """As pyarrow does: the target is gone after a write that failed."""
    path.write_bytes(b"PAR1")
    path.unlink()
    no_space()


FAILURES = {
    "write": {"write": no_space},
    "write, target deleted": {"write": deleting_writer},
    "rows on disk": {"rows": 4},
    "fsync": {"broken": "fsync"},
    "link": {"broken": "link"},
    "rename": {"broken": "replace"},
    "stop at the last moment": {"committing": fail(KeyboardInterrupt), "expected": KeyboardInterrupt},
}


@pytest.mark.parametrize("start", [7, None], ids=["published before", "first run"])
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_whatever_fails_before_the_commit_the_old_file_stays_and_no_rest_is_left(
    output, monkeypatch, failure, start
):
    output.with_name("neighbour").write_bytes(OLD)
    if start is not None:
        publish(output, start=start, keep=0)
    before = output.read_bytes() if start is not None else None
    expected = failure.get("expected", OutputError)
    if failure.get("broken") == "link" and before is None:
        expected = None  # nothing is kept on a first run
    with monkeypatch.context() as broken:
        if "broken" in failure:
            broken.setattr(os, failure["broken"], no_space)
        with pytest.raises(expected) if expected else nullcontext() as caught, claimed(output) as ours:
            ours.publish(
                failure.get("write", writer(start=50)),
                failure.get("rows", 3),
                keep_replaced=True,
                committing=failure.get("committing", lambda: None),
            )
    assert names(output.parent) == sorted(
        {".ranked.parquet.lock", "_batchscore", "neighbour"} | ({output.name} if output.exists() else set())
    )
    if expected is None:
        return
    assert (output.read_bytes() if output.exists() else None) == before
    if expected is OutputError:
        assert caught.value.error_id == "E-OUTPUT"
        assert str(output) in str(caught.value)
    publish(output, start=60)
    assert first_user(output) == 60


def test_a_full_disk_says_so_and_what_to_do(output):
    with pytest.raises(OutputError) as caught, claimed(output) as ours:
        ours.publish(no_space, 3, keep_replaced=True, committing=lambda: None)
    assert "No space left on device" in str(caught.value)
    assert "free space on this file system" in str(caught.value)


def test_memory_running_out_is_no_output_error(output):
    with pytest.raises(MemoryError), claimed(output) as ours:
        ours.publish(fail(pa.ArrowMemoryError("malloc")), 3, keep_replaced=True, committing=lambda: None)


class _Killed(BaseException):
    pass


STEPS = ("link", "unlink", "replace", "fsync")


def die_at(monkeypatch, step, error=_Killed):
    """Every step on the disk from the `step`-th on raises `error`."""
    counted = iter(range(1, 10_000))

    def dying(real):
        def call(*arguments, **named):
            if next(counted) >= step:
                raise error
            return real(*arguments, **named)

        return call

    for name in STEPS:
        monkeypatch.setattr(os, name, dying(getattr(os, name)))


def kept(output):
    """The kept outputs, newest first; the report of each is its own, or lost."""
    found = PreviousOutputs(output.parent / "_batchscore", output.name)
    nights = [first_user(found.path(age)) for age in found.ages()]
    for age, night in zip(found.ages(), nights, strict=True):
        assert not found.report_path(age).exists() or rows_in(found.report_path(age)) == night
    return nights


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("error", [_Killed, OSError(errno.EIO, "Input/output error")], ids=["killed", "EIO"])
@pytest.mark.parametrize("step", range(1, 26))
def test_whatever_fails_on_the_way_every_kept_output_is_there_until_the_new_one_is_published(
    output, monkeypatch, step, error, keep
):
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # slow, and counted all the same
    for night in (1, 2, 3):
        publish(output, start=night, keep=2)
    with monkeypatch.context() as broken, suppress(_Killed, OutputError):
        die_at(broken, step, error)
        publish(output, start=4, keep=keep)
    if first_user(output) == 3:
        assert kept(output) == [2, 1]
    with claimed(output) as ours:
        assert ours.find_report().report is None or ours.find_report().report.rows_written == first_user(output)
    assert {*kept(output)} >= set(range(4 - keep, 4)) - {first_user(output)}
    publish(output, start=5, keep=2)
    assert kept(output) in ([3, 2], [4, 3])
    assert not list(output.parent.rglob("*previous-0*"))


# after the commit point


def test_a_directory_behind_a_link_is_flushed(tmp_path, caplog):
    (tmp_path / "releases" / "42").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/42")
    publish(tmp_path / "current" / "ranked.parquet")
    assert (tmp_path / "releases" / "42" / "ranked.parquet").exists()
    assert caplog.text == ""


def test_a_directory_that_cannot_be_flushed_only_warns(output, monkeypatch, caplog):
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: no_space() if stat.S_ISDIR(os.fstat(fd).st_mode) else real(fd))
    publish(output, start=9)
    assert first_user(output) == 9
    assert "could not be flushed" in caplog.text


def test_a_report_that_cannot_be_written_only_warns(output, caplog):
    publish(output, report=False)
    (output.parent / "_batchscore" / "ranked.parquet.report.json").mkdir()
    publish(output, start=4)
    assert first_user(output) == 4
    assert "report" in caplog.text
    assert "could not be written" in caplog.text


def test_a_failure_is_recorded_without_touching_the_report_of_the_published_file(output):
    publish(output, start=1)
    state = output.parent / "_batchscore"
    before = (state / "ranked.parquet.report.json").read_bytes()
    with claimed(output) as ours:
        ours.record(a_report(error=OutputError("E-OUTPUT", "w", next_step="n")))
    assert (state / "ranked.parquet.report.json").read_bytes() == before
    assert json.loads((state / "ranked.parquet.failed.json").read_text())["error_id"] == "E-OUTPUT"


def test_a_success_clears_the_last_failure(output):
    with claimed(output) as ours:
        ours.record(a_report(error=OutputError("E-OUTPUT", "w", next_step="n")))
        ours.rejects_path(failed=True).write_text("{}\n")
    publish(output)
    assert names(output.parent / "_batchscore") == ["ranked.parquet.report.json"]


# previous outputs


def previous(output, age, suffix=""):
    return output.parent / "_batchscore" / f"ranked.parquet.previous-{age}{suffix}"


def rows_in(report):
    return json.loads(report.read_text())["rows_written"]


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_the_last_outputs_are_kept_with_their_reports(output, keep):
    for start in range(1, 5):
        publish(output, start=start, keep=keep)
    assert first_user(output) == 4
    for age in (1, 2, 3):
        assert previous(output, age).exists() == previous(output, age, ".report.json").exists() == (age <= keep)
        if age <= keep:
            assert first_user(previous(output, age)) == 4 - age
            assert rows_in(previous(output, age, ".report.json")) == 4 - age


def test_the_previous_output_is_the_very_file(output):
    publish(output)
    inode = output.stat().st_ino
    publish(output, start=2)
    assert previous(output, 1).stat().st_ino == inode


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS])
def test_where_no_hard_link_can_be_made_the_previous_output_is_a_copy(output, monkeypatch, code):
    publish(output, start=1)
    monkeypatch.setattr(os, "link", fail(OSError(code, os.strerror(code))))
    publish(output, start=2)
    assert first_user(previous(output, 1)) == 1
    assert rows_in(previous(output, 1, ".report.json")) == 1


def test_an_output_whose_report_was_lost_does_not_inherit_another_one(output, monkeypatch):
    publish(output, start=1, keep=2)
    publish(output, start=2, keep=2)
    with claimed(output) as ours:
        done = ours.publish(writer(start=3), 3, keep_replaced=True, committing=lambda: None)
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", no_space)
            ours.record(a_report(done, 3))
        assert ours.find_report().report is None
    publish(output, start=4, keep=2)
    assert [first_user(previous(output, age)) for age in (1, 2)] == [3, 2]
    assert not previous(output, 1, ".report.json").exists()
    assert rows_in(previous(output, 2, ".report.json")) == 2
    publish(output, start=5, keep=2)
    assert [first_user(previous(output, age)) for age in (1, 2)] == [4, 3]
    assert rows_in(previous(output, 1, ".report.json")) == 4
    assert not previous(output, 2, ".report.json").exists()


def test_a_run_killed_right_before_its_commit_does_not_push_the_previous_output_out(output):
    publish(output, start=1)
    publish(output, start=2)
    with pytest.raises(KeyboardInterrupt), claimed(output) as ours:
        ours.publish(writer(), 3, keep_replaced=True, committing=fail(KeyboardInterrupt))
    publish(output, start=3, keep=2)
    assert [first_user(path) for path in (output, previous(output, 1), previous(output, 2))] == [3, 2, 1]
    assert [rows_in(previous(output, age, ".report.json")) for age in (1, 2)] == [2, 1]


# the report of the published output


def test_the_report_of_the_published_output_is_found(output):
    publish(output, start=5)
    with claimed(output) as ours:
        assert ours.find_report().report.rows_written == 5


@pytest.mark.parametrize("case", ["no report", "no output", "another file", "not JSON", "another schema"])
def test_a_report_that_does_not_belong_to_the_output_is_not_believed(output, case):
    publish(output)
    report = output.parent / "_batchscore" / "ranked.parquet.report.json"
    if case == "no report":
        report.unlink()
    elif case == "no output":
        output.unlink()
    elif case == "another file":
        output.write_bytes(OLD)
    elif case == "not JSON":
        report.write_bytes(b"\xff{")
    else:
        report.write_text(json.dumps(json.loads(report.read_text()) | {"schema_version": 9}))
    with claimed(output) as ours:
        assert ours.find_report().report is None


def test_a_report_belongs_to_its_bytes_and_not_to_any_file_of_that_size(output, monkeypatch):
    done = publish(output, start=5)
    other = output.with_name("other.parquet")
    writer(start=6)(other)
    assert other.stat().st_size == done.bytes
    assert not is_output(done, other)
    shutil.copyfile(output, other)
    assert is_output(done, other)
    monkeypatch.setattr(hashlib, "file_digest", fail(AssertionError("the published file itself is not read")))
    assert is_output(done, output)
    assert not is_output(done.model_copy(update={"bytes": 1}), other)


def test_a_file_that_was_changed_in_place_is_another_one(output):
    done = publish(output)
    data = bytearray(output.read_bytes())
    data[len(data) // 2] ^= 1
    with output.open("rb+") as file:
        file.write(data)
    os.utime(output, ns=(0, output.stat().st_mtime_ns + 1))  # a clock may tick more slowly than this test
    assert not is_output(done, output)


# what dead runs left


def test_what_a_killed_run_of_this_output_left_is_cleared(output):
    state = output.parent / "_batchscore"
    state.mkdir()
    stale = [
        output.parent / ".ranked.parquet.0123abcd.tmp",
        *(state / f".ranked.parquet.{what}.tmp" for what in (
            "report.json", "failed.json", "rejects.jsonl", "failed.rejects.jsonl", "previous-1",
            "previous-12.report.json",
        )),
    ]  # fmt: skip
    for path in stale:
        path.write_bytes(b"half")
    with claimed(output):
        assert not [path for path in stale if path.exists()]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("ranked", "ranked.parquet"),
        ("a[1]", "a1"),
        ("a*", "ab.parquet"),
        ("a?", "ab"),
        ("r.parquet", "r.parquet.v2"),
        ("ranked", "ranked.0123abcd"),
    ],
)
def test_what_runs_of_other_outputs_are_writing_is_left_alone(tmp_path, ours, theirs):
    state = tmp_path / "_batchscore"
    state.mkdir()
    foreign = [tmp_path / f".{theirs}.0123abcd.tmp", tmp_path / f".{ours}.notes.tmp", tmp_path / f".{ours}.tmp"]
    foreign += [state / f".{theirs}.{what}.tmp" for what in ("report.json", "previous-1", "rejects.jsonl")]
    own = [tmp_path / f".{ours}.89abcdef.tmp", state / f".{ours}.report.json.tmp"]
    for path in foreign + own:
        path.write_bytes(b"in use")
    with claimed(tmp_path / ours):
        assert all(path.exists() for path in foreign)
        assert not any(path.exists() for path in own)


# the lock

HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDONLY | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_that_another_process_holds_is_refused_at_once(output):
    lock = output.parent / ".ranked.parquet.lock"
    publish(output, start=1)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        stale = output.parent / ".ranked.parquet.0123abcd.tmp"
        stale.write_bytes(b"the holder is writing this")
        with pytest.raises(TryLaterError) as caught, claimed(output):
            pass
        holder.stdin.close()
        holder.wait()
    assert (caught.value.error_id, caught.value.exit_code) == ("E-LOCKED", 75)
    assert stale.exists()
    publish(output, start=2)
    assert first_user(output) == 2


def test_two_claims_in_one_process_exclude_each_other(output):
    with claimed(output):
        with pytest.raises(TryLaterError), claimed(output):
            pass
        with claimed(output.with_name("other.parquet")):
            pass
    with claimed(output):
        pass


def test_the_lock_file_is_empty_and_stays_the_same_file(output):
    lock = output.parent / ".ranked.parquet.lock"
    publish(output)
    inode = lock.stat().st_ino
    publish(output)
    assert (lock.stat().st_ino, lock.stat().st_size) == (inode, 0)


def test_a_lock_file_that_is_a_symbolic_link_is_refused(output, tmp_path):
    target = tmp_path / "precious"
    target.write_bytes(b"untouched")
    (output.parent / ".ranked.parquet.lock").symlink_to(target)
    with pytest.raises(OutputError, match="the lock file is a symbolic link"), claimed(output):
        pass
    assert target.read_bytes() == b"untouched"


# outputs that cannot be


@pytest.mark.parametrize(
    "kind", ["directory", "symlink", "dangling symlink", "pipe", "no parent", "parent is a file"]
)
def test_an_output_that_cannot_be_replaced_by_a_file_is_refused_before_anything_is_made(tmp_path, kind):
    folder = tmp_path / "out"
    folder.mkdir()
    output = folder / "ranked.parquet"
    (folder / "target").write_bytes(OLD)
    if kind == "directory":
        output.mkdir()
    elif kind == "symlink":
        output.symlink_to(folder / "target")
    elif kind == "dangling symlink":
        output.symlink_to(folder / "nowhere")
    elif kind == "pipe":
        os.mkfifo(output)
    elif kind == "no parent":
        output = folder / "none" / "ranked.parquet"
    else:
        output = folder / "target" / "ranked.parquet"
    before = names(folder)
    with pytest.raises(OutputError) as caught, claimed(output):
        pass
    assert (caught.value.error_id, caught.value.exit_code) == ("E-OUTPUT", 5)
    assert names(folder) == before
    assert (folder / "target").read_bytes() == OLD


@pytest.mark.parametrize("length", [250, 300])
def test_a_name_that_is_too_long_is_an_output_error(tmp_path, length):
    with pytest.raises(OutputError, match="File name too long"), claimed(tmp_path / ("x" * length)):
        pass
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]


RECORDS = ("report.json", "failed.json", "rejects.jsonl", "failed.rejects.jsonl", "previous-0", "previous-1",
           "previous-1.report.json", "refused.parquet")  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("temporary", [False, True], ids=["record", "temporary"])
@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_stands_in_the_place_of_a_record_is_neither_waited_for_nor_written_through(
    output, tmp_path, kind, record, temporary
):
    publish(output, start=1)
    precious = tmp_path / "precious"
    precious.write_bytes(OLD)
    name = f".ranked.parquet.{record}.tmp" if temporary else f"ranked.parquet.{record}"
    path = output.parent / "_batchscore" / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(precious)
    else:
        path.mkdir()
    try:
        for night in (2, 3):
            publish(output, start=night)
        with suppress(OutputError), claimed(output) as ours:
            ours.park(writer(start=4))
        with suppress(OutputError):
            rollback(output)
    except OutputError:
        if kind != "folder":  # a folder may refuse the night, before it costs anything
            raise
        assert first_user(output) in (1, 2)
    assert precious.read_bytes() == OLD
    assert not (output.parent / "_batchscore" / f".ranked.parquet.{record}.tmp").is_file()


def test_a_state_folder_that_cannot_be_written_to_is_told_before_anything_is_scored(output, monkeypatch):
    state = output.parent / "_batchscore"
    state.mkdir()
    real = os.open

    def read_only(path, *arguments, **how):
        if Path(path).parent == state:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, *arguments, **how)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OutputError, match="Read-only file system") as caught, claimed(output):
        pass
    assert f"where:    {state}\n" in str(caught.value)


def test_a_state_folder_that_cannot_be_made_is_named(output, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError) as caught, claimed(output, tmp_path / "file" / "state"):
        pass
    assert str(tmp_path / "file" / "state") in str(caught.value)


@pytest.mark.parametrize("how", ["same path", "hard link", "through a linked folder"])
def test_the_output_must_not_be_the_input(output, tmp_path, how):
    output.write_bytes(OLD)
    reads = output
    if how == "hard link":
        reads = tmp_path / "pairs.parquet"
        os.link(output, reads)
    elif how == "through a linked folder":
        (tmp_path / "link").symlink_to(output.parent)
        reads = tmp_path / "link" / output.name
    with pytest.raises(UsageError) as caught, claimed(output, reads=reads):
        pass
    assert caught.value.error_id == "E-OUTPUT-IS-INPUT"
    assert output.read_bytes() == OLD


@pytest.mark.parametrize(
    "place", ["saved_model.pb", "deep/ranked.parquet", "ranked.parquet", "../link/ranked.parquet"]
)
@pytest.mark.parametrize("what", ["output", "state folder"])
def test_nothing_is_written_into_a_model(tmp_path, what, place):
    model = tmp_path / "model" / "7"
    (model / "deep").mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(b"the model")
    (model.parent / "link").symlink_to(model / "deep")
    before = sorted(tmp_path.rglob("*"))
    path = model / place
    paths = (path, None) if what == "output" else (tmp_path / "ranked.parquet", path.parent)
    with (
        pytest.raises(UsageError, match=f"E-OUTPUT-IS-INPUT: the {what} lies inside a model") as caught,
        claimed(*paths),
    ):
        pass
    assert f"found:    saved_model.pb in {model}\n" in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (model / "saved_model.pb").read_bytes() == b"the model"


@pytest.mark.parametrize("what", ["output", "state folder", "records", "dated"])
@pytest.mark.parametrize("marker", ["7/saved_model.pb", ".batchscore.version"])
def test_nothing_is_written_beside_the_versions_of_a_model(tmp_path, what, marker):
    base = tmp_path / "model"
    (base / marker).parent.mkdir(parents=True)
    (base / marker).write_bytes(b"7")
    before = sorted(tmp_path.rglob("*"))
    elsewhere = DatedPath(tmp_path / "ranked.parquet")
    job = {
        "output": Job(DatedPath(base / "ranked.parquet")),
        "state folder": Job(elsewhere, base),
        "records": Job(elsewhere, base / "_batchscore"),
        "dated": Job(DatedPath(base / "dt={date}" / "ranked.parquet", dt.date(2026, 11, 28)), tmp_path / "state"),
    }[what]
    with pytest.raises(UsageError, match=r"E-OUTPUT-IS-INPUT: the .* lies inside a model") as caught, claim(job):
        pass
    assert f"found:    {marker} in {base}\n" in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_below_a_folder_to_which_somebody_exported_versions_outputs_may_stand(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"the model")
    (tmp_path / "lists").mkdir()
    publish(tmp_path / "lists" / "ranked.parquet")


def test_a_number_alone_makes_no_model(tmp_path):
    (tmp_path / "2026").mkdir()
    publish(tmp_path / "ranked.parquet")


def test_state_is_not_kept_inside_the_input_folder(output, tmp_path):
    feed = tmp_path / "feed"
    feed.mkdir()
    (tmp_path / "link").symlink_to(feed)
    for state in (feed, feed / "state", tmp_path / "link" / "state"):
        with (
            pytest.raises(UsageError, match="the state folder lies inside the input folder"),
            claimed(output, state, reads=feed),
        ):
            pass
    assert names(feed) == []


def test_the_output_lies_inside_the_input_folder_behind_a_link(tmp_path):
    (tmp_path / "feed" / "day=1").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "feed" / "day=1")
    with (
        pytest.raises(UsageError, match="the output lies inside the input folder"),
        claimed(tmp_path / "link" / "ranked.parquet", reads=tmp_path / "feed"),
    ):
        pass


def test_state_files_may_live_elsewhere(output, tmp_path):
    state = tmp_path / "state" / "deep"
    publish(output, start=1, state_dir=state)
    publish(output, start=2, state_dir=state)
    assert names(output.parent) == [".ranked.parquet.lock", "ranked.parquet"]
    name = f"ranked.parquet-{hashlib.sha256(os.fsencode(output.parent.resolve())).hexdigest()[:8]}"
    assert names(state) == [f"{name}.previous-1", f"{name}.previous-1.report.json", f"{name}.report.json"]


def test_outputs_of_one_name_share_a_state_folder_without_meeting(tmp_path):
    state = tmp_path / "state"
    outputs = [tmp_path / country / "ranked.parquet" for country in ("de", "fr")]
    for output in outputs:
        output.parent.mkdir()
    for night in (1, 2):
        for number, output in enumerate(outputs):
            publish(output, start=10 * number + night, state_dir=state)
    (tmp_path / "germany").symlink_to(tmp_path / "de")
    for number, output in enumerate([tmp_path / "germany" / "ranked.parquet", outputs[1]]):
        with claimed(output, state) as ours:
            assert ours.find_report().report.rows_written == 10 * number + 2
            assert first_user(ours.previous.path(1)) == 10 * number + 1


def test_the_outputs_own_state_folder_has_plain_names_however_it_is_given(output, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(output.parent)
    monkeypatch.chdir(output.parent)
    for state in (output.parent / "_batchscore", Path("_batchscore"), tmp_path / "link" / "_batchscore"):
        with claimed(output, state) as ours:
            assert ours.report_path.name == "ranked.parquet.report.json"


def test_what_a_killed_run_left_in_a_shared_state_folder_is_cleared(output, tmp_path):
    state = tmp_path / "state"
    publish(output, state_dir=state)
    own, foreign = (state / f".{name}.report.json.tmp" for name in (
        next(state.iterdir()).name.removesuffix(".report.json"), "ranked.parquet-0123abcd"
    ))  # fmt: skip
    for path in (own, foreign):
        path.write_bytes(b"half")
    with claimed(output, state):
        assert (own.exists(), foreign.exists()) == (False, True)


def test_a_report_on_a_full_disk_leaves_no_rest(output, monkeypatch, caplog):
    publish(output)
    with claimed(output) as ours:
        monkeypatch.setattr(os, "fsync", no_space)
        ours.record(a_report(error=OutputError("E-OUTPUT", "no", next_step="n")))
        monkeypatch.undo()
    assert "failed.json could not be written: No space left on device" in caplog.text
    assert names(output.parent / "_batchscore") == ["ranked.parquet.report.json"]


def test_a_disk_that_fails_sends_nobody_to_the_path(tmp_path):
    error = cannot_write(tmp_path, OSError(errno.EIO, os.strerror(errno.EIO)))
    assert str(error).endswith("next:     check the disk or the mount (the kernel's log), then run again")
