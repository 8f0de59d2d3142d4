"""The rules of the house: who imports whom, what an import costs, error ids, jobs, and the length of files."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from batchscore import errors
from batchscore.errors import ERROR_IDS
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings
from batchscore.settings.train import TrainSettings
from batchscore.system import environment

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "batchscore"
SOURCES = sorted(PACKAGE.rglob("*.py"))

BASE = ["columns", "errors", "observer", "report_parts", "run_report"]
"""Modules at the top of the package, which all rooms may import."""

ROOMS = {
    "cli": {
        "adoption", "datasets", "engine", "evaluation", "golden_cases", "inspection", "outputs",
        "publishing", "scoring", "settings", "system", "training",
    },
    "adoption": {
        "engine", "planning", "publishing", "savedmodel", "scoring", "scoring.bind", "scoring.guard",
        "scoring.source", "settings", "system",
    },
    "golden_cases": {"arrays", "outputs", "scoring", "settings", "system"},
    "training": {
        "arrays", "engine", "evaluation", "interactions", "networks", "planning", "planning.graph", "publishing",
        "reports", "savedmodel", "settings", "system",
    },
    "reports": {"evaluation", "system"},
    "networks": {"engine", "interactions", "settings", "system"},
    "interactions": {"arrays", "settings", "system", "tables"},
    "evaluation": {"arrays", "outputs", "settings", "system", "tables"},
    "outputs": {"arrays", "settings", "system", "tables"},
    "datasets": {"settings", "system"},
    "inspection": {"planning", "savedmodel", "settings"},
    "scoring": {
        "arrays", "engine", "publishing", "scoring.bind", "scoring.guard", "scoring.rank", "scoring.score",
        "scoring.source", "settings", "system",
    },
    "scoring.score": {
        "arrays", "engine", "planning", "savedmodel", "scoring", "scoring.bind", "scoring.guard", "scoring.source",
        "settings", "system",
    },
    "scoring.guard": {
        "arrays", "publishing", "scoring", "scoring.bind", "scoring.rank", "scoring.source", "settings", "system",
    },
    "scoring.rank": {"arrays", "scoring"},
    "scoring.bind": {"arrays", "savedmodel", "scoring", "scoring.source", "settings", "system"},
    "scoring.source": {"arrays", "settings", "tables"},
    "publishing": {"outputs", "savedmodel", "settings", "system"},
    "planning.graph": {"planning", "savedmodel", "system"},
    "planning": {"engine", "savedmodel", "system"},
    "engine": {"arrays", "savedmodel", "system"},
    "savedmodel": {"system"},
    "tables": {"system"},
    "arrays": set(),
    "settings": {"system"},
    "system": set(),
}  # fmt: skip
"""What each room may import, besides itself and BASE. The rooms of `scoring` import of it only what is SHARED."""

PASSED_ON = {
    "source": {"PairBatch", "PairSource", "ReadAhead", "open_pairs"},
    "bind": {
        "BadRows", "Binding", "FLOATS", "INTEGERS", "VocabularyEvidence", "bind", "map_flag",
        "placeholders",
    },
    "score": {
        "PairScorer", "PlanCheck", "PlanUnfitError", "RunModel", "choose_model", "evidence_of", "id_roles",
        "load_in_background", "open_scorer", "require_probes",
    },
    "rank": {"USER", "RankedLists", "Statistics", "TopN", "find_starts", "sketch_users", "write_lists"},
    "guard": {"Guards", "IdRole", "IsKnown", "NoLookUpError", "UnknownIds", "watch_unknown"},
}  # fmt: skip
"""What each room of `scoring` gives to the others: steps of the story, and what passes from one to the next."""

SHARED = {"left_out", "pairs"}
"""Modules of `scoring` that all its rooms know."""

STORY = {"fill_report", "run", "scoring_pass"}
"""They tell the run, and know the rooms of `scoring`; no room knows them."""


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """Every (module, name) that the file imports at any depth, but for type checking too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found += [(node.module, alias.name) for alias in node.names]
    return found


def own_imports(path):
    """Modules of batchscore that the file imports."""
    found = set()
    for module, name in imports_of(path):
        if module.split(".")[0] == "batchscore":
            as_module = f"{module}.{name}"
            is_module = (ROOT / as_module.replace(".", "/")).with_suffix(".py").exists() or (
                ROOT / as_module.replace(".", "/")
            ).is_dir()
            found.add(as_module if name and is_module else module)
    return found


