"""What `batchscore run` says of an output that it cannot or must not write: the whole text, and nothing touched."""

from __future__ import annotations

import fcntl
import os

import pytest

NO_FOLDER = "a file is where a folder is needed: move it away, or give another path"


def unwritable(reason: str, where: str, step: str = "give the output a writable path of a regular file") -> str:
    return f"E-OUTPUT: the output cannot be written: {reason}\n  where:    {where}\n  next:     {step}\n"


def test_no_directory(workplace):
    told = workplace.run("--output", workplace.folder / "lists" / "ranked.parquet")
    message = (
        "E-OUTPUT: the output cannot be written: its folder does not exist\n"
        "  where:    <folder>/lists/ranked.parquet\n"
        "  found:    no folder <folder>/lists\n"
        "  next:     make it: mkdir -p <folder>/lists\n"
    )
    workplace.assert_refused(told, 5, message, recorded=False)


def test_a_directory_stands_there(workplace):
    workplace.output.mkdir()
    message = unwritable("it is not a regular file", "<folder>/ranked.parquet")
    workplace.assert_refused(workplace.run(), 5, message, recorded=False)
    assert workplace.output.is_dir()


@pytest.mark.timeout(60)  # opening a pipe that nobody reads would wait for ever
def test_a_pipe_stands_there(workplace):
    os.mkfifo(workplace.output)
    message = unwritable("it is not a regular file", "<folder>/ranked.parquet")
    workplace.assert_refused(workplace.run(), 5, message, recorded=False)
    assert workplace.output.is_fifo()


@pytest.mark.parametrize("dangling", [True, False])
def test_a_symbolic_link_stands_there(workplace, dangling):
    target = workplace.folder / "elsewhere.txt"
    if not dangling:
        target.write_text("untouched")
    workplace.output.symlink_to(target)
    told = workplace.run()
    message = unwritable("it is a symbolic link to <folder>/elsewhere.txt", "<folder>/ranked.parquet")
    assert (told.exit_code, told.troubles) == (5, f"ERROR {message}")
    assert workplace.output.is_symlink()
    assert target.exists() != dangling
    assert dangling or target.read_text() == "untouched"


def test_the_directory_is_a_file(workplace):
    (workplace.folder / "lists").touch()
    told = workplace.run("--output", workplace.folder / "lists" / "ranked.parquet")
    workplace.assert_refused(
        told, 5, unwritable("Not a directory", "<folder>/lists/ranked.parquet", NO_FOLDER), recorded=False
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_the_directory_is_read_only(workplace):
    lists = workplace.folder / "lists"
    lists.mkdir(mode=0o555)
    told = workplace.run("--output", lists / "ranked.parquet")
    step = "give the job's user the right to write in this directory"
    message = unwritable("Permission denied", "<folder>/lists/.ranked.parquet.lock", step)
    workplace.assert_refused(told, 5, message, recorded=False)


def test_the_state_folder_is_a_file(workplace):
    workplace.state.write_text("untouched")
    message = unwritable("File exists", "<folder>/_batchscore", NO_FOLDER)
    told = workplace.run()
    assert (told.exit_code, told.troubles) == (5, f"ERROR {message}")
    assert workplace.state.read_text() == "untouched"


def test_the_state_folder_given_is_under_a_file(workplace):
    told = workplace.run("--state-dir", workplace.pairs / "state")
    message = unwritable("Not a directory", "<folder>/pairs.parquet/state", NO_FOLDER)
    workplace.assert_refused(told, 5, message, recorded=False)


def test_the_lock_is_a_symbolic_link(workplace):
    target = workplace.folder / "elsewhere.txt"
    (workplace.folder / ".ranked.parquet.lock").symlink_to(target)
    message = unwritable("the lock file is a symbolic link", "<folder>/.ranked.parquet.lock")
    workplace.assert_refused(workplace.run(), 5, message, recorded=False)
    assert not target.exists()


def test_locked(workplace):
    with (workplace.folder / ".ranked.parquet.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = workplace.run()
    workplace.assert_refused(told, 75, f"""\
E-LOCKED: another run is writing this output
  where:    <folder>/ranked.parquet
  found:    .ranked.parquet.lock is locked by process {os.getpid()}
  next:     let it finish; if this happens every night, the runs overlap
""", recorded=False)  # fmt: skip
    assert not workplace.state.exists()


@pytest.mark.parametrize("path", ["pairs.parquet", "x/../pairs.parquet", "hard.parquet"])
def test_the_output_is_the_input(workplace, path):
    (workplace.folder / "x").mkdir()
    os.link(workplace.pairs, workplace.folder / "hard.parquet")
    before = workplace.pairs.read_bytes()
    told = workplace.run("--output", workplace.folder / path)
    workplace.assert_refused(told, 2, f"""\
E-OUTPUT-IS-INPUT: output and input are the same file
  where:    <folder>/{path}
  next:     give --output another path
""", recorded=False)  # fmt: skip
    assert workplace.pairs.read_bytes() == before


@pytest.mark.tensorflow
def test_a_report_that_cannot_be_written_only_warns(workplace):
    (workplace.state / "ranked.parquet.report.json").mkdir(parents=True)
    told = workplace.run()
    assert told.exit_code == 0
    report = "WARNING the report <folder>/_batchscore/ranked.parquet.report.json"
    assert told.troubles == (
        f"{report} cannot be read: it is a folder, not a file, and its output is gone; this run has nothing to "
        f"compare itself with\n{report} could not be written: Is a directory\n"
    )
    assert workplace.output.is_file()


@pytest.mark.tensorflow
def test_a_failure_leaves_output_report_and_previous_alone(workplace):
    assert workplace.run().exit_code == 0
    assert workplace.run("--top-n", "1").exit_code == 0
    published = [
        workplace.output,
        workplace.state / "ranked.parquet.report.json",
        workplace.state / "ranked.parquet.previous-1",
        workplace.state / "ranked.parquet.previous-1.report.json",
    ]
    before = [path.read_bytes() for path in published]
    workplace.write_pairs(user_id=["u1", None, "u2"])
    assert workplace.run().exit_code == 3
    assert [path.read_bytes() for path in published] == before
    workplace.write_pairs()
    assert workplace.run().exit_code == 0
    assert sorted(path.name for path in workplace.state.iterdir()) == [
        "ranked.parquet.previous-1",
        "ranked.parquet.previous-1.report.json",
        "ranked.parquet.report.json",
    ]
