"""Tiny MovieLens archives with invented titles, in every layout."""

import os
import zipfile
from pathlib import Path

import pytest

# number, title, genres; two share a title, and one is never rated
MOVIES = [
    (1, "Long Road, The (1991)", "Comedy|Drama"),
    (2, 'The "Blue" Café (1992)', "Drama"),
    (30, "Star Ferry: The End (1993)", "Comedy"),
    (31, "Star Ferry: The End (1993)", "Drama"),
    (4, "Señor Nobody (1994)", ""),
    (500, "Never Watched (1995)", "Comedy"),
]
# user, movie, rating, timestamp; in no order at all
RATINGS = [
    (10, 30, 3.0, 900),
    (2, 1, 4.0, 800),
    (2, 4, 1.0, 700),
    (10, 2, 5.0, 900),
    (2, 31, 2.0, 800),
]


def quoted(title):
    return '"' + title.replace('"', '""') + '"' if "," in title or '"' in title else title


def csv_files():
    movies = "".join(
        f"{n},{quoted(title)},{genres or '(no genres listed)'}\r\n" for n, title, genres in sorted(MOVIES)
    )
    ratings = "".join(f"{u},{m},{r},{t}\r\n" for u, m, r, t in RATINGS)
    return {
        "ml-latest-small/ratings.csv": f"userId,movieId,rating,timestamp\r\n{ratings}".encode(),
        "ml-latest-small/movies.csv": f"movieId,title,genres\r\n{movies}".encode(),
        "ml-latest-small/README.txt": b"read me",
    }


def dat_files():
    movies = "".join(f"{n}::{title}::{genres}\n" for n, title, genres in MOVIES)
    ratings = "".join(f"{u}::{m}::{r:.0f}::{t}\n" for u, m, r, t in RATINGS)
    return {
        "ml-1m/ratings.dat": ratings.encode("latin-1"),
        "ml-1m/movies.dat": movies.encode("latin-1"),
        "ml-1m/users.dat": b"2::F::1::10::48067\n",
    }


def tab_files():
    names = ["unknown", "Comedy", "Drama"]
    movies = ""
    for number, title, genres in MOVIES:
        flags = [str(int(name in (genres or "unknown").split("|"))) for name in names]
        movies += f"{number}|{title}|01-Jan-1995||http://example/{number}|{'|'.join(flags)}\n"
    genres = "".join(f"{name}|{place}\n" for place, name in enumerate(names))
    return {
        "ml-100k/u.data": "".join(f"{u}\t{m}\t{r:.0f}\t{t}\n" for u, m, r, t in RATINGS).encode(),
        "ml-100k/u.item": movies.encode("latin-1"),
        "ml-100k/u.genre": f"{genres}\n".encode(),
    }


@pytest.fixture
def movielens_files():
    """Files of a tiny archive, by path, in the layout CSV, DAT or TAB."""
    layouts = {"CSV": csv_files, "DAT": dat_files, "TAB": tab_files}
    return lambda layout: layouts[layout]()


@pytest.fixture
def make_zip(tmp_path):
    """A zip file of the given files (path to bytes)."""

    def make(files, name="archive.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        return path

    return make


@pytest.fixture(scope="session")
def real_movielens():
    """The real ml-latest-small.zip, which is never committed."""
    beside = Path(__file__).parents[2].parent / "shared" / "data" / "ml-latest-small.zip"
    path = Path(os.environ.get("BATCHSCORE_MOVIELENS", beside))
    if not path.is_file():
        pytest.skip(f"real MovieLens ratings are not at {path}; set BATCHSCORE_MOVIELENS to ml-latest-small.zip")
    return path
