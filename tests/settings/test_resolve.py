"""Settings: precedence, paths, dates, limits, and messages that name every wrong value and its source."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchscore.errors import UsageError
from batchscore.settings.limits import Limit
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings
from batchscore.settings.train import TrainSettings

REQUIRED = {"input": "pairs.parquet", "output": "ranked.parquet"}


def run_settings(flags=None, **how):
    return resolve(RunSettings, "run", REQUIRED | (flags or {}), environ=how.pop("environ", {}), **how)


@pytest.fixture
def toml(tmp_path):
    def write(text, folder=tmp_path):
        folder.mkdir(exist_ok=True)
        path = folder / "job.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(**how):
    with pytest.raises(UsageError) as caught:
        run_settings(**how)
    assert caught.value.error_id == "E-CONFIG"
    assert caught.value.exit_code == 2
    return str(caught.value)


# limits


@given(percent=st.integers(0, 100), total=st.integers(0, 10**9))
def test_a_share_allows_exactly_its_part(percent, total):
    limit = Limit.parse(f"{percent}%")
    most = percent * total // 100
    assert not limit.exceeded(most, total)
    assert limit.exceeded(most + 1, total)


@given(count=st.integers(0, 10**12), total=st.integers(0, 10**12))
def test_a_count_allows_exactly_itself(count, total):
    limit = Limit.parse(count)
    assert not limit.exceeded(count, total)
    assert limit.exceeded(count + 1, total)


def test_shares_are_exact_where_binary_fractions_are_not():
    assert not Limit.parse("0.1%").exceeded(1, 1000)
    assert not Limit.parse("29%").exceeded(29, 100)
    assert not Limit.parse("0.07%").exceeded(7, 10_000)
    assert Limit.parse("0.07%").exceeded(8, 10_000)


def test_off_allows_everything():
    assert not Limit.parse(" OFF ").exceeded(10**12, 1)
    assert str(Limit.parse("Off")) == "off"


@pytest.mark.parametrize(
    "text", ["", "-1", "101%", "-1%", "nan%", "inf%", "%", "1.5", "ten", "1/3%", True, None, "0x10"]
)
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(ValueError, match=r"write a count \(100\), a share \(0.1%\) or off"):
        Limit.parse(text)


def test_the_defaults_are_the_limits_that_their_text_spells():
    defaults = run_settings().settings
    for limit in (defaults.max_bad_rows, defaults.max_unknown_users, defaults.max_unknown_candidates):
        assert limit == Limit.parse(limit.text)


# precedence and sources


def test_flag_beats_toml_beats_environment_beats_default(toml):
    config = toml('[run]\nmodel = "from_toml"\ntop-n = 7\nmax_bad_rows = "0.1%"\n')
    environ = {"BATCHSCORE_MODEL": "from_environment"}

    found = run_settings(environ=environ)
    assert found.settings.model == Path("from_environment")
    assert found.sources["model"] == "environment BATCHSCORE_MODEL"
    assert found.sources["top_n"] == "default"

    found = run_settings(config=config, environ=environ)
    assert found.settings.model == config.parent / "from_toml"
    assert found.settings.top_n == 7
    assert found.sources["model"] == found.sources["top_n"] == str(config)
    assert found.settings.max_bad_rows == Limit.parse("0.1%")

    found = run_settings({"model": "from_flag", "top_n": "3"}, config=config, environ=environ)
    assert found.settings.model == Path("from_flag")
    assert found.settings.top_n == 3
    assert found.sources["model"] == found.sources["top_n"] == "argument"


def test_a_flag_that_was_not_given_is_no_flag(toml):
    config = toml('[run]\nkeep = ["title"]\nsignature = "score"\n')
    found = run_settings({"keep": (), "signature": None}, config=config)
    assert found.settings.keep == {"title": "title"}
    assert found.settings.signature == "score"


def test_an_empty_environment_variable_is_not_set():
    assert run_settings(environ={"BATCHSCORE_MODEL": ""}).settings.model is None


def test_paths_in_toml_resolve_against_its_folder_and_flags_against_the_working_directory(
    toml, tmp_path, monkeypatch
):
    toml('[run]\nstate_dir = "state"\nmodel = "/models/ranking"\n', tmp_path / "jobs")
    monkeypatch.chdir(tmp_path)
    found = run_settings(config=Path("jobs/job.toml")).settings
    assert found.state_dir == tmp_path / "jobs" / "state"
    assert found.model == Path("/models/ranking")
    assert found.input == Path("pairs.parquet")


def test_date_fills_paths_and_nothing_else(toml):
    config = toml('[run]\ninput = "pairs/{date}.parquet"\nset = {day = "{date}"}\n')
    flags = {"output": "ranked-{date}.parquet"}
    found = resolve(RunSettings, "run", flags, config=config, date=dt.date(2024, 2, 29), environ={}).settings
    assert found.input == config.parent / "pairs" / "2024-02-29.parquet"
    assert found.output.path == Path("ranked-2024-02-29.parquet")
    assert found.output.written == Path("ranked-{date}.parquet")
    assert found.set == {"day": "{date}"}


def test_date_is_today_in_utc_unless_given():
    found = run_settings({"output": "{date}"}).settings.output.path
    assert abs(dt.date.fromisoformat(str(found)) - dt.datetime.now(dt.UTC).date()) <= dt.timedelta(days=1)


# values


def test_assignments_from_flags_and_from_toml_are_the_same(toml):
    flags = {
        "map": ["item=movie_id"],
        "set": ["label=0", "text=a=b"],
        "fill": ["age=1.5"],
        "keep": ["title", "old=score"],
    }
    table = (
        '[run]\nkeep = ["title", "old=score"]\n[run.map]\nitem = "movie_id"\n'
        '[run.set]\nlabel = 0\ntext = "a=b"\n[run.fill]\nage = 1.5\n'
    )
    assert run_settings(flags).settings == run_settings(config=toml(table)).settings


@pytest.mark.parametrize(
    ("text", "expected"), [("w", {"w": "w"}), ("new=w", {"new": "w"}), ("a=b=c", {"a": "b=c"})]
)
def test_one_column_to_keep_needs_no_list(toml, text, expected):
    assert run_settings({"keep": text}).settings.keep == expected
    assert run_settings(config=toml(f'[run]\nkeep = "{text}"\n')).settings.keep == expected


@pytest.mark.parametrize("name", ["{Date}", "{day}", "{date:%Y}", "{run_id}"])
def test_only_the_date_fills_paths(toml, name):
    message = refused(flags={"output": f"ranked-{name}.parquet"})
    assert f"output: {name} is not a placeholder: only {{date}} is filled in (from argument)" in message
    message = refused(config=toml(f'[run]\nmodel = "{name}"\n'))
    assert f"model: {name} is not a placeholder" in message


@pytest.mark.parametrize("name", ["a{}b", "{3f}", "{a,b}", "{a-b}", "}date{"])
def test_other_braces_in_paths_are_themselves(name):
    assert run_settings({"output": name}).settings.output.path == Path(name)


@pytest.mark.parametrize("key", ["input", "output", "model", "state_dir"])
def test_a_path_that_no_file_can_have_is_refused(toml, key):
    assert f"{key}: a path cannot hold a NUL character" in refused(flags={key: Path("a\0b")})
    config = toml(f'[run]\n{key} = "a\\u0000b"\n')
    with pytest.raises(UsageError, match=f"{key}: a path cannot hold a NUL character"):
        resolve(RunSettings, "run", {}, config=config, environ={})


def test_a_path_that_is_no_text_is_refused(tmp_path, monkeypatch):
    latin = os.fsdecode(b"caf\xe9")
    message = refused(flags={"input": f"{latin}/pairs.parquet", "output": Path(latin)})
    assert "/caf\\udce9/pairs.parquet' is not UTF-8, and the report could not name it; rename it (from" in message
    assert "/caf\\udce9' is not UTF-8" in message
    (tmp_path / latin).mkdir()
    monkeypatch.chdir(tmp_path / latin)
    assert "is not UTF-8" in refused()


def test_a_configuration_is_not_the_output(toml, tmp_path):
    config = toml('[run]\ninput = "pairs.parquet"\noutput = "job.toml"\n')
    with pytest.raises(UsageError, match="E-OUTPUT-IS-INPUT: output and configuration are the same file") as caught:
        resolve(RunSettings, "run", {}, config=config, environ={})
    assert caught.value.exit_code == 2
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="E-OUTPUT-IS-INPUT"):
        run_settings({"output": tmp_path / "link" / "job.toml"}, config=config)


def test_toml_booleans_are_spelled_as_flags_are(toml):
    assert run_settings(config=toml("[run.set]\nlive = true\n")).settings.set == {"live": "true"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("map", ["item"], "'item' is not of the form name=value"),
        ("map", ["=x"], "'=x' is not of the form name=value"),
        ("set", ["a=1", "a=2"], "'a' is given twice"),
        ("keep", ["a=x", "a=y"], "'a' is given twice"),
        ("top_n", "0", "greater than 0"),
        ("top_n", "ten", "must be a whole number (given: 'ten', from argument)"),
        ("max_bad_rows", "-3", "'-3' is not a limit"),
        ("keep_previous", "-1", "greater than or equal to 0"),
        ("keep_previous", "1001", "less than or equal to 1000"),
        ("threads", "257", "less than or equal to 256"),
        ("threads", "9" * 20, "less than or equal to 256"),
        ("top_n", str(2**31), "less than 2147483648"),
        ("top_n", "9" * 5000, "must be a whole number (given: '999"),
        ("min_score", "high", "must be a number (given: 'high', from argument)"),
        ("min_score", True, "true is neither a number nor text"),
        ("allow_equal_scores", "maybe", "must be true or false (given: 'maybe', from argument)"),
        ("min_users", dt.date(2026, 1, 2), "must be a whole number (given: 2026-01-02, from argument)"),
        ("max_bad_rows", "1e-99999999%", "is not a limit"),
        ("tpo_n", 3, "there is no such setting (from argument)"),
    ],
)
def test_a_wrong_value_is_named_with_its_source(key, value, expected):
    message = refused(flags={key: value})
    assert f"    {key}: " in message
    assert expected in message


def test_all_wrong_values_are_told_at_once(toml):
    config = toml('[run]\ntop_n = 0\nmax_bad_rows = "lots"\n')
    message = refused(config=config, flags={"threads": "none"})
    assert "3 setting(s)" in message
    assert message.count(f"from {config})") == 2
    assert message.count("from argument)") == 1


def test_a_caller_is_told_of_arguments_and_a_command_line_of_flags():
    with pytest.raises(UsageError) as caught:
        resolve(RunSettings, "run", {"top_n": 0}, environ={})
    assert "    input: not given\n" in str(caught.value)
    assert "top_n: must be greater than 0 (given: 0, from argument)" in str(caught.value)
    with pytest.raises(UsageError) as caught:
        resolve(RunSettings, "run", {"top_n": 0}, environ={}, given_as="flag")
    assert "input: not given; add --input or the key input" in str(caught.value)
    assert "output: not given; add --output or the key output" in str(caught.value)
    assert "top_n: must be greater than 0 (given: 0, from flag)" in str(caught.value)


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        run_settings().settings.top_n = 3


# TOML files


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no table [run]"),
        ("[train]\n", "no table [run]"),
        ("[run]\n[rnu]\n", "unknown entries"),
        ("top_n = 3\n", "unknown entries"),
        ("run = 3\n", "unknown entries"),
        ("[run]\ntop_n = 3\ntop-n = 4\n", "top_n is given twice"),
        ("[run]\ntop_n = 3\ntop_n = 3\n", "line 3: top_n is given twice; keep one of them"),
        ('[run]\n"top_n" = 3\n"top_n" = 4\n', "line 3: top_n is given twice; keep one of them"),
        ('[run]\nkeep = []\nkeep = [\n"a",\n]\n', "line 5: keep is given twice; keep one of them"),
        ("[run]\n[run]\n", "line 2: the table [run] is given twice; put all its keys below the first"),
        ("[run.fill]\na = 1\n[run.fill]\n", "line 3: the table [run.fill] is given twice"),
        ("[run]\njson = true\nquiet = true\n", "give --json --quiet on the command line"),
        ("[run\n", "the configuration cannot be read"),
        ("\ufeff[run]\n", "cannot be read: it begins with a byte order mark (BOM); save it as UTF-8 without one"),
    ],
)
def test_a_file_that_cannot_mean_anything_is_refused(toml, text, expected):
    config = toml(text)
    message = refused(config=config)
    assert expected in message
    assert str(config) in message


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "No such file" in refused(config=tmp_path / "none.toml")
    assert "a path cannot hold a NUL character" in refused(config="no\0file.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "job.toml").write_bytes(b"\xff\xfe")
    assert "the configuration cannot be read" in refused(config=tmp_path / "job.toml")


@pytest.mark.parametrize("value", ["true", "1.5", '"1.5"', "[1]"])
def test_a_count_is_a_whole_number(toml, value):
    assert "top_n: " in refused(config=toml(f"[run]\ntop_n = {value}\n"))


def test_training_reads_parquet_or_csv_only():
    with pytest.raises(UsageError, match=r"ratings.json is neither .parquet nor .csv"):
        resolve(TrainSettings, "train", {"input": "ratings.json", "output": "model"}, environ={})


def test_the_date_is_filled_later_in_constants_and_never_stands_in_a_file(toml):
    settings = run_settings({"set": ["at={date}"]}, date="2024-02-29").settings
    assert (settings.set, settings.date) == ({"at": "{date}"}, dt.date(2024, 2, 29))
    assert run_settings().sources["date"] == "default"
    for text in ("2024-02-29", '"2024-02-29"'):
        assert "date cannot be set in a file" in refused(config=toml(f"[run]\ndate = {text}\n"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max_user_drop = off", 'line 2: off is text, and text needs quotes: max_user_drop = "off"'),
        ("max_user_drop = 50%  # half", 'line 2: 50% is text, and text needs quotes: max_user_drop = "50%"'),
        ("max-input-age = 26h", 'line 2: 26h is text, and text needs quotes: max-input-age = "26h"'),
        ("set.at = {date}", 'line 2: {date} is text, and text needs quotes: set.at = "{date}"'),
        ("model = models/night", 'line 2: models/night is text, and text needs quotes: model = "models/night"'),
    ],
)
def test_text_without_quotes_is_shown_with_them(toml, line, message):
    assert message in refused(config=toml(f"[run]\n{line}\ntop_n = 3\n"))


@pytest.mark.parametrize(
    "text", ["[run\n", '[run]\na = "b\n', "[run]\na = [1,\n", "[run]\n= 3\n", "[run]\na == 3\n"]
)
def test_what_else_is_wrong_with_toml_is_told_as_it_is(toml, text):
    assert "the configuration cannot be read: " in refused(config=toml(text))


def test_no_for_a_limit_is_off(toml):
    assert 'false is neither a number nor text; write "off"' in refused(
        config=toml("[run]\nmax_user_drop = false\n")
    )


@pytest.mark.parametrize(
    ("kind", "table", "text", "message"),
    [
        (RunSettings, "run", "[run]\ntopn = 3\n", "topn: there is no such setting (from"),
        (RunSettings, "run", "[run]\ntopn = 3\n", "job.toml); did you mean 'top_n'?"),
        (RunSettings, "run", "[run]\nzzz = 3\n", "zzz: there is no such setting (from"),
        (RunSettings, "run", "[rnu]\n", "did you mean 'run'?"),
        (TrainSettings, "train", "[train]\nepoch = 3\n", "did you mean 'epochs'?"),
        (TrainSettings, "train", '[train]\n[features.g]\nkind = "list"\nrole = "user"\nseperator = ","\n',
         "features.g.seperator: there is no such setting (from"),
        (TrainSettings, "train", '[train]\n[model]\ninteracton = "dot"\n', "did you mean 'interaction'?"),
        (TrainSettings, "train", '[train]\n[tasks.c]\nkind = "click"\nlabel = "c"\nnegative = 2\n', "'negatives'?"),
    ],
)  # fmt: skip
def test_an_unknown_key_is_asked_back(toml, kind, table, text, message):
    with pytest.raises(UsageError) as caught:
        resolve(kind, table, {"input": "a.parquet", "output": "b"}, config=toml(text), environ={})
    assert message in str(caught.value)