def room_of(module):
    parts = module.split(".")[1:]
    names = [".".join(parts[:length]) for length in (2, 1) if ".".join(parts[:length]) in ROOMS]
    return names[0] if names else "base"


def test_all_rooms_have_rules_and_few_modules_stand_outside():
    folders = {path.parent.relative_to(PACKAGE).as_posix().replace("/", ".") for path in SOURCES} - {"."}
    assert {room_of(f"batchscore.{folder}") for folder in folders} == set(ROOMS)
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"} == set(BASE)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_go_one_way(path):
    if path in (PACKAGE / "__init__.py", PACKAGE / "__main__.py"):
        return  # the Python API and `python -m batchscore` stand above all
    room = room_of(module_of(path))
    allowed = {room, "base"} | (ROOMS[room] if room != "base" else {"system"})
    wrong = [
        module for module in own_imports(path) if module != "batchscore" and room_of(module) not in allowed
    ]  # fmt: skip
    assert not wrong


def test_the_rules_of_rooms_have_no_circle():
    """But for `scoring`, whose story knows its rooms while they know what is SHARED alone."""
    left = {room: set(known) - {"scoring"} for room, known in ROOMS.items()}
    while left:
        free = {room for room, known in left.items() if not known & left.keys()}
        assert free, sorted(left)
        left = {room: known for room, known in left.items() if room not in free}


def test_the_architecture_draws_the_imports_as_they_are():
    text = (PACKAGE / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Imports go one way")[2]
    drawn = re.match(r"\s+(cli.*?)\n\n", text, re.DOTALL)[1]
    rows = [re.findall(r"\w+", row) for row in drawn.split("->")]
    place = {name: number for number, row in enumerate(rows) for name in row}
    whole = {room.split(".")[0] for room in ROOMS}
    assert set(place) == whole | set(BASE)
    needed = {(room.split(".")[0], known.split(".")[0]) for room, allowed in ROOMS.items() for known in allowed}
    assert [(room, known) for room, known in sorted(needed) if room != known and place[room] >= place[known]] == []


def test_no_two_modules_need_each_other():
    left = {module_of(path): own_imports(path) - {"batchscore"} for path in SOURCES if path.parent != PACKAGE}
    while left:
        free = {module for module, needed in left.items() if not (needed - {module}) & left.keys()}
        assert free, sorted(left)
        left = {module: needed for module, needed in left.items() if module not in free}


def test_no_rule_allows_what_nobody_does():
    done = {
        (room_of(module_of(path)), room_of(module))
        for path in SOURCES if path.parent != PACKAGE
        for module in own_imports(path)
    }  # fmt: skip
    assert {(room, known) for room, allowed in ROOMS.items() for known in allowed} <= done


@pytest.mark.parametrize("path", sorted((PACKAGE / "scoring").rglob("*.py")), ids=module_of)
def test_a_room_of_scoring_knows_of_others_only_what_they_pass_on(path):
    room = path.relative_to(PACKAGE / "scoring").parts[0]
    for module, name in imports_of(path):
        if module.startswith("batchscore.scoring."):
            other = module.split(".")[2]
            if room.removesuffix(".py") in STORY or other in SHARED or other == room:
                continue
            assert name in PASSED_ON.get(other, ())


def test_the_story_of_scoring_stands_alone():
    assert {path.stem for path in (PACKAGE / "scoring").glob("*.py")} - {"__init__"} == STORY | SHARED


def importers(package, within=SOURCES):
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in within
        if any(module.split(".")[0] == package for module, _ in imports_of(path))
    }


def test_click_is_only_in_the_command_line():
    assert {path.split("/")[0] for path in importers("click")} == {"cli"}


def test_packages_for_reports_are_only_in_the_page():
    for package in ("altair", "vl_convert", "great_tables"):
        assert importers(package) == {"reports/training_page.py"}


def test_pytest_is_only_in_its_plugin():
    assert importers("pytest") == {"golden_cases/pytest_plugin.py"}


def test_tensorflows_python_is_only_where_graphs_are_made():
    heavy = set().union(
        *(importers(name) for name in ("tensorflow", "tf_keras", "keras", "tensorflow_recommenders"))
    )
    assert {path for path in heavy if path.split("/")[0] not in ("planning", "networks", "training")} == {
        "engine/pyapi.py"
    }


