"""What tests share: the small models, and runs of the command line within the test process."""

from __future__ import annotations

import logging
import os
import random
import re
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore import cli as command_line
from batchscore.adoption import adopt
from batchscore.cli.signals import SIGNALS
from batchscore.golden_cases.pytest_plugin import GoldenItem
from batchscore.interactions.read import Interactions, read_interactions
from batchscore.planning.plan import NotPlanned
from batchscore.scoring.score import open_scorer
from batchscore.settings.train import TrainSettings

TESTS = Path(__file__).parent
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="batchscore-tests-")  # plans of the tests' models
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", re.MULTILINE)


def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, GoldenItem):
        item.add_marker("tensorflow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[object]:
    """No test starts a planner, which takes seconds, but those marked so; plans that lie with models are used."""

    def make_plan(_model: Path, signature: str, score_output: str, *_: object, **__: object) -> NotPlanned:
        return NotPlanned(signature, score_output, "no plan is made in this test", "")

    with pytest.MonkeyPatch.context() as patch:
        if "planner" not in item.keywords:
            for module in (open_scorer, adopt):
                patch.setattr(module, "make_plan", make_plan)
        return (yield)


@pytest.fixture(scope="session")
def lists_of_a_loop() -> bytes:
    """A file that stands in the output's place before the first run: ranked lists that a team's own loop wrote."""
    written = pa.BufferOutputStream()
    pq.write_table(pa.table({"customer": ["c"], "article": ["a"], "rank": [1]}), written)
    return written.getvalue().to_pybytes()


@dataclass(frozen=True)
class Told:
    """How a command ended and what it told: stdout, and stderr without its time stamps."""

    exit_code: int
    out: str
    err: str

    @property
    def troubles(self) -> str:
        """stderr without its INFO lines."""
        lines = self.err.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("INFO "))


@pytest.fixture(scope="session")
def tf() -> ModuleType:
    """TensorFlow's Python, loaded once a process, quiet, with Keras 2 and one thread an op.

    Every test that uses it in the test process takes it from here (see test_house.py): TensorFlow fixes its
    threads when it is first used, and its Keras when `tf.keras` is.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    return tf


@pytest.fixture(scope="session")
def keras2(tf: ModuleType) -> None:  # noqa: ARG001 - loaded first, with one thread an op
    """TensorFlow with Keras 2, loaded once a process."""
    from batchscore.networks.keras2 import require_keras_2

    require_keras_2()


@pytest.fixture(scope="session")
def models() -> Path:
    return TESTS / "models"


@pytest.fixture
def echo(models) -> Path:
    return models / "echo"


@pytest.fixture(scope="session")
def exports(tf, tmp_path_factory) -> Callable[[str], Path]:  # noqa: ARG001 - loaded first, with Keras 2
    """The directory of the models that `make_exports.py KIND` exports, each kind once.

    Keras 3 needs a process of its own.
    """
    script = TESTS / "models" / "make_exports.py"
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            path = tmp_path_factory.mktemp(kind)
            if kind == "keras3":
                done = subprocess.run(
                    [sys.executable, script, kind, path], capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stderr[-2000:]
            else:
                runpy.run_path(str(script))["make"](kind, path)
            made[kind] = path
        return made[kind]

    return make


@pytest.fixture(scope="session")
def failpoints() -> SimpleNamespace:
    """`Failpoint` and `fail_each_call_after` of failpoints.py: calls of the system that fail after a commit."""
    return SimpleNamespace(**runpy.run_path(str(TESTS / "failpoints.py")))


@pytest.fixture
def read(tmp_path: Path) -> Callable[[TrainSettings], Interactions]:
    """Reads the interactions of settings, with a place of the test's own for large ones."""
    return lambda settings: read_interactions(settings, tmp_path / "work")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., TrainSettings]:
    """Writes columns as interactions.parquet and gives the settings that read them."""

    def _write(columns: dict[str, Any], **settings: Any) -> TrainSettings:
        path = tmp_path / "interactions.parquet"
        pq.write_table(pa.table(columns), path)
        return TrainSettings(input=path, output=tmp_path / "model", **settings)

    return _write


@pytest.fixture
def batchscore(capsys, monkeypatch) -> Iterator[Callable[..., Told]]:
    """Runs `batchscore ARGUMENT...` in this process, all but the very end: os._exit."""
    log = logging.getLogger("batchscore")
    logging_before = log.handlers[:], log.level, log.propagate, logging.raiseExceptions
    signals_before = {number: signal.getsignal(number) for number in SIGNALS}

    def leave(code: int) -> None:
        raise SystemExit(code)

    def run(*arguments: object) -> Told:
        monkeypatch.setattr(command_line, "_leave", leave)
        monkeypatch.setattr(sys, "argv", ["batchscore", *map(str, arguments)])
        log.handlers.clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            command_line.main()
        out, err = capsys.readouterr()
        return Told(left.value.code, out, _STAMP.sub("", err))

    yield run
    log.handlers[:], log.level, log.propagate, logging.raiseExceptions = logging_before
    for number, handler in signals_before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def damaged_parquet():
    """The bytes of a small Parquet file in one of five forms, damaged as the seed says, mostly in the footer."""
    wholes = list(_small_parquet_files())

    def damage(seed):
        draw = random.Random(seed)  # noqa: S311 - a seed for each file
        content = bytearray(wholes[seed % len(wholes)])
        footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        for _ in range(draw.choice([1, 1, 2, 4])):
            at = draw.randrange(footer, len(content)) if draw.random() < 0.7 else draw.randrange(4, len(content))
            content[at] = draw.randrange(256) if draw.random() < 0.5 else content[at] ^ 1 << draw.randrange(8)
        if draw.random() < 0.1:
            at, length = draw.randrange(4, len(content)), draw.randrange(1, 40)
            content[at : at + length] = draw.choice([b"", content[at : at + length] * 2, bytes(length)])
        return bytes(content)

    return damage


def _small_parquet_files():
    users = [f"u{row * 7 % 40}" for row in range(60)]
    table = pa.table({
        "user_id": users, "movie_id": range(60), "coded": pa.array(users).dictionary_encode(),
        "user_rating": pa.array(range(60), pa.float32()), "moment": pa.array(range(60), pa.timestamp("us", "UTC")),
        "list": [[1, 2]] * 60, "struct": [{"a": 1, "b": "x"}] * 60,
    })  # fmt: skip
    for how in (
        {"write_page_checksum": True},
        {"use_dictionary": False, "data_page_version": "2.0", "compression": "zstd"},
        {"store_schema": False, "row_group_size": 20, "compression": "none"},
        {"use_dictionary": False, "store_schema": False, "compression": "gzip"},
        {"use_dictionary": ["coded"], "column_encoding": {"user_id": "DELTA_BYTE_ARRAY"}},
    ):
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **how)
        yield sink.getvalue().to_pybytes()
