"""Paths: what is none of this machine's files is told at once and alike, wherever a path is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import batchscore
from batchscore.cli import group
from batchscore.datasets.movielens import convert_movielens
from batchscore.datasets.synthetic import generate_sample
from batchscore.errors import UsageError
from batchscore.settings.adopt import AdoptSettings
from batchscore.settings.lists import DiffSettings, EvaluateSettings
from batchscore.settings.paths import require_no_pattern, require_usable
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings
from batchscore.settings.train import TrainSettings

SETTINGS = {
    "run": (RunSettings, {"input": "i", "output": "o"}),
    "train": (TrainSettings, {"input": "i.parquet", "output": "o"}),
    "diff": (DiffSettings, {"old": "o", "new": "n"}),
    "evaluate": (EvaluateSettings, {"ranked": "r", "truth": "t.parquet"}),
    "adopt": (AdoptSettings, {"saved_model": "m", "output": "o"}),
}
WRITTEN = {"output", "state_dir", "plan_cache", "tensorboard"}
PATHS = [
    (command, name)
    for command, (kind, _) in SETTINGS.items()
    for name, field in kind.model_fields.items()
    if field.annotation in (Path, Path | None)
]


def refusal(command, name, value, **how):
    kind, required = SETTINGS[command]
    with pytest.raises(UsageError) as caught:
        resolve(kind, command, required | {name: value}, environ={}, **how)
    assert (caught.value.error_id, caught.value.exit_code) == ("E-CONFIG", 2)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "s3://bucket/pairs/a.parquet",
            "copy, for example with `aws s3 cp s3://bucket/pairs/a.parquet a.parquet`",
        ),
        ("gs://bucket/a.parquet", "gs://bucket/a.parquet is a URL, and only files are read and written: mount the"),
        ("file:///data/a.parquet", "file:///data/a.parquet is a URL: give the path itself, /data/a.parquet"),
        ("abfss://box@host/a.parquet", "azcopy copy abfss://box@host/a.parquet a.parquet"),
        ("hdfs://name/a.parquet", "hdfs dfs -get hdfs://name/a.parquet a.parquet"),
        ("https://host/a.parquet", "curl -o a.parquet https://host/a.parquet"),
        ("memory+x://a.parquet", "mount the store, or copy"),
        ("~/a.parquet", "~/a.parquet is not there, and only a shell would expand it: write the path out"),
        ("$HOME/a.parquet", "$HOME/a.parquet is not there, and only a shell would expand it"),
    ],
)
@pytest.mark.parametrize(("command", "name"), PATHS)
def test_a_url_is_refused_wherever_a_path_is_given(command, name, url, said):
    for value in (url, Path(url)):
        assert f"{name}: " in refusal(command, name, value)
        if name in WRITTEN and "://" in url and not url.startswith("file:"):
            assert "is a URL, and only files are written: mount the store, or copy the" in refusal(
                command, name, value
            )
        else:
            assert said in refusal(command, name, value)


def test_a_url_in_a_file_is_not_taken_for_a_path_beside_it(tmp_path):
    config = tmp_path / "run.toml"
    for value in ("s3://bucket/a.parquet", "~/a.parquet"):
        config.write_text(f'[run]\ninput = "{value}"\noutput = "o"\n')
        with pytest.raises(UsageError) as caught:
            resolve(RunSettings, "run", {}, config=config, environ={})
        assert f"input: {value} is" in str(caught.value)
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "a.parquet").touch()
    assert resolve(RunSettings, "run", {}, config=config, environ={}).settings.input == tmp_path / "~" / "a.parquet"


@pytest.mark.parametrize(("command", "name"), [*PATHS, ("run", "output")])
def test_an_empty_path_is_not_the_working_directory(tmp_path, command, name):
    assert f"{name}: a path cannot be empty (is a variable not set?) (from argument)" in refusal(command, name, "")
    if command == "diff":
        return
    config = tmp_path / "night.toml"
    config.write_text(f'[{command}]\n{name} = ""\n')
    with pytest.raises(UsageError, match=f"{name}: a path cannot be empty"):
        resolve(SETTINGS[command][0], command, {}, config=config, environ={})


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", ""],
        ["golden", ""],
        ["golden", "g", "--model", ""],
        ["rollback", ""],
        ["rollback", "r.parquet", "--state-dir", ""],
        ["data", "synthetic", "--output", ""],
        ["run", "--config", ""],
    ],
)
def test_an_empty_path_on_the_command_line(words):
    result = CliRunner().invoke(group, words)
    assert getattr(result.exception, "exit_code", result.exit_code) == 2
    assert "a path cannot be empty (is a variable not set?)" in str(result.exception) + result.output


@pytest.mark.parametrize(
    "pattern",
    ["pairs/*.parquet", "pairs/part-0000?.parquet", "day=[0-9]/a.parquet", "{a,b}.parquet", "part-{0..9}.parquet"],
)
@pytest.mark.parametrize(("command", "name"), PATHS)
def test_a_pattern_is_refused_where_files_are_read(command, name, pattern):
    if name in WRITTEN:
        require_usable(Path(pattern))
    else:
        assert "is not there, and a pattern is not expanded: give the file or the folder itself" in refusal(
            command, name, pattern
        )


def test_files_that_are_called_so_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("s3:/bucket/a", "pairs[1].parquet", "what?*", "{a,b}", "~/a", "$HOME/a", "a:b", "c:/a"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        for given in (path, Path(name)):
            require_usable(given)
            require_no_pattern(given)


@pytest.mark.parametrize("name", ["a:b.parquet", "day:2026/a.parquet", "/data/s3://a", "c:/a", "a$b", "a~"])
def test_what_only_looks_like_one_may_come_later(name):
    require_usable(Path(name))


@pytest.mark.parametrize(
    "call",
    [
        batchscore.inspect,
        lambda url: batchscore.inspect("model", plan_cache=url),
        batchscore.golden,
        lambda url: batchscore.golden("golden", model=url),
        batchscore.rollback,
        lambda url: batchscore.rollback("ranked.parquet", state_dir=url),
        lambda url: convert_movielens(url, Path("data")),
        lambda url: convert_movielens("ml-1m", Path(url)),
        lambda url: generate_sample(Path(url)),
        lambda url: batchscore.run(config=url),
        lambda url: batchscore.run(input="i", output="o", model=url),
    ],
)
def test_every_other_path_is_treated_alike(call):
    with pytest.raises(UsageError) as caught:
        call("s3://bucket/x")
    assert caught.value.error_id == "E-CONFIG"
    assert re.search(r"s3://bucket/x is a URL, and only files are (read and )?written", str(caught.value))
    assert "s3:/bucket" not in str(caught.value)
