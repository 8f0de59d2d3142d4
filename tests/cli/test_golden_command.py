"""`batchscore golden` as it is typed: exit codes, whole texts, and what it leaves alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import batchscore as api
from batchscore.errors import RefusedError, UsageError

ROOT = Path(__file__).parents[2]
CASE = """\
about = "A case of this test."
model = "../../model"

[run]
top_n = 1

[pairs]
user_id = "string"
item_id = "string"
value = "float"
"""


@pytest.fixture
def golden(workplace):
    """A folder with two cases that pass, and how to run the command on it."""
    workplace.copy_model()
    for name in ("best", "nulls"):
        folder = workplace.folder / "golden" / name
        folder.mkdir(parents=True)
        (folder / "case.toml").write_text(CASE)
        (folder / "pairs.csv").write_text(
            "user_id,item_id,value\nu1,a,0.5\nu1,b,1\n" if name == "best" else "user_id,item_id,value\n,a,0.5\n"
        )
    return workplace


def run(place, *flags):
    return place.shorten(place.command("golden", place.folder / "golden", *flags))


@pytest.mark.tensorflow
def test_cases_are_written_then_pass_and_their_runs_say_nothing(golden):
    told = run(golden, "--update")
    assert (told.exit_code, told.out) == (0, "")
    assert told.err == "INFO best: rewritten\nINFO nulls: rewritten\nINFO 2 golden cases: 2 rewritten\n"
    assert (golden.folder / "golden/best/expected.csv").read_text() == "user_id,item_id,score,rank\nu1,b,1,1\n"
    assert 'error_id = "E-BAD-ROWS"' in (golden.folder / "golden/nulls/expected.toml").read_text()
    before = sorted(golden.folder.rglob("*"))
    told = run(golden)
    assert (told.exit_code, told.out) == (0, "")
    assert told.err == "INFO best: as expected\nINFO nulls: as expected\nINFO 2 golden cases: 2 as expected\n"
    assert run(golden, "-q").err == ""
    assert "INFO published 1 users, 1 rows, model 1" in run(golden, "-v").err
    assert sorted(golden.folder.rglob("*")) == before


@pytest.mark.tensorflow
def test_what_differs_is_told_and_exits_6(golden):
    run(golden, "--update")
    path = golden.folder / "golden/best/expected.csv"
    path.write_text("user_id,item_id,score,rank\nu1,a,1,1\n")
    told = run(golden, "--quiet", "--json")
    assert told.exit_code == 6
    assert told.err == """\
ERROR E-GOLDEN-DIFFERS: 1 of 2 golden cases differs
  where:    <folder>/golden
    best:
      --- expected.csv (expected)
      +++ expected.csv (found)
      @@ -1,2 +1,2 @@
       user_id,item_id,score,rank
      -u1,a,1,1
      +u1,b,1,1
  next:     fix what changed; or, if the change is intended, rewrite what is expected with an update (--update) \
and review it
"""  # fmt: skip
    assert [result["outcome"] for result in json.loads(told.out)["results"]] == ["differs", "as expected"]
    assert run(golden, "--update").err.splitlines()[-1] == "INFO 2 golden cases: 1 as expected, 1 rewritten"


@pytest.mark.tensorflow
def test_one_model_for_all_cases(golden):
    run(golden, "--update")
    told = run(golden, "-q", "--model", ROOT / "tests" / "models" / "numbers")
    assert told.exit_code == 6
    assert "2 of 2 golden cases differ\n" in told.err
    assert '+error_id = "E-BINDING"' in told.err


@pytest.mark.parametrize("update", [[], ["--update"]], ids=["check", "update"])
def test_no_case_is_no_success(workplace, update):
    told = run(workplace, *update)
    assert (told.exit_code, told.out) == (2, "")
    assert told.err == """\
ERROR E-GOLDEN: there is no golden case
  where:    <folder>/golden
  found:    no folder
  expected: folders with a case.toml
  next:     check the path; `batchscore help compare` shows what a case looks like
"""  # fmt: skip


def test_a_case_that_is_not_valid_stops_before_any_runs(golden):
    (golden.folder / "golden/nulls/case.toml").write_text(CASE.replace("about", "abuot"))
    told = run(golden, "--update")
    assert (told.exit_code, told.out) == (2, "")
    assert told.err == """\
ERROR E-GOLDEN: not a valid golden case
  where:    <folder>/golden/nulls/case.toml
    about: Field required
    abuot: Extra inputs are not permitted
  next:     correct the file; `batchscore golden --update` writes what is expected
"""  # fmt: skip
    assert not (golden.folder / "golden/best/expected.toml").exists()


def test_a_model_that_is_not_there_is_never_what_is_expected(golden):
    told = run(golden, "--update", "--model", golden.folder / "nowhere")
    assert (told.exit_code, told.out) == (2, "")
    assert "    model: there is no folder <folder>/nowhere\n" in told.err
    assert not list(golden.folder.rglob("expected.*"))


@pytest.mark.tensorflow
def test_a_case_itself_may_be_named(golden, monkeypatch):
    monkeypatch.chdir(golden.folder / "golden" / "best")
    assert golden.command("golden", ".", "--update").err.splitlines()[0] == "INFO best: rewritten"


@pytest.mark.tensorflow
def test_the_same_from_python(golden, capsys):
    directory = golden.folder / "golden"
    with pytest.raises(UsageError, match="it is not there yet"):
        api.golden(directory)
    assert [result.outcome for result in api.golden(directory, update=True).results] == ["rewritten"] * 2
    report = api.golden(str(directory), model=str(golden.folder / "model"))
    assert (report.exit_code, report.summary()) == (0, "2 golden cases: 2 as expected")
    (directory / "best/expected.csv").write_text("user_id,item_id,score,rank\nu1,a,1,1\n")
    with pytest.raises(RefusedError) as caught:
        api.golden(directory)
    assert (caught.value.error_id, caught.value.report.exit_code) == ("E-GOLDEN-DIFFERS", 6)
    assert [result.case for result in caught.value.report.differing] == ["best"]
    assert capsys.readouterr().out == ""


@pytest.mark.tensorflow
def test_the_case_in_the_manual_is_one_that_a_team_can_write(tmp_path, batchscore):
    section = (ROOT / "batchscore" / "docs" / "compare.md").read_text("utf-8").partition("## Golden\n")[2]
    files = dict(re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    assert {Path(name).name for name in files} == {"case.toml", "pairs.csv", "expected.csv"}
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if "expected" not in name:
            (tmp_path / name).write_text(text)
    directory = tmp_path / next(iter(files)).split("/")[0]
    assert batchscore("golden", directory, "--update").exit_code == 0
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    told = batchscore("golden", directory)
    assert told.exit_code == 0, told.err
