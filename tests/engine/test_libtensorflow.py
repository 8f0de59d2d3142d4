"""Finding and loading TensorFlow's C library, and what happens where that cannot be done."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from batchscore.engine import libtensorflow, tstring
from batchscore.engine.libtensorflow import LibraryUnavailableError, find_library, load_library
from batchscore.engine.opening import open_session
from batchscore.errors import ModelError


def run_python(code, *arguments, redirect=""):
    command = f'exec "$0" -c "$1" "${{@:2}}" {redirect}'
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        ["bash", "-c", command, sys.executable, textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


SCORE = """
    import os, sys
    from pathlib import Path
    import pyarrow as pa
    from batchscore.savedmodel.saved_model import read_saved_model
    from batchscore.engine.opening import open_session

    path, environment = Path(sys.argv[1]), dict(os.environ)
    session = open_session(path, threads=1)
    signature = read_saved_model(path).signatures["serving_default"]
    feeds = {"user_id": pa.array(["user-1"]), "candidate": pa.array([5], pa.int64())}
    before = session.run(signature, feeds, ["score"])["score"]
    assert dict(os.environ) == environment
"""


@pytest.mark.process
@pytest.mark.tensorflow
@pytest.mark.parametrize("redirect", ["", "2>&-"])
def test_scoring_loads_no_python_of_tensorflow_and_says_nothing(models, redirect):
    code = SCORE + "    print(session.runtime, [name for name in sys.modules if name.startswith('tensorflow')])"
    process = run_python(code, models / "ranking", redirect=redirect)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.endswith("(c) []\n")


@pytest.mark.process
@pytest.mark.tensorflow
def test_tensorflows_python_may_be_loaded_afterwards(models):
    code = (
        SCORE
        + """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    inputs = {"user_id": tf.constant(["user-1"]), "candidate": tf.constant([[5]], tf.int64)}
    same = loaded.signatures["serving_default"](**inputs)["score"].numpy()
    print(before.tobytes() == same.tobytes() == session.run(signature, feeds, ["score"])["score"].tobytes())
    """
    )
    process = run_python(code, models / "ranking")
    assert (process.returncode, process.stdout) == (0, "True\n"), process.stderr


def test_the_library_is_found_without_loading_tensorflow():
    code = """
    import sys
    from batchscore.engine.libtensorflow import find_library
    print(find_library().is_file(), "tensorflow" in sys.modules)
    """
    assert run_python(code).stdout == "True False\n"


def test_it_is_loaded_once_by_however_many_threads(monkeypatch):
    monkeypatch.setattr(libtensorflow, "_library", None)
    found = []
    threads = [threading.Thread(target=lambda: found.append(load_library())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [library is found[0] for library in found] == [True] * 4


def no_wheel(monkeypatch):
    monkeypatch.setattr(libtensorflow.importlib.util, "find_spec", lambda _name: None)


def no_file(monkeypatch):
    monkeypatch.setattr(libtensorflow, "_FILES", ("libtensorflow_other.so.*",))


def no_symbol(monkeypatch):
    monkeypatch.setitem(libtensorflow._PROTOTYPES, "TF_NoSuchFunction", (None, ()))


def other_views(monkeypatch):
    monkeypatch.setattr(tstring, "_VIEW", 2)


def other_copies(monkeypatch):
    monkeypatch.setattr(tstring, "_LARGE", 2)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("break_library", "reason"),
    [
        (no_wheel, "no libtensorflow_cc.so.* in the installed tensorflow"),
        (no_file, "no libtensorflow_other.so.* in the installed tensorflow"),
        (no_symbol, "libtensorflow_cc.so.2 has no TF_NoSuchFunction"),
        (other_views, "libtensorflow_cc.so.2 lays out strings differently (views)"),
        (other_copies, "libtensorflow_cc.so.2 lays out strings differently (copies)"),
    ],
)
def test_the_python_api_stands_in_and_says_why(models, monkeypatch, break_library, reason):
    monkeypatch.setattr(libtensorflow, "_library", None)
    break_library(monkeypatch)
    session = open_session(models / "texts", threads=1)
    assert session.runtime.endswith(f" (python: {reason})")
    session.close()
    with pytest.raises(ModelError) as caught:
        open_session(models / "texts", threads=1, api="c")
    assert caught.value.error_id == "E-MODEL-LOAD"
    assert reason in str(caught.value)


def test_a_file_that_is_no_library_is_refused(tmp_path):
    broken = tmp_path / "libtensorflow_cc.so.2"
    broken.write_bytes(b"not a library" * 100)
    with pytest.raises(
        LibraryUnavailableError, match=r"libtensorflow_cc.so.2 cannot be loaded: .*invalid ELF header"
    ):
        libtensorflow._load(broken)


def test_the_environment_is_left_as_it_was(monkeypatch):
    monkeypatch.setattr(libtensorflow, "_library", None)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    load_library()
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ


def test_the_library_lies_in_the_wheel():
    assert find_library().parent.name == "tensorflow"
