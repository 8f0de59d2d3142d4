"""`batchscore help`: pages, errors and commands in the terminal."""

from __future__ import annotations

import importlib.resources
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from batchscore.cli import COMMANDS
from batchscore.cli.help import list_topics
from batchscore.errors import ERROR_IDS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "batchscore" / "docs").glob("*.md"))
LOADED = """
import sys
from batchscore.cli import group
for topic in ([], ["errors"], ["E-LOCKED"]):
    group.main(args=["help", *topic], prog_name="batchscore", standalone_mode=False)
print("LOADED", sorted(set(sys.modules) & {"tensorflow", "polars", "pyarrow", "pydantic", "numpy"}))
"""


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns and as many lines as the test says; gives what the pager was shown."""
    paged = []

    def of(lines: int) -> list[str]:
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("LINES", str(lines))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setattr(click, "echo_via_pager", paged.append)
        return paged

    return of


def test_without_a_topic_every_page_is_listed_with_the_line_below_its_title(batchscore):
    told = batchscore("help")
    assert (told.exit_code, told.err) == (0, "")
    listed = {line.split()[0]: line for line in told.out.splitlines() if line.startswith("  ")}
    assert sorted(listed) == [page.stem for page in PAGES]
    for page in PAGES:
        line = " ".join(page.read_text("utf-8").split("\n\n")[1].split())
        assert listed[page.stem].endswith(f"  {line}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_begins_with_its_title_and_a_line_about_it(page):
    title, line, *_ = page.read_text("utf-8").split("\n\n")
    assert title.startswith("# ")
    assert "\n" not in title
    assert len(" ".join(line.split())) <= 160
    assert line[0] not in "#|`-"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_goes_into_a_pipe_as_it_is(batchscore, page):
    told = batchscore("help", page.stem)
    assert (told.exit_code, told.out, told.err) == (0, page.read_text("utf-8"), "")


def test_an_id_shows_its_section_in_upper_and_lower_case(batchscore):
    told = batchscore("help", "E-USERS-DROPPED")
    assert told.out.startswith("## E-USERS-DROPPED\n")
    assert "## E-CANDIDATES-DROPPED" not in told.out
    assert batchscore("help", "e-users-dropped").out == told.out


@pytest.mark.parametrize("error_id", ERROR_IDS)
def test_every_id_is_shown(batchscore, error_id):
    assert batchscore("help", error_id).out.startswith(f"## {error_id}\n\nExit ")


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {page.stem for page in PAGES}))
def test_a_command_shows_its_help(batchscore, name):
    assert batchscore("help", name).out == batchscore(name, "--help").out


def test_an_unknown_topic_is_told_with_the_nearest_ones(batchscore):
    told = batchscore("help", "e-user-dropped")
    assert (told.exit_code, told.out) == (2, "")
    assert "E-CONFIG: the manual has no topic 'e-user-dropped'\n  found:    similar: E-USERS-DROPPED, " in told.err
    assert "similar" not in batchscore("help", "zzz").err


@pytest.mark.parametrize("topic", ["min_score", "min-score"])
def test_a_setting_leads_to_the_page_of_settings(batchscore, topic):
    assert (
        f"""\
E-CONFIG: {topic} is a setting, and the manual has no page of its own for it
  next:     `batchscore help settings` explains every setting
"""
        in batchscore("help", topic).err
    )


def test_a_terminal_gets_a_layout_and_a_long_page_the_pager(batchscore, terminal):
    paged = terminal(60)
    told = batchscore("help", "E-LOCKED")
    assert "**Cause.**" not in told.out
    assert "Cause." in told.out
    assert paged == []
    assert batchscore("help", "errors").out == ""
    assert "E-LOCKED" in paged[0]


def test_a_link_is_told_on_a_terminal_by_the_command_that_shows_its_page(batchscore, terminal):
    paged = terminal(20)
    batchscore("help", "nightly")
    batchscore("help", "report")
    assert "batchscore help compare" in " ".join(paged[0].split())
    assert "compare.md" not in paged[0]
    assert "#inputfile" not in paged[1]


def test_help_mentions_the_manual(batchscore):
    assert "`batchscore help` lists the pages" in " ".join(batchscore("--help").out.split())


def test_pages_are_files_of_the_package_and_of_the_wheel():
    assert [*list_topics()] == [page.stem for page in PAGES]
    assert (importlib.resources.files("batchscore") / "docs" / "errors.md").is_file()
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"] == {"packages": ["batchscore"]}  # all files of the folder
    assert "batchscore" in build["sdist"]["include"]


@pytest.mark.process
def test_it_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("LOADED []\n")
