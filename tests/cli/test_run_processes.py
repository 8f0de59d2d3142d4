"""Whole processes of `batchscore run`: signals, kills, rivals, a full disk, closed streams, and identical bytes."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

STOPPED_NEXT = "  next:     run it again; if a time limit of the scheduler stopped it, raise that\n"
START = """
import signal
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore them, as nohup does
from batchscore.cli import main
main()
"""
SLOWLY = f"""
from batchscore.scoring.source import reader
reader.BATCH_ROWS = 500  # the run is still scoring a good while after it has said that it begins to
{START}
"""
TELLING = f"""
import sys
from batchscore.cli.console import LineObserver
LineObserver.stage = lambda self, name, total_rows=None: print("stage", name, file=sys.stderr, flush=True)
{START}
"""
COMMAND = [sys.executable, "-c", START, "run"]
ROOT = Path(__file__).parents[2]
USERS, CANDIDATES = 2_500, 100
HANG_SECONDS = 60


@dataclass(frozen=True)
class Night:
    """A folder with pairs to run on."""

    folder: Path
    echo: Path

    @property
    def output(self) -> Path:
        return self.folder / "ranked.parquet"

    @property
    def report(self) -> Path:
        return self.folder / "_batchscore" / "ranked.parquet.report.json"

    @property
    def failed(self) -> Path:
        return self.folder / "_batchscore" / "ranked.parquet.failed.json"

    def command(self, *flags: object) -> list[str]:
        limits = ["--max-unknown-users", "off", "--max-unknown-candidates", "off"]
        files = ["--input", self.folder / "pairs.parquet", "--output", self.output, "--model", self.echo]
        return [*COMMAND, *map(str, [*files, *limits, *flags])]

    def start(self, *flags: object, script: str = START, **options) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", script, *self.command(*flags)[3:]]
        return subprocess.Popen(command, **({"env": environment()} | pipes | options))

    def run(self, *flags: object, **options) -> tuple[int, str, str]:
        process = self.start(*flags, **options)
        out, err = process.communicate(timeout=HANG_SECONDS)
        return process.returncode, out, err

    def temporaries(self) -> list[Path]:
        return list(self.folder.rglob("*.tmp"))


def environment(**variables: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ = {**os.environ, "PYTHONPATH": path, **variables}
    environ.pop("BATCHSCORE_MODEL", None)
    return environ


def wait_for(process: subprocess.Popen, words: str) -> None:
    for line in process.stderr:
        if words in line:
            return
    pytest.fail(f"the run ended without saying {words!r}")


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory) -> Path:
    generator = np.random.default_rng(7)
    rows = USERS * CANDIDATES
    path = tmp_path_factory.mktemp("night") / "pairs.parquet"
    table = pa.table({
        "user_id": pa.array([f"u{number}" for number in np.repeat(np.arange(USERS), CANDIDATES)]),
        "item_id": pa.array([f"i{number}" for number in np.tile(np.arange(CANDIDATES), USERS)]),
        "value": pa.array(generator.integers(0, 64, rows) / 8, pa.float32()),
    })  # fmt: skip
    pq.write_table(table.take(generator.permutation(rows)), path, row_group_size=100_000, write_page_checksum=True)
    return path


@pytest.fixture(scope="module")
def published(pairs_file, echo_model) -> bytes:
    """The output of a run that nothing disturbed."""
    night = Night(pairs_file.parent, echo_model)
    code, _, err = night.run("--threads", "2", env=environment(PYTHONHASHSEED="0", TZ="UTC", LANG="C"))
    assert code == 0, err
    return night.output.read_bytes()


@pytest.fixture(scope="module")
def echo_model() -> Path:
    return ROOT / "tests" / "models" / "echo"


@pytest.fixture(scope="module")
def endless_model(tf, tmp_path_factory) -> Path:
    """A model that never comes back from a call with the item `endless`."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2)
    def serve(user_id, item_id):
        turns = tf.where(tf.reduce_any(item_id == "endless"), 10**15, 1)
        turn = tf.while_loop(lambda turn: turn < turns, lambda turn: [turn + 1], [tf.constant(0, tf.int64)])[0]
        return {"score": tf.cast(tf.strings.length(user_id + item_id), tf.float32) + tf.cast(turn, tf.float32)}

    path = tmp_path_factory.mktemp("endless") / "model"
    tf.saved_model.save(tf.Module(), str(path), signatures={"serving_default": serve})
    return path


