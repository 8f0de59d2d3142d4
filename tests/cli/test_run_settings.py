"""Where `batchscore run` has its settings from, what it says of wrong ones, and what it prints."""

from __future__ import annotations

import datetime as dt
import json
import os

import pyarrow.parquet as pq
import pytest

from batchscore.settings.run import RunSettings


def write_toml(workplace, text: str, name: str = "run.toml"):
    path = workplace.folder / name
    path.write_text(text)
    return path


def told_settings(told) -> dict[str, str]:
    """--print-config as {setting: "value (source)"}."""
    lines = [line.split(maxsplit=1) for line in told.out.splitlines()]
    return {name: " ".join(rest.split()) for name, rest in lines}


def test_unknown_key(workplace):
    config = write_toml(workplace, "[run]\ntopn = 3\n")
    workplace.assert_refused(workplace.run("--config", config), 2, """\
E-CONFIG: 1 setting(s) of `batchscore run` are not valid
    topn: there is no such setting (from <folder>/run.toml); did you mean 'top_n'?
  next:     correct them; `batchscore run --help` lists every setting
""", recorded=False)  # fmt: skip


def test_every_wrong_value_is_named_with_its_source(workplace):
    config = write_toml(workplace, '[run]\nmax_bad_rows = "5 per cent"\nkeep = ["a=b", "a=c"]\nthreads = 1.5\n')
    told = workplace.run("--config", config, "--top-n", "0", "--max-unknown-users", "150%", "--map", "user_id")
    workplace.assert_refused(told, 2, """\
E-CONFIG: 6 setting(s) of `batchscore run` are not valid
    top_n: must be greater than 0 (given: '0', from flag)
    keep: 'a' is given twice (from <folder>/run.toml)
    map: 'user_id' is not of the form name=value (from flag)
    max_bad_rows: '5 per cent' is not a limit: write a count (100), a share (0.1%) or off (from <folder>/run.toml)
    max_unknown_users: '150%' is not a limit: write a count (100), a share (0.1%) or off (from flag)
    threads: must be a whole number (given: 1.5, from <folder>/run.toml)
  next:     correct them; `batchscore run --help` lists every setting
""", recorded=False)  # fmt: skip


def test_input_and_output_must_be_given(batchscore):
    told = batchscore("run")
    assert told.exit_code == 2
    assert (
        told.err
        == """\
ERROR E-CONFIG: 2 setting(s) of `batchscore run` are not valid
    input: not given; add --input or the key input
    output: not given; add --output or the key output
  next:     correct them; `batchscore run --help` lists every setting
"""
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run\n", "the configuration cannot be read: ..."),
        (None, "the configuration cannot be read: No such file or directory"),
    ],
)
def test_unreadable_configuration(workplace, text, message):
    config = write_toml(workplace, text) if text else workplace.folder / "run.toml"
    workplace.assert_refused(workplace.run("--config", config), 2, f"""\
E-CONFIG: {message}
  where:    <folder>/run.toml
  next:     correct the file or --config
""", recorded=False)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message", "found"),
    [
        ("[rnu]\ntop_n = 3\n", "the configuration has unknown entries; did you mean 'run'?", "[rnu]"),
        ("run = 3\n", "the configuration has unknown entries", "run"),
        ("top_n = 3\n[run]\n", "the configuration has unknown entries", "top_n"),
        ("[train]\n", "the configuration has no table [run]", "[train]"),
        ("", "the configuration has no table [run]", "an empty file"),
    ],
)
def test_wrong_tables(workplace, text, message, found):
    told = workplace.run("--config", write_toml(workplace, text))
    advice = "put every setting into its command's table"
    if "no table" in message:
        advice = "add [run], or leave --config out if the flags say everything"
    workplace.assert_refused(told, 2, f"""\
E-CONFIG: {message}
  where:    <folder>/run.toml
  found:    {found}
  expected: [run], and beside it only [train], [adopt], [evaluate], [features], [model], [tasks]
  next:     {advice}
""", recorded=False)  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--topn", "3"], "No such option '--topn'; did you mean '--top-n'?"),
        (["run", "--date", "tomorrow"], "Invalid value for '--date': 'tomorrow' is not a date: write YYYY-MM-DD"),
        (["rnu"], "No such command 'rnu'; did you mean 'run'?"),
        (["--topn"], "No such option '--topn'."),
        (["batch"], "No such command 'batch'."),
    ],
)
def test_wrong_command_lines(batchscore, arguments, message):
    told = batchscore(*arguments)
    assert told.exit_code == 2
    assert told.err.startswith(f"ERROR E-CONFIG: {message}")
    command = "batchscore run" if arguments[0] == "run" else "batchscore"
    assert told.err.endswith(f"\n  next:     see `{command} --help`\n")


