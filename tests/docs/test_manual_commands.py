"""README and manual do what they say: every block of code is run, or checked as far as it can be.

    console          each `$ batchscore ...` is run, in the order of the page; the output shown is the output
    console exit 6   the same, and it exits so
    console no-run   its flags are those of the command, or of the script
    python           run, in the order of the page, with what earlier blocks of the page made
    python no-run    compiled
    sh               the two commands that install and test: `.ci/run` runs them
    crontab, yaml    parsed, and their commands resolve
    sql              run with DuckDB
    toml, csv        written for the commands, where a line `path` stands before the block; else parsed

A page runs in a folder with sample_data/, jobs/ and ml-latest-small.zip.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import duckdb
import pyarrow as pa
import pytest
import yaml

from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings
from batchscore.settings.train import TrainSettings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "batchscore" / "docs"
MOVIELENS = Path(os.environ.get("BATCHSCORE_MOVIELENS") or ROOT.parent / "shared" / "data" / "ml-latest-small.zip")
INSTALLED = "/srv/ranking"
_BLOCK = re.compile(r"(?:^`(\S+)`\n\n)?^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARIES = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+|[0-9a-f]{16,}|[\d.,]+")


@dataclass(frozen=True)
class Block:
    """A fenced block of code: its language, what else its fence says, and the file that it is, if any."""

    language: str
    info: str
    text: str
    file: str

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Each command after its `$`, and the lines that it shows."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


def blocks_of(text):
    return [Block(language, info, body, file) for file, language, info, body in _BLOCK.findall(text)]


BLOCKS = {path: blocks_of(path.read_text("utf-8")) for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))}
PLAIN = ("", "sh", "crontab", "yaml", "sql", "toml", "csv", "json")
KINDS = {"console": ("", "no-run", "exit 6"), "python": ("", "no-run")} | dict.fromkeys(PLAIN, ("",))


def every(language, info=""):
    return [
        pytest.param(block, id=f"{path.stem}-{number}")
        for path, blocks in BLOCKS.items()
        for number, block in enumerate(blocks)
        if block.language == language and block.info == info
    ]


def masked(line):
    """A line without what changes from run to run and from machine to machine."""
    return re.sub(r"[-+±]?#", "#", " ".join(_VARIES.sub("#", line).split()))


def test_blocks_are_found_with_what_their_fences_say():
    text = "`a/b.toml`\n\n```toml\nx = 1\n```\n\n```console no-run\n$ batchscore a \\\n  --b\nout\n```\n"
    file, block = blocks_of(text)
    assert (file.file, file.text) == ("a/b.toml", "x = 1\n")
    assert (block.info, block.commands) == ("no-run", [("batchscore a    --b", ["out"])])


def test_every_block_is_of_a_kind_that_is_checked():
    told = {(block.language, block.info) for blocks in BLOCKS.values() for block in blocks}
    assert told <= {(language, info) for language, infos in KINDS.items() for info in infos}


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_no_command_stands_outside_the_blocks_that_are_run(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^(?: {4,}|\$ ).*", text, re.MULTILINE) == []


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a page; the cwd."""
    for name in ("sample_data", "jobs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / MOVIELENS.name).symlink_to(MOVIELENS.resolve())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHSCORE_MODEL", raising=False)
    return tmp_path


RUN = [
    path
    for path, blocks in BLOCKS.items()
    if any(block.language in ("console", "python") and block.info != "no-run" for block in blocks)
]


