"""The plugin in a team's own project: what it collects, what it says, what it costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchscore.golden_cases.cases import find_cases

ROOT = Path(__file__).parents[2]
PLUGIN = "batchscore.golden_cases.pytest_plugin"
HEAVY = ("tensorflow", "polars", "pyarrow", "numpy", "pydantic")
CASE = """\
about = "A case of this test."
model = "../../model"

[pairs]
user_id = "string"
item_id = "string"
value = "float"
"""
RUN = f"""
import sys, pytest
code = pytest.main(sys.argv[1:])
print("LOADED", sorted(set({HEAVY}) & set(sys.modules)))
sys.exit(code)
"""

pytestmark = pytest.mark.process


@pytest.fixture
def project(tmp_path, models):
    """A project with the cases golden/good and elsewhere/stray, and batchscore's entry point as if installed."""
    (tmp_path / "model").symlink_to(models / "echo")
    for name in ("golden/good", "elsewhere/stray"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "case.toml").write_text(CASE)
        (folder / "pairs.csv").write_text("user_id,item_id,value\nu1,a,0.5\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nbatchscore_golden = golden\naddopts = --strict-config\n")
    installed = tmp_path / "site" / "installed-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{PLUGIN} = {PLUGIN}\n")
    return tmp_path


def run_pytest(folder, *arguments):
    places = [str(folder / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-c", RUN, "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_only_cases_below_the_named_directories_are_collected_and_nothing_is_loaded_for_it(project):
    code, told = run_pytest(project, "--collect-only", "-q")
    assert code == 0, told
    assert [line for line in told.splitlines() if "::" in line] == ["golden/good/case.toml::good"]
    assert told.endswith("LOADED []\n")


def test_a_project_that_names_no_directory_sees_nothing_of_it(project):
    (project / "pytest.ini").write_text("[pytest]\naddopts = --strict-config\n")
    code, told = run_pytest(project, "--collect-only", "-q")
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED, told
    assert "::" not in told


def test_named_twice_the_plugin_is_loaded_once(project):
    code, told = run_pytest(project, "-p", PLUGIN, "--collect-only", "-q")
    assert code == 0, told
    assert told.count("::good") == 1


def test_a_directory_without_a_case_is_an_error(project):
    (project / "pytest.ini").write_text("[pytest]\nbatchscore_golden = golden nowhere\n")
    code, told = run_pytest(project)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert f"no golden case (case.toml) at or below {project / 'nowhere'}" in told


def test_a_case_differs_is_updated_and_passes(project):
    code, told = run_pytest(project)
    assert (code, "it is not there yet" in told) == (1, True), told
    code, told = run_pytest(project, "--update-golden")
    assert (code, (project / "golden/good/expected.csv").exists()) == (0, True), told
    (project / "golden/good/expected.csv").write_text("user_id,item_id,score,rank\nu1,a,2.5,1\n")
    code, told = run_pytest(project)
    assert code == 1
    assert "_ golden case good _" in told
    assert "good differs:\n--- expected.csv (expected)\n" in told
    assert "\n-u1,a,2.5,1\n+u1,a,0.5,1\n" in told
    assert "Traceback" not in told
    code, told = run_pytest(project, "--golden-model", "site")
    assert (code, '"E-MODEL-MISSING"' in told or '"E-MODEL-NOT-SAVEDMODEL"' in told) == (1, True), told


def test_every_golden_case_of_this_repository_is_collected():
    code, told = run_pytest(ROOT, "--collect-only", "-q", "tests/golden")
    assert code == 0, told
    names = {line.partition("::")[2] for line in told.splitlines() if "case.toml::" in line}
    assert names == {folder.name for folder in find_cases(ROOT / "tests" / "golden")}