@pytest.fixture
def night(tmp_path, pairs_file, echo_model) -> Night:
    os.link(pairs_file, tmp_path / "pairs.parquet")
    return Night(tmp_path, echo_model)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGTERM, "INFO model "),  # TensorFlow begins to load
        (signal.SIGINT, "INFO model "),
        (signal.SIGTERM, "INFO probes: "),  # scoring begins
        (signal.SIGHUP, "INFO probes: "),
    ],
    ids=["TERM while loading", "INT while loading", "TERM while scoring", "HUP while scoring"],
)
def test_a_signal_stops_the_run_and_leaves_the_old_output(night, number, words, lists_of_a_loop):
    night.output.write_bytes(lists_of_a_loop)
    with night.start(script=SLOWLY) as process:
        wait_for(process, words)
        process.send_signal(number)
        _, err = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 128 + number
    assert err.endswith(f"ERROR E-STOPPED: stopped by signal {int(number)}; nothing was published\n{STOPPED_NEXT}")
    assert "Traceback" not in err
    assert night.output.read_bytes() == lists_of_a_loop
    assert night.temporaries() == []
    failed = json.loads(night.failed.read_text())
    assert (failed["status"], failed["exit_code"], failed["error_id"]) == ("failed", 128 + number, "E-STOPPED")
    assert not night.report.exists()