@pytest.mark.tensorflow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", RUN, ids=lambda path: path.stem)
def test_what_a_page_runs_does_what_it_says(path, folder, tf, batchscore):  # noqa: ARG001 - a training needs Keras 2
    blocks = [block for block in BLOCKS[path] if block.info != "no-run"]
    names = {"__name__": path.stem}
    for block in blocks:
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
    for block in blocks:
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(block.text, names)  # noqa: S102 - the code is the repository's
        elif block.language == "console":
            for command, shown in block.commands:
                if MOVIELENS.name in command and not MOVIELENS.exists():
                    pytest.skip(f"from here on it needs {MOVIELENS}; set BATCHSCORE_MOVIELENS to its place")
                program, *arguments = shlex.split(command)
                assert program == "batchscore", command
                told = batchscore(*arguments)
                assert told.exit_code == int(block.info.removeprefix("exit ") or 0), f"{command}\n{told.err}"
                said = (
                    (told.out + told.err)
                    .replace("INFO ", "")
                    .replace("ERROR ", "ERROR: ")
                    .replace(str(folder), INSTALLED)
                )
                lines = {masked(line) for line in said.splitlines()}
                assert [line for line in shown if line != "..." and masked(line) not in lines] == [], said


def arguments_of(command):
    """The arguments of a command line, variables and substitutions of the shell left as they are."""
    return [word for word in shlex.split(command) if word not in ("|", ">>", "2>&1")]


def require_flags(command):
    program, *arguments = arguments_of(command)
    if program == "python":
        script = (ROOT / arguments[0]).read_text("utf-8")
        flags = [word for word in arguments if word.startswith("--")]
        assert [flag for flag in flags if f'"{flag}"' not in script] == []
    else:
        assert program == "batchscore"
        click_command = importlib.import_module(f"batchscore.cli.{arguments[0]}").command
        click_command.make_context(arguments[0], arguments[1:])


@pytest.mark.parametrize("block", every("console", "no-run"))
def test_what_is_not_run_has_flags_that_exist(block):
    for command, _ in block.commands:
        require_flags(command)


@pytest.mark.parametrize("block", every("python", "no-run"))
def test_python_that_is_not_run_compiles(block):
    ast.parse(block.text)


@pytest.mark.parametrize("block", [block for block in every("toml") if not block.values[0].file])
def test_toml_is_a_valid_configuration(block, tmp_path):
    tables = tomllib.loads(block.text)
    assert tables
    (tmp_path / "jobs").mkdir()
    config = tmp_path / "jobs" / "job.toml"
    config.write_text(block.text)
    for table, kind in {"run": RunSettings, "train": TrainSettings}.items():
        if table in tables:
            assert resolve(kind, table, {}, config=config, environ={}).settings


def resolve_installed(command, batchscore):
    """What `command` gives with `--print-config`, if the repository were installed in /srv/ranking."""
    program, *arguments = (word.replace(INSTALLED, str(ROOT)) for word in command)
    if program.endswith(".sh"):
        configured = re.search(r'(run|train) --config "\$\{1:-(\S+)\}"', Path(program).read_text("utf-8"))
        arguments = [configured[1], "--config", ROOT / "jobs" / configured[2]]
    else:
        assert Path(program).name in ("batchscore", "$BATCHSCORE")
    told = batchscore(*arguments, "--print-config")
    assert told.exit_code == 0, told.err
    return dict(line.split(maxsplit=1) for line in told.out.splitlines())


@pytest.mark.parametrize("block", every("crontab"))
def test_lines_of_a_crontab_parse_and_their_commands_resolve(block, batchscore):
    lines = [line for line in block.text.splitlines() if not re.match(r"[A-Z]+=", line)]
    assert lines
    for line in lines:
        *when, command = line.split(maxsplit=5)
        assert all(re.fullmatch(r"[\d*]+", field) for field in when)
        assert not re.search(r"(?<!\\)%", command)
        command, log = command.split(" >> ")
        assert log.startswith(f"{INSTALLED}/log/")
        command = command.replace("$(date +\\%F)", "2026-11-28")
        assert resolve_installed(arguments_of(command), batchscore)


def test_the_crontab_of_the_manual_has_the_lines_of_the_one_in_jobs():
    (block,) = (block for block in BLOCKS[DOCS / "nightly.md"] if block.language == "crontab")
    lines = [line for line in (ROOT / "jobs" / "crontab").read_text("utf-8").splitlines() if line[:1] != "#"]
    assert block.text.splitlines()[: len(lines)] == lines


