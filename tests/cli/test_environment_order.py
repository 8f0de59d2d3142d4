"""The environment is written before there are threads: C's `getenv` on another thread may crash otherwise.

Seen from below Python, by functions of the C library that stand in front of the real ones.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) to build the functions with"),
]

SOURCE = Path(__file__).with_name("interposed.c")
ROOT = Path(__file__).parents[2]
SETTLED = {"TF_CPP_MIN_LOG_LEVEL", "_RJEM_MALLOC_CONF", "PYDANTIC_DISABLE_PLUGINS", "OPENBLAS_MAIN_FREE"}
COMMAND = "import sys; from batchscore.cli import main; sys.argv[0] = 'batchscore'; main()"
LIBRARY = """
import sys, batchscore
given = dict(zip((flag[2:].replace("-", "_") for flag in sys.argv[2::2]), sys.argv[3::2]))
batchscore.run(**given)
"""


@pytest.fixture(scope="module")
def interposed(tmp_path_factory):
    library = tmp_path_factory.mktemp("interposed") / "interposed.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


@pytest.fixture
def start(interposed, tmp_path):
    """Runs a program to its end; what was logged, in order, and the exit code."""

    def _start(program, *arguments):
        log = tmp_path / "log"
        kept = {name: value for name, value in os.environ.items() if name not in (*SETTLED, "TF_USE_LEGACY_KERAS")}
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False,
            env=kept | {"LD_PRELOAD": str(interposed), "INTERPOSED_LOG": str(log), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return [line.split() for line in log.read_text().splitlines()], done

    return _start


@pytest.fixture
def job(tmp_path):
    """Flags of a run that reads ahead, scores by a plan and on several threads."""
    sample = ROOT / "sample_data"
    return [
        "run", "--input", sample / "pairs.parquet", "--output", tmp_path / "ranked.parquet",
        "--model", sample / "model", "--threads", "2", "--plan", "require",
    ]  # fmt: skip


def split_at_first_thread(log):
    first = next(place for place, (what, _) in enumerate(log) if what == "thread")
    before, after = log[:first], log[first:]
    return {name for what, name in before if what == "add"}, [entry for entry in after if entry[0] != "thread"]


@pytest.mark.parametrize("program", [COMMAND, LIBRARY], ids=["command", "library"])
def test_a_run_writes_its_environment_before_its_first_thread(start, job, program):
    log, done = start(program, *job)
    assert done.returncode == 0, done.stderr
    before, after = split_at_first_thread(log)
    assert after == []
    assert before >= SETTLED if program is COMMAND else "TF_CPP_MIN_LOG_LEVEL" not in before
    assert sum(what == "thread" for what, _ in log) > 3


def test_a_training_sets_its_names_before_its_first_thread(start, tmp_path):
    log, done = start(COMMAND, "train", "--input", tmp_path / "none.parquet", "--output", tmp_path / "model")
    assert done.returncode == 75, done.stderr
    before, after = split_at_first_thread(log)
    assert after == []
    assert before >= {*SETTLED, "TF_USE_LEGACY_KERAS"}