def test_print_config_tells_each_value_and_its_source(workplace, monkeypatch):
    monkeypatch.setenv("BATCHSCORE_MODEL", "/models/night")
    config = write_toml(workplace, '[run]\ntop-n = 20\noutput = "lists/{date}.parquet"\n[run.fill]\nvalue = 0.5\n')
    told = workplace.shorten(
        workplace.command("run", "--input", "pairs.parquet", "--config", config, "--date", "2026-02-28",
                          "--max-bad-rows", "1%", "--print-config", "--threads", "3")
    )  # fmt: skip
    assert (told.exit_code, told.err) == (0, "")
    lines = {line.split()[0]: line for line in told.out.splitlines()}
    assert [*lines] == [*RunSettings.model_fields]
    width = max(map(len, lines))
    assert [line for line in lines.values() if not line.endswith("  (default)")] == [
        f"{name:<{width}}  {value}"
        for name, value in (
            ("input", "pairs.parquet  (flag)"),
            ("output", "<folder>/lists/2026-02-28.parquet  (<folder>/run.toml)"),
            ("model", "/models/night  (environment BATCHSCORE_MODEL)"),
            ("top_n", "20  (<folder>/run.toml)"),
            ("fill", "value=0.5  (<folder>/run.toml)"),
            ("max_bad_rows", "1%  (flag)"),
            ("threads", "3  (flag)"),
            ("date", "2026-02-28  (flag)"),
        )
    ]
    defaults = ("job", "the output's"), ("allow_nonfinite", "-"), ("max_user_drop", "20%"), ("trust_model", "False")
    assert [lines[name] for name, _ in defaults] == [
        f"{name:<{width}}  {value}  (default)" for name, value in defaults
    ]


def test_flag_wins_over_toml_over_environment_over_default(workplace, monkeypatch):
    def model_and_top_n(*flags: object) -> tuple[str, str]:
        told = workplace.shorten(
            workplace.command("run", "--print-config", "--input", "p", "--output", "o", *flags)
        )
        settings = told_settings(told)
        return settings["model"], settings["top_n"]

    assert model_and_top_n() == ("BATCHSCORE_MODEL, otherwise model/ beside the input (default)", "10 (default)")
    monkeypatch.setenv("BATCHSCORE_MODEL", "env")
    assert model_and_top_n() == ("env (environment BATCHSCORE_MODEL)", "10 (default)")
    config = write_toml(workplace, '[run]\nmodel = "toml"\ntop_n = 7\n')
    assert model_and_top_n("--config", config) == ("<folder>/toml (<folder>/run.toml)", "7 (<folder>/run.toml)")
    flags = ["--config", config, "--model", "flag", "--top-n", "10"]
    assert model_and_top_n(*flags) == ("flag (flag)", "10 (flag)")


@pytest.mark.tensorflow
def test_paths_in_toml_are_relative_to_it_and_flags_to_the_working_directory(workplace, monkeypatch):
    jobs, elsewhere = workplace.folder / "jobs", workplace.folder / "elsewhere"
    jobs.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (jobs / "run.toml").write_text(
        f'[run]\ninput = "../pairs.parquet"\nmodel = "{os.path.relpath(workplace.echo, jobs.resolve())}"\n'
        'output = "../from_toml.parquet"\nstate_dir = "state"\n'
    )
    assert workplace.command("run", "--config", jobs / "run.toml").exit_code == 0
    assert (workplace.folder / "from_toml.parquet").is_file()
    assert len(list((jobs / "state").glob("from_toml.parquet-*.report.json"))) == 1
    assert workplace.command("run", "--config", "../jobs/run.toml", "--output", "by_flag.parquet").exit_code == 0
    assert (elsewhere / "by_flag.parquet").is_file()


@pytest.mark.tensorflow
def test_date_in_paths(workplace):
    workplace.pairs.rename(workplace.folder / "pairs-2026-02-28.parquet")
    told = workplace.run(
        "--input", workplace.folder / "pairs-{date}.parquet",
        "--output", workplace.folder / "ranked-{date}.parquet", "--date", "2026-02-28",
    )  # fmt: skip
    assert told.exit_code == 0
    assert (workplace.folder / "ranked-2026-02-28.parquet").is_file()