def no_further_try():
    """The codes that are not to be tried again, as the table of exit codes has them."""
    text = (DOCS / "errors.md").read_text("utf-8")
    return {int(code) for code in re.findall(r"^\| (\d+) \| .+? \| no \|", text, re.MULTILINE)}


def test_the_cron_job_of_kubernetes_tries_again_by_the_table_and_its_command_resolves(batchscore):
    (block,) = (block for block in BLOCKS[DOCS / "airflow-and-kubernetes.md"] if block.language == "yaml")
    spec = yaml.safe_load(block.text)["spec"]
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    fail, ignore = job["podFailurePolicy"]["rules"]
    assert (fail["action"], ignore["action"]) == ("FailJob", "Ignore")
    assert fail["onExitCodes"] == {
        "containerName": container["name"], "operator": "In", "values": sorted(no_further_try())
    }  # fmt: skip
    assert (spec["concurrencyPolicy"], pod["restartPolicy"]) == ("Forbid", "Never")
    told = resolve_installed([*container["command"], *container["args"]], batchscore)
    assert told["threads"].split()[0] == container["resources"]["limits"]["cpu"]


def airflow(monkeypatch):
    """Stand-ins for Airflow; the tasks that the module declares are called at once."""
    calls = []

    def task(**settings):
        return lambda function: lambda: calls.append((settings, function))

    def dag(**settings):
        return lambda function: lambda: calls.append((settings, function)) or function()

    for name, content in {
        "airflow": {},
        "airflow.sdk": {"dag": dag, "task": task},
        "airflow.exceptions": {"AirflowFailException": type("AirflowFailException", (Exception,), {})},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def test_the_task_of_airflow_is_tried_again_by_the_table(monkeypatch, batchscore):
    calls = airflow(monkeypatch)
    (block,) = (block for block in BLOCKS[DOCS / "airflow-and-kubernetes.md"] if block.language == "python")
    exec(block.text, names := {"__name__": "dag"})  # noqa: S102 - the code is the repository's
    (dag, _), (task, rank) = calls
    assert dag["max_active_runs"] == 1
    assert task["retries"] > 0
    assert resolve_installed(names["COMMAND"], batchscore)
    outcome = {}
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 75, 143, -9):
        monkeypatch.setattr(subprocess, "run", lambda *_, code=code, **__: SimpleNamespace(returncode=code))
        try:
            rank(ds="2026-11-28")
        except Exception as error:  # noqa: BLE001 - which one is the question
            outcome[code] = type(error).__name__
    assert {code for code, error in outcome.items() if error == "AirflowFailException"} == no_further_try()
    assert {code for code, error in outcome.items() if error == "RuntimeError"} == {5, 7, 75, 143, -9}


@pytest.mark.parametrize("block", every("sql"))
def test_sql_gives_the_pairs_that_it_should(block):
    database = duckdb.connect()
    database.execute("CREATE MACRO explode(items) AS unnest(items)")
    retrieved = pa.table({
        "user_id": ["1", "1", "2"],
        "candidates": [
            [{"movie_id": "1001", "score": 0.9}, {"movie_id": "1002", "score": 0.8}],
            [{"movie_id": "1001", "score": 0.9}],
            [{"movie_id": "1002", "score": 0.7}, {"movie_id": "1003", "score": 0.7}],
        ],
    })  # fmt: skip
    movies = pa.table({"movie_id": ["1001", "1002"], "genres": ["Drama", "War"]})
    seen = pa.table({"user_id": ["1"], "movie_id": ["1002"]})
    for name, table in {"retrieved": retrieved, "movies": movies, "seen": seen}.items():
        database.register(name, table)
    database.execute(block.text)
    rows = database.execute("SELECT user_id, movie_id, genres FROM pairs ORDER BY ALL").fetchall()
    assert rows == [("1", "1001", "Drama"), ("2", "1002", "War"), ("2", "1003", None)]