@pytest.mark.tensorflow
@pytest.mark.parametrize("slow_row", [0, 1], ids=["main thread", "scoring threads"])
def test_a_signal_is_heeded_while_the_model_computes_for_hours(night, endless_model, slow_row, lists_of_a_loop):
    items = [f"i{number}" for number in range(1000)]
    items[slow_row] = "endless"  # row 0 is scored by the self-test at the start, row 1 is not
    (night.folder / "pairs.parquet").unlink()
    pq.write_table(pa.table({"user_id": ["u"] * len(items), "item_id": items}), night.folder / "pairs.parquet")
    night.output.write_bytes(lists_of_a_loop)
    with night.start("--model", endless_model, "--threads", "2", script=TELLING) as process:
        wait_for(process, "stage scoring")
        time.sleep(1)  # without it the signal may come before the call, and the test shows less
        process.send_signal(signal.SIGTERM)
        try:
            _, err = process.communicate(timeout=HANG_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert err.endswith(f"ERROR E-STOPPED: stopped by signal 15; nothing was published\n{STOPPED_NEXT}")
    assert err.count("E-STOPPED") == 1
    assert night.output.read_bytes() == lists_of_a_loop
    assert night.temporaries() == []
    assert json.loads(night.failed.read_text())["error_id"] == "E-STOPPED"


def test_after_a_kill_a_plain_rerun_is_identical_and_clean(night, published, lists_of_a_loop):
    night.output.write_bytes(lists_of_a_loop)
    with night.start(script=SLOWLY) as process:
        wait_for(process, "INFO probes: ")
        process.kill()
        process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == -signal.SIGKILL
    assert night.output.read_bytes() == lists_of_a_loop
    assert len(night.temporaries()) == 1
    code, _, err = night.run()
    assert code == 0, err
    assert night.output.read_bytes() == published
    assert night.temporaries() == []


def test_of_two_runs_on_one_output_exactly_one_wins(night, published):
    rivals = [night.start(), night.start()]
    told = [process.communicate(timeout=HANG_SECONDS)[1] for process in rivals]
    codes = [process.returncode for process in rivals]
    assert sorted(codes) == [0, 75], told
    assert "ERROR E-LOCKED: another run is writing this output" in told[codes.index(75)]
    assert night.output.read_bytes() == published
    assert json.loads(night.report.read_text())["status"] == "published"
    assert not night.failed.exists()
    assert night.temporaries() == []


def test_a_full_disk_keeps_the_old_output(night, lists_of_a_loop):
    night.output.write_bytes(lists_of_a_loop)
    command = ["bash", "-c", 'ulimit -f 16 && exec "$@"', "bash", *night.command()]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert done.returncode == 5
    assert done.stderr.partition(" ERROR ")[2] == (
        "E-OUTPUT: the output cannot be written: File too large\n"
        f"  where:    {night.output}\n"
        "  next:     raise the file size limit (ulimit -f) of the job, then run again\n"
    )
    assert night.output.read_bytes() == lists_of_a_loop
    assert night.temporaries() == []
    assert json.loads(night.failed.read_text())["error_id"] == "E-OUTPUT"


@pytest.mark.parametrize("kilobytes", [600_000, 1_500_000])
def test_an_address_space_that_is_too_small_is_out_of_memory(night, kilobytes):
    command = ["bash", "-c", f'ulimit -v {kilobytes} && exec "$@"', "bash", *night.command("--threads", "2")]
    done = subprocess.run(
        command, env=environment(OPENBLAS_NUM_THREADS="1", POLARS_MAX_THREADS="2"), capture_output=True, text=True,
        timeout=HANG_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert " ERROR E-MEMORY: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not night.output.exists()
    assert night.temporaries() == []


def test_a_reader_of_stdout_that_goes_away_is_no_failure(night, published):
    with night.start("--json") as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert night.output.read_bytes() == published


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_failure_and_nothing_writes_into_our_files(night, published, closed):
    command = ["bash", "-c", f'exec "$@" {closed}', "bash", *night.command("--json")]
    done = subprocess.run(command, env=environment(), capture_output=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 0
    assert night.output.read_bytes() == published
    assert json.loads(night.report.read_text())["status"] == "published"
    assert (night.folder / ".ranked.parquet.lock").read_bytes() == b""


def test_a_refusal_with_closed_streams_keeps_its_exit_code(night):
    command = ["bash", "-c", 'exec "$@" >&- 2>&-', "bash", *night.command("--keep", "title")]
    done = subprocess.run(command, env=environment(), capture_output=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 2
    assert json.loads(night.failed.read_text())["error_id"] == "E-KEEP"


def test_the_bytes_depend_on_nothing_around_the_run(night, published):
    elsewhere = night.folder / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(night.echo, elsewhere / "model")
    os.link(night.folder / "pairs.parquet", elsewhere / "pairs.parquet")
    surroundings = environment(PYTHONHASHSEED="4711", TZ="Asia/Kolkata", LANG="C.UTF-8", LC_ALL="C.UTF-8")
    flags = ["--max-unknown-users", "off", "--max-unknown-candidates", "off", "--threads", "1"]
    done = subprocess.run(
        [*COMMAND, "--input", "pairs.parquet", "--output", "lists.parquet", *flags],
        cwd=elsewhere, env=surroundings, umask=0o077, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "lists.parquet").read_bytes() == published
    assert (elsewhere / "lists.parquet").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("missing", [False, True])
def test_on_a_terminal_no_line_is_dated(night, missing):
    ours, theirs = pty.openpty()
    command = night.command()
    if missing:
        (night.folder / "pairs.parquet").unlink()
    process = subprocess.Popen(command, env=environment(), stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    told = b""
    try:
        while chunk := os.read(ours, 65_536):
            told += chunk
    except OSError:  # the other end was closed
        pass
    os.close(ours)
    assert process.wait(HANG_SECONDS) == (75 if missing else 0)
    assert (b"ERROR: E-INPUT-MISSING" if missing else b"published ") in told
    assert not re.search(rb"\d{4}-\d\d-\d\dT", told)
