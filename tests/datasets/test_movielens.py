import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchscore import columns
from batchscore.datasets.movielens import convert_movielens
from batchscore.errors import UsageError
from batchscore.observer import Observer


def rows(path):
    return [tuple(row.values()) for row in pq.read_table(path, page_checksum_verification=True).to_pylist()]


def digests(report):
    paths = (report.interactions_path, report.pairs_path)
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


@pytest.mark.parametrize("layout", ["CSV", "DAT", "TAB"])
def test_a_small_archive_becomes_interactions_and_pairs(make_zip, movielens_files, tmp_path, layout):
    output = tmp_path / "made" / "here"
    report = convert_movielens(make_zip(movielens_files(layout)), output, candidates_per_user=3)
    assert rows(output / "interactions.parquet") == [
        ("2", "4", "Señor Nobody (1994)", "", 700, 1.0),
        ("2", "1", "Long Road, The (1991)", "Comedy|Drama", 800, 4.0),
        ("2", "31", "Star Ferry: The End (1993)", "Drama", 800, 2.0),
        ("10", "2", 'The "Blue" Café (1992)', "Drama", 900, 5.0),
        ("10", "30", "Star Ferry: The End (1993)", "Comedy", 900, 3.0),
    ]
    # all that somebody has rated: user 2 has but two left
    assert rows(output / "pairs.parquet") == [("2", "2"), ("2", "30"), ("10", "1"), ("10", "4"), ("10", "31")]
    assert str(report) == (
        f"{tmp_path / 'archive.zip'}: 5 interactions of 2 users and 6 movies (5 rated) in "
        f"{output / 'interactions.parquet'}; 5 pairs in {output / 'pairs.parquet'}; "
        "1 users have fewer candidates, all that they have not rated"
    )
    assert sorted(path.name for path in output.iterdir()) == ["interactions.parquet", "pairs.parquet"]


def test_the_files_are_plain_parquet_with_the_schemas_of_columns(make_zip, movielens_files, tmp_path):
    report = convert_movielens(make_zip(movielens_files("CSV")), tmp_path)
    for path, schema in ((report.interactions_path, columns.INTERACTIONS), (report.pairs_path, columns.PAIRS)):
        file = pq.ParquetFile(path)
        assert file.schema_arrow.equals(schema, check_metadata=True)
        assert set(file.metadata.metadata or {}) <= {b"ARROW:schema"}
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert (report.interactions_bytes, report.pairs_bytes) == tuple(
        path.stat().st_size for path in (report.interactions_path, report.pairs_path)
    )


def test_a_damaged_page_of_the_files_is_noticed(make_zip, movielens_files, tmp_path):
    report = convert_movielens(make_zip(movielens_files("CSV")), tmp_path)
    content = bytearray(report.pairs_path.read_bytes())
    content[60] ^= 1
    report.pairs_path.write_bytes(content)
    with pytest.raises((OSError, pa.ArrowInvalid)):
        pq.read_table(report.pairs_path, page_checksum_verification=True)


def test_a_user_who_rated_everything_has_no_pairs(make_zip, tmp_path):
    files = {"u.data": b"1\t5\t3\t0\n", "u.item": b"5|Only One|||\n", "u.genre": b""}
    report = convert_movielens(make_zip(files), tmp_path)
    assert rows(report.pairs_path) == []
    assert pq.read_schema(report.pairs_path).equals(columns.PAIRS)
    assert (report.users, report.short_users, report.pairs) == (1, 1, 0)


def test_the_observer_hears_of_every_stage_and_row(make_zip, movielens_files, tmp_path):
    heard = []

    class Recorder(Observer):
        def stage(self, name, total_rows=None):
            heard.append((name, total_rows))

        def advance(self, rows):
            heard.append(rows)

        def committing(self):
            heard.append("committing")

    convert_movielens(make_zip(movielens_files("CSV")), tmp_path, observer=Recorder())
    assert heard == [
        ("reading archive.zip", None),
        ("writing interactions", 5),
        5,
        ("writing pairs", None),
        5,
        "committing",
    ]


def test_neither_a_path_nor_a_name(tmp_path):
    with pytest.raises(UsageError) as caught:
        convert_movielens("ml-2m", tmp_path)
    assert str(caught.value) == (
        "E-CONFIG: there is no such archive\n"
        f"  where:    {Path('ml-2m').absolute()}\n"
        "  expected: a path that exists, or one of the names "
        "ml-latest-small, ml-100k, ml-1m, ml-20m, ml-25m, ml-32m\n"
        "  next:     correct the path or the name"
    )


def test_a_path_that_exists_wins_over_a_name(make_zip, movielens_files, tmp_path, monkeypatch):
    make_zip(movielens_files("DAT"), name="ml-1m")
    monkeypatch.chdir(tmp_path)
    assert convert_movielens("ml-1m", tmp_path / "out").interactions == 5


def test_no_candidates_at_all_is_a_usage_error(make_zip, movielens_files, tmp_path):
    with pytest.raises(UsageError) as caught:
        convert_movielens(make_zip(movielens_files("CSV")), tmp_path / "out", candidates_per_user=0)
    assert str(caught.value) == (
        "E-CONFIG: the number of candidates per user is not valid\n"
        "  found:    0\n"
        "  expected: 1 or more\n"
        "  next:     correct --candidates-per-user"
    )
    assert not (tmp_path / "out").exists()


def test_real_ratings(real_movielens, tmp_path):
    report = convert_movielens(real_movielens, tmp_path / "one")
    assert (report.users, report.movies, report.interactions, report.pairs) == (610, 9_742, 100_836, 305_000)
    assert digests(report) == digests(convert_movielens(real_movielens, tmp_path / "two"))
    other = digests(convert_movielens(real_movielens, tmp_path / "three", seed=43))
    assert (other[0] == digests(report)[0], other[1] == digests(report)[1]) == (True, False)

    interactions, pairs = pq.read_table(report.interactions_path), pq.read_table(report.pairs_path)
    assert not any(column.null_count for column in interactions.columns + pairs.columns)
    rated = set(zip(interactions["user_id"].to_pylist(), interactions["movie_id"].to_pylist(), strict=True))
    drawn = list(zip(pairs["user_id"].to_pylist(), pairs["movie_id"].to_pylist(), strict=True))
    assert len(set(drawn)) == len(drawn)
    assert rated.isdisjoint(drawn)
    assert {movie for _, movie in drawn} <= {movie for _, movie in rated}
    titles = dict(zip(interactions["movie_id"].to_pylist(), interactions["movie_title"].to_pylist(), strict=True))
    assert len(set(titles.values())) < len(titles) == report.rated_movies == 9_724
    order = [
        (int(row["user_id"]), row["timestamp"], int(row["movie_id"]))
        for row in interactions.select(["user_id", "timestamp", "movie_id"]).to_pylist()
    ]
    assert order == sorted(order)
