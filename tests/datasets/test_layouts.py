import pytest

from batchscore.datasets import layouts
from batchscore.datasets.archive import open_archive
from batchscore.errors import InputError

NEXT = "  next:     get the archive again, or unpack it yourself and give the folder with its files"
LAYOUTS = ["CSV", "DAT", "TAB"]


def read(path):
    with open_archive(path) as archive:
        return layouts.recognise(archive).read(archive)


def failure(path):
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.error_id == "E-ARCHIVE"
    return str(caught.value)


@pytest.fixture
def make_broken(make_zip, movielens_files):
    """A zip file of the layout in which one piece of one file was replaced."""
    return lambda layout, name, old, new: make_zip(changed(movielens_files(layout), name, old, new))


def changed(files, name, old, new):
    path = next(path for path in files if path.endswith(name))
    assert old in files[path]
    return {**files, path: files[path].replace(old, new, 1)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_movies_and_ratings(make_zip, movielens_files, layout):
    catalogue, ratings = read(make_zip(movielens_files(layout)))
    assert catalogue.number.tolist() == [1, 2, 4, 30, 31, 500]
    assert catalogue.title.to_pylist() == [
        "Long Road, The (1991)",
        'The "Blue" Café (1992)',
        "Señor Nobody (1994)",
        "Star Ferry: The End (1993)",
        "Star Ferry: The End (1993)",
        "Never Watched (1995)",
    ]
    assert catalogue.genres.to_pylist() == ["Comedy|Drama", "Drama", "", "Comedy", "Drama", "Comedy"]
    # user, then timestamp, then movie
    assert ratings.user.tolist() == [2, 2, 2, 10, 10]
    assert ratings.timestamp.tolist() == [700, 800, 800, 900, 900]
    assert catalogue.number[ratings.movie].tolist() == [4, 1, 31, 2, 30]
    assert ratings.rating.tolist() == [1.0, 4.0, 2.0, 5.0, 3.0]
    assert [str(array.dtype) for array in (ratings.user, ratings.movie, ratings.timestamp, ratings.rating)] == [
        "int32",
        "int32",
        "int64",
        "float32",
    ]


def test_half_stars_lf_line_ends_and_other_column_orders_of_csv(make_zip):
    catalogue, ratings = read(
        make_zip(
            {
                "ratings.csv": b"timestamp,rating,movieId,userId\n5,0.5,7,3\n",
                "movies.csv": b"genres,movieId,title\nDrama,7,NA\n",
            }
        )
    )
    assert catalogue.title.to_pylist() == ["NA"]  # a title, not a missing value
    assert (ratings.user[0], catalogue.number[ratings.movie[0]], ratings.rating[0]) == (3, 7, 0.5)


def test_dat_without_users_is_utf8(make_zip, movielens_files):
    files = movielens_files("DAT")
    del files["ml-1m/users.dat"]
    files["ml-1m/movies.dat"] = files["ml-1m/movies.dat"].decode("latin-1").encode()
    catalogue, _ = read(make_zip(files))
    assert catalogue.title[1].as_py() == 'The "Blue" Café (1992)'


def test_only_a_line_feed_ends_a_line(make_zip, movielens_files):
    # 0x85 and 0x0b end a line for str.splitlines, but not for MovieLens
    files = changed(movielens_files("TAB"), "u.item", b"Long Road", b"Long\x85\x0bRoad")
    catalogue, _ = read(make_zip(files))
    assert catalogue.title[0].as_py() == "Long\x85\x0bRoad, The (1991)"


def test_an_archive_of_something_else_says_what_was_expected(make_zip):
    path = make_zip({"a/ratings.csv": b"", "a/u.data": b""})
    assert failure(path) == (
        "E-ARCHIVE: the archive does not have the layout of a MovieLens archive\n"
        f"  where:    {path}\n"
        "  found:    ratings.csv, u.data\n"
        "  expected: ratings.csv, movies.csv (CSV); or ratings.dat, movies.dat (DAT); or u.data, u.item, u.genre "
        "(TAB)\n" + NEXT
    )
    assert "  found:    no files\n" in failure(make_zip({}))


def test_an_archive_of_two_layouts_is_refused(make_zip, movielens_files):
    path = make_zip(movielens_files("CSV") | movielens_files("DAT"))
    assert failure(path).startswith("E-ARCHIVE: the archive has several layouts\n")


BROKEN_DATA = {
    "rated movie that is not listed": (
        ("CSV", "ratings.csv", b"10,30,", b"10,77,"),
        "rates movies that movies.csv does not list",
        "1 movies, such as 77",
        "only movies of movies.csv",
    ),
    "rating out of range": (
        ("DAT", "ratings.dat", b"::3::900", b"::6::900"),
        "holds values that are not ratings",
        "1 rows, the first is rating 1: 6",
        "0.5 to 5",
    ),
    "rating that is not a number": (
        ("CSV", "ratings.csv", b"2,4,1.0,", b"2,4,nan,"),
        "holds ratings without a value",
        "1 rows without rating, the first is rating 3",
        "a value in each",
    ),
    "rating without a user": (
        ("TAB", "u.data", b"2\t1\t", b"\t1\t"),
        "holds ratings without a value",
        "1 rows without userId, the first is rating 2",
        "a value in each",
    ),
    "movie number twice": (
        ("TAB", "u.item", b"31|", b"30|"),
        "lists movies twice",
        "movie 30",
        "each once",
    ),
    "movie number out of range": (
        ("DAT", "movies.dat", b"500::", b"5000000000::"),
        "holds movie numbers out of range",
        "1 to 5000000000",
        "0 to 2,147,483,647",
    ),
    "movie line without its colons": (
        ("DAT", "movies.dat", b"2::The", b"2:The"),
        "holds a line that cannot be understood",
        "line 2: '2:The \"Blue\" Café (1992)::Drama'",
        "MovieID::Title::Genres",
    ),
    "movie line without a genre flag": (
        ("TAB", "u.item", b"/1|0|1|1", b"/1|0|1"),
        "holds a line that cannot be understood",
        "line 1: '1|Long Road, The (1991)|01-Jan-1995||http://example/1|0|1'",
        "id|title|release date|video release date|URL|3 genre flags",
    ),
    "genres out of order": (
        ("TAB", "u.genre", b"Comedy|1", b"Comedy|2"),
        "holds a line that cannot be understood",
        "line 2: 'Comedy|2'",
        "name|1",
    ),
}


@pytest.mark.parametrize(("change", "what", "found", "expected"), BROKEN_DATA.values(), ids=BROKEN_DATA)
def test_broken_data_is_shown_with_what_was_expected(make_broken, change, what, found, expected):
    path = make_broken(*change)
    assert failure(path) == (
        f"E-ARCHIVE: the archive {what}\n  where:    {path}, {change[1]}\n"
        f"  found:    {found}\n  expected: {expected}\n{NEXT}"
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("CSV", "movies.csv", "é".encode(), b"\xe9"), id="not UTF-8"),
        pytest.param(("CSV", "movies.csv", b"title", b"name"), id="no such column"),
        pytest.param(("CSV", "ratings.csv", b",900", b""), id="line with a field less"),
        pytest.param(("CSV", "ratings.csv", b"10,30", b"9999999999,30"), id="user out of range"),
        pytest.param(("DAT", "ratings.dat", b"::900", b":900"), id="rating line without its colons"),
    ],
)
def test_what_arrow_cannot_read_is_shown_in_its_words(make_broken, change):
    path = make_broken(*change)
    what, where, found, *_, last = failure(path).split("\n")
    assert what == "E-ARCHIVE: the archive holds a file that cannot be read"
    assert where == f"  where:    {path}, {change[1]}"
    assert found.startswith("  found:    ")
    assert last == NEXT


def test_no_ratings_at_all_is_refused(make_zip, movielens_files):
    files = movielens_files("CSV")
    files["ml-latest-small/ratings.csv"] = b"userId,movieId,rating,timestamp\r\n"
    path = make_zip(files)
    assert failure(path) == (
        "E-ARCHIVE: the archive holds no ratings\n"
        f"  where:    {path}, ratings.csv\n"
        "  found:    0 rows\n"
        "  expected: 1 or more\n" + NEXT
    )


def test_empty_files_are_refused(make_zip, movielens_files):
    for layout in LAYOUTS:
        files = dict.fromkeys(movielens_files(layout), b"")
        failure(make_zip(files))


def test_movie_files_are_bounded(make_zip, movielens_files, monkeypatch):
    monkeypatch.setattr(layouts, "MAX_MOVIES_BYTES", 100)
    assert "larger than any MovieLens file" in failure(make_zip(movielens_files("DAT")))