def test_tests_take_tensorflow_from_the_one_fixture_that_sets_it_up():
    """Its threads and its Keras are settled once a process, before the first use."""
    tests = ROOT / "tests"
    processes = {
        "make_echo.py",
        "make_exports.py",
        "make_numbers.py",
        "exports.py",
        "speed_model.py",
        "tutorials.py",
    }
    importing = {
        path.relative_to(tests).as_posix()
        for path in tests.rglob("*.py")
        if path.name not in processes
        and any(module in ("tensorflow", "tf_keras", "keras") for module, _ in imports_of(path))
    }
    assert importing == {"conftest.py"}


def test_what_a_nightly_run_imports_has_nothing_of_a_training_nor_settings_of_others():
    """Each declaration costs a run a millisecond at its start."""
    ours = {module_of(path): own_imports(path) for path in SOURCES}
    reached, left = set(), ["batchscore.cli.run", "batchscore.scoring.run"]
    while left:
        module = left.pop()
        if module not in reached and module != "batchscore":
            reached.add(module)
            left += ours.get(module, [])
    assert {"batchscore.settings.base", "batchscore.settings.run", "batchscore.settings.resolve"} <= reached
    assert not {module for module in reached if room_of(module) in ("training", "networks", "interactions")}
    others = ("adopt", "data", "golden", "inspect", "lists", "recipe", "rollback", "train")
    assert not reached & {f"batchscore.settings.{name}" for name in others}


def test_polars_stays_out_of_what_every_command_imports():
    light = {f"{name}.py" for name in (*BASE, "__init__")}
    assert not {path for path in importers("polars") if path in light or path.startswith("cli/")}


# what an import costs

PROBE = """
import json, os, sys
before = dict(os.environ)
import {module}
print(json.dumps({{
    "environment changed": dict(os.environ) != before,
    "modules": sorted({{name.split(".")[0] for name in sys.modules}}),
}}))
"""


