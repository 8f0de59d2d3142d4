"""The rules of the house: who imports whom, what an import costs, error ids, jobs, and the length of files."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from batchscore import errors
from batchscore.config import RunSettings, resolve
from batchscore.errors import ERROR_IDS
from batchscore.train_settings import TrainSettings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "batchscore"
SOURCES = sorted(PACKAGE.rglob("*.py"))

LAYERS = {
    "cli": {
        "adoption",
        "training",
        "networks",
        "interactions",
        "planning",
        "datasets",
        "golden_cases",
        "evaluation",
        "difference",
        "ranked",
        "scoring",
        "publishing",
        "runtime",
        "base",
    },
    "adoption": {"planning", "scoring", "runtime", "base"},
    "golden_cases": {"difference", "ranked", "scoring", "runtime", "base"},
    "difference": {"ranked", "runtime", "base"},
    "training": {"networks", "interactions", "planning", "evaluation", "runtime", "base"},
    "networks": {"interactions", "runtime", "base"},
    "interactions": {"runtime", "base"},
    "evaluation": {"ranked", "runtime", "base"},
    "ranked": {"runtime", "base"},
    "planning": {"runtime", "base"},
    "datasets": {"runtime", "base"},
    "scoring": {"publishing", "runtime", "base"},
    "publishing": {"runtime", "base"},
    "runtime": {"base"},
    "base": set(),
}
"""What each part of the package may import, besides itself. `base` is every module at the top."""

BASE = [
    "adopt_settings",
    "codes",
    "columns",
    "committers",
    "config",
    "durable",
    "environment",
    "errors",
    "lake_tables",
    "joined_lists",
    "limits",
    "list_settings",
    "observer",
    "parquet_files",
    "paths",
    "recipe",
    "regular_files",
    "report",
    "toml_tables",
    "train_settings",
    "values",
]

STAGES = {
    "casts": set(),
    "folders": set(),
    "checksums": set(),
    "inputs": {"checksums", "folders"},
    "recurring": {"distinct"},
    "reader": {"inputs", "recurring"},
    "constants": {"casts"},
    "feeding": set(),
    "hints": {"casts"},
    "evidence": set(),
    "kept": {"casts"},
    "id_columns": {"feeding", "hints"},
    "binding": {"casts", "constants", "feeding", "hints", "id_columns", "kept"},
    "pairs": set(),
    "positions": set(),
    "keys": set(),
    "distinct": set(),
    "memory": set(),
    "coded": {"casts"},
    "scorer": {"casts", "positions"},
    "part_calls": {"positions"},
    "per_pair": {"part_calls"},
    "parts": {"casts", "distinct", "keys", "part_calls", "per_pair"},
    "plan_check": {"scorer"},
    "planned": {"casts", "parts", "per_pair", "plan_check", "positions", "scorer"},
    "badrows": {"binding", "casts", "coded", "reader", "scorer"},
    "unknown": {"distinct", "hints", "scorer"},
    "guard.verdict": set(),
    "guard.ages": {"guard.verdict", "inputs"},
    "guard.changes": set(),
    "guard.counts": {"guard.verdict"},
    "guard.growth": {"guard.verdict"},
    "guard.scores": {"guard.verdict", "topn"},
    "guard.shares": {"guard.verdict"},
    "guard.turnover": {"guard.verdict", "sketches"},
    "guard.non_personalized": {"guard.verdict", "pair_sample", "topn"},
    "guard.guards": {
        "guard.ages",
        "guard.changes",
        "guard.counts",
        "guard.growth",
        "guard.non_personalized",
        "guard.scores",
        "guard.shares",
        "guard.turnover",
        "guard.verdict",
        "inputs",
        "statistics",
        "topn",
    },
    "id_hashes": set(),
    "sketches": set(),
    "pair_sample": {"sketches"},
    "statistics": {"distinct", "id_hashes", "pair_sample", "scorer", "sketches"},
    "cut": {"distinct", "keys"},
    "topn": {"cut", "scorer"},
}
"""The stages of scoring, and the stages whose names they may import: only what passes from one to the next."""

PASSED_ON = {
    "checksums": {"has_checksums"},
    "folders": {"RequireSuccess", "require_success_of", "list_pair_files"},
    "inputs": {"PairFile", "Pairs", "corrupt"},
    "reader": {"PairBatch"},
    "recurring": {"RecurringValues"},
    "guard.ages": {"check_input_age", "check_model_age"},
    "guard.changes": {"tell_changed_columns", "tell_changed_lists", "tell_lost_probes"},
    "guard.counts": {"Count", "check_candidates", "check_pairs", "check_users"},
    "guard.growth": {"tell_growth"},
    "guard.scores": {"check_equal_scores", "check_score_shift", "check_spread_change"},
    "guard.shares": {"check_duplicates", "check_short_lists"},
    "guard.turnover": {"check_turnover"},
    "guard.non_personalized": {"check_personalization"},
    "guard.verdict": {"EXAMPLES", "NO_FIGURE", "Examples", "Refusal", "Verdict", "format_limit", "format_share"},
    "id_hashes": {"hash_texts", "hash_values", "mix"},
    "sketches": {"SKETCH_SIZE", "BottomK", "Overlap", "estimate_overlap"},
    "pair_sample": {"HashedIds", "PairSample", "find_starts"},
    "statistics": {"Statistics"},
    "topn": {"RankedLists"},
    "constants": {"find_lists_of_one", "parse_constant"},
    "feeding": {"Feed", "choose_feeds"},
    "hints": {"Evidence", "fitting_columns", "map_flag", "match_columns", "no_column"},
    "id_columns": {"IdColumn", "choose_id_columns", "id_inputs"},
    "kept": {"keep_columns", "keep_outputs", "spell_columns"},
    "binding": {"Binding", "BoundColumn"},
    "pairs": {"ScorablePairs", "ScoredPairs"},
    "scorer": {"Scorer"},
    "positions": {"find_positions", "row_bytes"},
    "distinct": {"Distinct", "find_distinct", "find_close_numbers", "find_used", "is_same_array"},
    "coded": {"Coded"},
    "parts": {"PartTables", "Placed", "find_order"},
    "part_calls": {"PartCalls", "unusable_part"},
    "per_pair": {"PerPair"},
    "plan_check": {"Compared", "PlanCheck", "PlanUnfitError", "SpreadCheck", "check_scores"},
    "keys": {"find_order_of", "sort_by_both"},
    "cut": {"cut"},
    "casts": {"Cast", "advise_type", "find_cast", "is_text", "placeholders", "FLOATS", "INTEGERS"},
}
"""What a stage may take from another one: data classes, the rules of types, and one error."""

STORY = {"run", "account", "model", "plans"}
"""They tell the run and know the stages; no stage knows them."""


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


def layer_of(module):
    part = module.split(".")[1] if "." in module else "base"
    return part if part in LAYERS else "base"


def test_all_parts_of_the_package_have_a_layer():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(LAYERS)
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"} == set(BASE)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_go_one_way(path):
    if path in (PACKAGE / "__init__.py", PACKAGE / "__main__.py"):
        return  # the Python API and `python -m batchscore` stand above all
    layer = layer_of(module_of(path))
    wrong = [
        module for module in own_imports(path)
        if module != "batchscore" and layer_of(module) not in LAYERS[layer] | {layer}
    ]  # fmt: skip
    assert not wrong


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stage_knows_of_others_only_what_they_pass_on(name):
    for module, imported in imports_of((PACKAGE / "scoring" / name.replace(".", "/")).with_suffix(".py")):
        if module.startswith("batchscore.scoring"):
            stage = module.removeprefix("batchscore.scoring").removeprefix(".")
            assert stage in STAGES[name], f"{name} imports {module}"
            assert imported in PASSED_ON[stage], f"{name} imports {imported} from {stage}"


def test_every_file_of_scoring_is_a_stage_or_tells_the_story():
    scoring = PACKAGE / "scoring"
    found = {
        module_of(path).removeprefix("batchscore.scoring.")
        for path in scoring.rglob("*.py")
        if path.stem != "__init__"
    }
    assert found == set(STAGES) | STORY


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
        assert importers(package) == {"evaluation/page.py"}


def test_pytest_is_only_in_its_plugin():
    assert importers("pytest") == {"golden_cases/pytest_plugin.py"}


def test_tensorflows_python_is_only_where_graphs_are_made():
    heavy = set().union(
        *(importers(name) for name in ("tensorflow", "tf_keras", "keras", "tensorflow_recommenders"))
    )
    assert {path for path in heavy if path.split("/")[0] not in ("planning", "networks", "training")} == {
        "runtime/pyapi.py"
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


def test_what_a_nightly_run_imports_has_nothing_of_a_training():
    """Each declaration costs a run a millisecond at its start."""
    ours = {module_of(path): own_imports(path) for path in SOURCES}
    reached, left = set(), ["batchscore.cli.run", "batchscore.scoring.run"]
    while left:
        module = left.pop()
        if module not in reached and module != "batchscore":
            reached.add(module)
            left += ours.get(module, [])
    assert "batchscore.config" in reached
    assert not {module for module in reached if layer_of(module) in ("training", "networks", "interactions")}
    assert not reached & {"batchscore.train_settings", "batchscore.recipe"}


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
@pytest.mark.parametrize("module", ["batchscore", "batchscore.cli", "batchscore.config", "batchscore.report"])
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


def test_every_error_id_has_one_exit_code_and_stands_with_it_in_the_readme():
    text = (ROOT / "README.md").read_text("utf-8").partition("## Errors")[2]
    rows = re.findall(r"^\| (.+?) \| `(E-.+?)` \| (.+) \|$", text, re.MULTILINE)
    assert {error_id: meaning for _, error_id, meaning in rows} == ERROR_IDS
    told = {error_id: code for code, error_id, _ in rows}
    kinds = {name: str(kind.exit_code) for name, kind in vars(errors).items() if name.endswith("Error")
             and getattr(kind, "exit_code", None)}  # fmt: skip
    raised = [
        (node.args[0].value, kinds[node.func.id])
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds
        and node.args and isinstance(node.args[0], ast.Constant)
    ]  # fmt: skip
    assert {error_id: code for error_id, code in raised if told[error_id] != code} == {}
    assert len({error_id for error_id, _ in raised}) > len(told) / 2


# files


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_source_file_has_at_most_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_test_files_have_unique_names():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


READS_BY_NAME = {
    "cli/aborts.py": "files of the kernel, which have no size",
    "datasets/archive.py": "members of an archive",
    "regular_files.py": "the one place",
    "runtime/risky_ops.py": "a file of the package",
    "publishing/lock.py": "the lock, which is not read",
    "durable.py": "to flush it",
    "publishing/publish.py": "what it wrote itself",
    "publishing/rollback.py": "what it wrote itself",
    "scoring/inputs.py": "the pairs, which are looked at before",
    "scoring/memory.py": "files of the kernel, which have no size",
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
