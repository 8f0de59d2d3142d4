import zipfile

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from batchscore.cli.data import command
from batchscore.datasets.download import KNOWN_ARCHIVES
from batchscore.errors import UsageError

LICENCE = (
    "MovieLens data comes from GroupLens, University of Minnesota, under its own terms: see the README inside the "
    "archive; redistribution only under its terms.\n"
)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "ml.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("ratings.csv", "userId,movieId,rating,timestamp\n1,5,3.5,10\n2,6,4,20\n2,7,1,30\n")
        file.writestr("movies.csv", "movieId,title,genres\n5,A (1990),Drama\n6,B (1991),Drama\n7,C (1992),Drama\n")
    return path


def invoke(*args):
    return CliRunner().invoke(command, [str(arg) for arg in args])


def test_movielens_writes_two_files_and_names_the_licence_once(archive, tmp_path):
    output = tmp_path / "out"
    result = invoke("movielens", archive, "--output", output, "--candidates-per-user", 1, "--seed", 7)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert result.stderr.count(LICENCE) == 1
    assert f"3 interactions of 2 users and 3 movies (3 rated) in {output / 'interactions.parquet'}" in result.stderr
    assert pq.read_table(output / "interactions.parquet").num_rows == 3
    assert pq.read_table(output / "pairs.parquet").num_rows == 2


def test_quiet_is_quiet(archive, tmp_path):
    for args in (("movielens", archive), ("synthetic",)):
        result = invoke(*args, "--output", tmp_path / "out", "--quiet")
        assert (result.exit_code, result.output) == (0, "")


def test_the_seed_decides_the_pairs(archive, tmp_path):
    drawn = set()
    for seed in range(20):
        invoke("movielens", archive, "--output", tmp_path, "--candidates-per-user", 1, "--seed", seed)
        drawn.add(pq.read_table(tmp_path / "pairs.parquet")["movie_id"][0].as_py())
    assert drawn == {"6", "7"}


def test_synthetic_writes_the_sample(tmp_path):
    result = invoke("synthetic", "--output", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "12,000 interactions of 200 users and 300 movies" in result.stderr
    assert pq.read_table(tmp_path / "pairs.parquet").num_rows == 20_000


def test_failures_reach_the_command_line_as_they_are(tmp_path):
    result = invoke("movielens", tmp_path / "missing.zip", "--output", tmp_path / "out")
    assert isinstance(result.exception, UsageError)
    assert result.exception.error_id == "E-CONFIG"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("movielens",), "Missing argument 'PATH_OR_NAME'"),
        (("movielens", "x"), "Missing option '--output'"),
        (
            ("movielens", "x", "--output", "y", "--candidates-per-user", "0"),
            "candidates_per_user: must be greater",
        ),
        (("synthetic",), "Missing option '--output'"),
    ],
)
def test_usage_errors_exit_2(args, message):
    result = invoke(*args)
    assert getattr(result.exception, "exit_code", result.exit_code) == 2
    assert message in result.output + str(result.exception)


def test_help_names_every_known_archive_the_extra_and_the_licence():
    text = " ".join(invoke("movielens", "--help").output.split())
    assert all(name in text for name in KNOWN_ARCHIVES)
    assert "pip install 'batchscore[download]'" in text
    assert "see the README inside the archive; redistribution only under its terms" in text