@pytest.mark.process
@pytest.mark.parametrize(
    "module", ["batchscore", "batchscore.cli", "batchscore.settings.run", "batchscore.run_report"]
)
def test_an_import_loads_nothing_heavy_and_leaves_the_environment_alone(module):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    environ["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(module=module)], env=environ, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert not found["environment changed"]
    heavy = {"tensorflow", "keras", "tf_keras", "polars", "tensorflow_recommenders"}
    if module == "batchscore":
        heavy |= {"pyarrow", "numpy", "pydantic", "click", "rich"}
    assert not heavy & set(found["modules"])
    assert done.stderr == ""


# errors


def _literals(path):
    """Texts of a file that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listed = next((
        node for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", None) == "ERROR_IDS"
    ), None)  # fmt: skip
    skipped = set(map(id, ast.walk(listed))) if listed else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def test_every_error_id_is_raised_somewhere_and_every_one_raised_is_listed():
    raised = {
        text for path in SOURCES for text in _literals(path) if re.fullmatch(r"E-[A-Z0-9]+(-[A-Z0-9]+)*", text)
    }
    assert raised == set(ERROR_IDS)


def test_every_error_id_has_one_exit_code_and_stands_with_it_in_the_manual():
    text = (PACKAGE / "docs" / "errors.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+?) \| `(E-.+?)` \| (.+) \|$", text, re.MULTILINE)
    assert {error_id: meaning for _, error_id, meaning in rows} == ERROR_IDS
    told = {error_id: code for code, error_id, _ in rows}
    kinds = {name: str(kind.exit_code) for name, kind in vars(errors).items() if name.endswith("Error")
             and getattr(kind, "exit_code", None)}  # fmt: skip
    kinds["Refusal"] = kinds["RefusedError"]
    raised = [
        (node.args[0].value, kinds[node.func.id])
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds
        and node.args and isinstance(node.args[0], ast.Constant)
    ]  # fmt: skip
    assert {error_id: code for error_id, code in raised if told[error_id] != code} == {}
    limits = told.keys() - {error_id for error_id, _ in raised} - {"E-BUG", "E-STOPPED"}
    assert {told[error_id] for error_id in limits} == {"6"}  # guards and diff name them in their tables of limits


@cache
def _expressions(path):
    kinds = (ast.Subscript, ast.Attribute, ast.Call, ast.BoolOp)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, kinds)}


def files_with(*parts):
    """Sources that have one of the expressions `parts`, as `ast.unparse` writes them."""
    pattern = re.compile("|".join(parts))
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in SOURCES
        if any(pattern.fullmatch(expression) for expression in _expressions(path))
    }


def test_what_an_error_says_is_shortened_in_one_place():
    """`errors.first_line` and `errors.reason_of`."""
    shortened = (r".*\.splitlines\(\)\[0\]", r".*\.partition\(('\\n'|chr\(10\))\)\[0\]")
    system = (r"\w+\.strerror", r"getattr\(\w+, 'strerror'.*\)")
    assert files_with(*shortened, *system) == {"errors.py"}


def test_what_text_is_stands_in_one_place():
    """`columns.is_text`."""
    assert files_with(r"pa\.types\.is_string\((.*)\) or (pa\.types|types)\.is_large_string.*") == {"columns.py"}


def test_documents_have_one_strict_base():
    """Settings have another: what people write is frozen, and told in their words where it is wrong."""
    bases = files_with(r"ConfigDict\(.*extra='forbid'.*\)")
    assert {name for name in bases if not name.startswith("settings/")} == {
        "planning/plan.py",  # dataclasses, which cannot have it
        "system/json_document.py",
    }


def test_each_module_has_the_logger_of_its_name():
    """The command line alone says what all of them say; `golden` silences the runs, but not its own lines."""
    modules = files_with(r"logging\.getLogger\(__name__\)")
    assert {
        path for path in modules if "_log = logging.getLogger(__name__)" not in (PACKAGE / path).read_text()
    } == set()
    assert files_with(r"logging\.getLogger\([^_].*\)") == {"cli/golden.py", "cli/log.py"}


def test_the_time_is_asked_in_one_place():
    asked = files_with(r".*\.(now|utcnow|today)\(.*\)", r"time\.time\(\)")
    assert asked == {"system/clock.py"}


ENVIRONMENT = {
    "system/environment.py": "what a command settles before it has threads",
    "system/own_process.py": "what a process of its own is given",
    "settings/resolve.py": "the one variable that is a setting",
    "planning/plan_cache.py": "where the user's caches are",
    "engine/early.py": "whether a command has settled it",
    "engine/libtensorflow.py": "whether somebody asked TensorFlow for its log",
    "networks/keras2.py": "which Keras TensorFlow takes",
    "cli/train.py": "which Keras TensorFlow takes, before there are threads",
}
"""Files that read or write the environment, and what for."""


def test_the_environment_is_met_in_few_places_by_names_of_one():
    assert files_with(r"os\.(environ|getenv|putenv|unsetenv)") == set(ENVIRONMENT)
    names = {value for name, value in vars(environment).items() if name.isupper()}
    assert {path.relative_to(PACKAGE).as_posix() for path in SOURCES if names & set(_literals(path))} == {
        "system/environment.py"
    }


def _public(kind):
    """Where each public class or function at the top of a module is defined."""
    places = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, kind) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    return places


def test_a_public_class_has_a_name_of_its_own():
    assert {name: places for name, places in _public(ast.ClassDef).items() if len(places) > 1} == {}


def test_a_public_function_has_a_name_of_its_own_but_for_commands():
    """The Python API names a command as its room does; `command` and `main` are what starts a process."""
    commands = {"run", "train", "adopt", "evaluate", "diff", "rollback", "inspect", "golden", "data"}
    several = {name: places for name, places in _public(ast.FunctionDef).items() if len(places) > 1}
    assert {name: several[name] for name in several.keys() - commands - {"command", "main"}} == {}
    assert all("__init__.py" in several[name] for name in several.keys() & commands)


def test_a_module_has_a_name_of_its_own():
    """`cli` and `settings` call their files as the commands and what they are for."""
    own = [path.stem for path in SOURCES if path.relative_to(PACKAGE).parts[0] not in ("cli", "settings")]
    assert {name for name in own if own.count(name) > 1} == {"__init__", "__main__"}


PROCESSES = {"planning/planner.py": "planning.graph"}
"""Files that name a room above as a process of its own, for what loads too much."""


def test_no_text_names_a_module_that_the_file_may_not_import():
    climbing = {}
    for path in (path for path in SOURCES if path.parent != PACKAGE):
        room = room_of(module_of(path))
        named = {text.removesuffix(".") for text in _literals(path) if re.fullmatch(r"batchscore(\.\w+)+\.?", text)}
        modules = {name for name in named if find_module(name)}
        above = {room_of(module) for module in modules} - {room, "base"} - ROOMS[room]
        climbing |= {path.relative_to(PACKAGE).as_posix(): found for found in above}
    assert climbing == PROCESSES


def find_module(name):
    """Whether it is a module or a room of batchscore."""
    place = ROOT / name.replace(".", "/")
    return place.is_dir() or place.with_suffix(".py").exists()


# files


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_source_file_has_at_most_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_test_files_have_unique_names():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


READS_BY_NAME = {
    "cli/aborts.py": "files of the kernel, which have no size",
    "cli/help.py": "pages of the package",
    "datasets/archive.py": "members of an archive",
    "system/regular_files.py": "the one place",
    "savedmodel/risky_ops.py": "a file of the package",
    "system/lock.py": "the lock, which is not read",
    "system/durable.py": "to flush it",
    "publishing/publish.py": "what it wrote itself",
    "scoring/source/pair_files.py": "the pairs, which are looked at before",
    "system/memory.py": "files of the kernel, which have no size",
}
"""Files that open another for reading without `regular_files`, and which. A pipe in its place would hang them."""


def _reads_by_name(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        mode = next((argument.value for argument in node.args if isinstance(argument, ast.Constant)), "r")
        if call == "os.open":
            reads = "O_RDONLY" in ast.unparse(node)
        else:
            reads = call.rpartition(".")[2] == "open" and "r" in str(mode)
        if reads or call.endswith((".read_bytes", ".read_text")):
            yield node.lineno


def test_a_file_is_opened_for_reading_in_one_place_which_waits_for_no_pipe():
    assert {path.relative_to(PACKAGE).as_posix() for path in SOURCES if [*_reads_by_name(path)]} == set(
        READS_BY_NAME
    )


WRITES = {
    "system/durable.py": "the one place",
    "system/disk.py": "second names of files that are there",
    "system/lock.py": "locks, which are empty",
    "publishing/publish.py": "the ranked file, which is large, and records that move",
    "publishing/previous.py": "outputs that move up by one",
    "publishing/claim.py": "empty files, to know that one may write",
    "publishing/model_base.py": "a version of a model, which is a folder",
    "training/checkpoints.py": "the state of a training, which is a folder",
    "adoption/copying.py": "into a folder that is published whole",
    "datasets/publication.py": "several files that appear together",
    "scoring/bind/rejects.py": "rejects, into what `replacing` gives",
    "cli/__init__.py": "the null device, in the place of a closed stream",
}
"""Files that write or rename without `durable.write_whole` or `durable.replacing`, and what."""


def _writes(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        owner, _, name = ast.unparse(node.func).rpartition(".")
        mode = next((str(argument.value) for argument in node.args if isinstance(argument, ast.Constant)), "r")
        moves = len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Dict)
        if owner == "os" and name == "open":
            writes = re.search("O_WRONLY|O_RDWR|O_CREAT", ast.unparse(node)) is not None
        elif owner == "os" and name in ("rename", "replace", "renames", "link", "fdopen"):
            writes = name != "fdopen" or set(mode) & set("wax+")
        elif name == "open":
            writes = re.fullmatch("[rwaxbt+]+", mode) and set(mode) & set("wax+")
        else:
            writes = name in ("write_bytes", "write_text", "NamedTemporaryFile", "mkstemp") or (
                owner and name in ("rename", "replace") and moves
            )
        if writes:
            yield node.lineno


def test_a_file_is_written_in_one_place_whole_or_not_at_all():
    assert {path.relative_to(PACKAGE).as_posix() for path in SOURCES if [*_writes(path)]} == set(WRITES)


def test_locks_are_taken_in_one_place():
    """`lock.hold_lock`."""
    assert files_with(r".*\b(flock|lockf|FileLock)\(.*\)") == {"system/lock.py"}


def test_names_of_temporary_files_are_made_in_one_place():
    """`publishing` alone knows them too: it removes what dead runs left."""
    naming = {
        path.relative_to(PACKAGE).as_posix()
        for path in SOURCES
        if any(text.endswith(".tmp") for text in _literals(path))
    }
    assert naming == {"system/durable.py", "publishing/claim.py", "publishing/job.py"}


def test_a_running_variance_stands_in_one_place():
    naming = {
        path.relative_to(PACKAGE).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if re.search("squares|variance", getattr(node, "attr", getattr(node, "id", "")))
    }
    assert naming == {"arrays/mean_std.py"}


JOBS = sorted((ROOT / "jobs").glob("*.toml"))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_jobs_load_with_the_loader_that_the_commands_use(path):
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    for table in tables.keys() - set(TrainSettings.tables):
        kind = {"run": RunSettings, "train": TrainSettings}[table]
        resolved = resolve(kind, table, {}, config=path, environ={})
        assert str(path) in resolved.sources.values()
        output = Path(str(resolved.settings.output))
        assert output.is_absolute() or path.parent in output.parents