def test_date_is_today_in_utc_by_default(batchscore):
    before = dt.datetime.now(dt.UTC).date()
    told = batchscore("run", "--input", "p-{date}", "--output", "o", "--print-config")
    after = dt.datetime.now(dt.UTC).date()
    assert told_settings(told)["input"] in {f"p-{before} (flag)", f"p-{after} (flag)"}


@pytest.mark.tensorflow
def test_the_model_beside_the_input_is_used_with_a_warning(workplace):
    workplace.copy_model()
    told = workplace.shorten(workplace.command("run", "--input", workplace.pairs, "--output", workplace.output))
    assert told.exit_code == 0
    assert told.troubles == "WARNING no --model given: using <folder>/model beside the input\n"
    assert told.err.rstrip().endswith(", 1 warning")


@pytest.mark.tensorflow
def test_the_model_of_the_environment(workplace, monkeypatch):
    monkeypatch.setenv("BATCHSCORE_MODEL", str(workplace.echo))
    told = workplace.command("run", "--input", workplace.pairs, "--output", workplace.output)
    assert (told.exit_code, told.troubles) == (0, "")


@pytest.mark.tensorflow
def test_json_prints_the_report_and_nothing_else(workplace):
    told = workplace.command(
        "run",
        "--input",
        workplace.pairs,
        "--output",
        workplace.output,
        "--model",
        workplace.echo,
        "--json",
        "--quiet",
    )
    assert (told.exit_code, told.err) == (0, "")
    assert told.out == (workplace.state / "ranked.parquet.report.json").read_text()
    report = json.loads(told.out)
    assert (report["status"], report["users"], report["rows_written"]) == ("published", 2, 3)


@pytest.mark.tensorflow
def test_quiet_says_only_what_went_wrong(workplace):
    told = workplace.run("--quiet")
    assert (told.exit_code, told.out, told.err) == (0, "", "")
    workplace.write_pairs(user_id=["u1", None, "u2"])
    told = workplace.run("--quiet", "--max-bad-rows", "1", "--max-pair-drop", "off")
    assert (told.exit_code, told.err) == (0, "WARNING 1 bad row was left out (within --max-bad-rows)\n")
    workplace.write_pairs(user_id=["u1", "u2", None])
    told = workplace.run("--quiet")
    assert told.exit_code == 3
    assert told.err.startswith("ERROR E-BAD-ROWS: 1 bad row\n")


@pytest.mark.tensorflow
def test_a_run_tells_its_model_and_its_result(workplace):
    told = workplace.run()
    model, first, probes, plan, summary = told.err.splitlines()
    assert model.startswith("INFO model 1 at <echo>/1 (highest complete version), fingerprint ")
    assert model.endswith("; signature serving_default (model card); score score (model card)")
    assert first == ("INFO this job has no published output yet: this run has nothing to compare itself with")
    assert probes == "INFO probes: 2 rows, worst difference 0 (tolerance 0.000131)"
    assert plan == "INFO plan off: 3 pairs are scored faster without a plan (it pays off from 50,000 on)"
    assert summary.startswith(
        "INFO published 2 users, 3 rows, model 1, 2 candidates, scores 2 ± 0.82, "
        "unknown users 0.0 % candidates 0.0 %, plan off, "
    )
    assert summary.endswith(" s, 0 warnings")
    assert pq.read_table(workplace.output).to_pylist() == [
        {"user_id": "u1", "item_id": "b", "score": 2.0, "rank": 1},
        {"user_id": "u1", "item_id": "a", "score": 1.0, "rank": 2},
        {"user_id": "u2", "item_id": "a", "score": 3.0, "rank": 1},
    ]


def test_names_that_would_steer_a_terminal_are_spelled_out(workplace):
    workplace.write_pairs(**{"\x1b[31mred\n": [1, 2, 3]}, value=["x", "y", "z"])
    workplace.assert_refused(workplace.run(), 2, """\
E-BINDING: the pair columns do not fit signature 'serving_default'
  where:    <folder>/pairs.parquet
  found:    columns user_id string, item_id string, value string, \\x1b[31mred\\n int64
  expected: inputs item_id string [n], user_id string [n], value float32 [n]
    input value float32 [n] cannot take column 'value' of type string: write it as numbers
    bound: item_id <- item_id, user_id <- user_id
  next:     correct what is named above
""")  # fmt: skip
