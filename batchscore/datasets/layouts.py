"""The layouts that MovieLens has had, and how each is read. An archive is recognised by the files it holds.

| layout | archives | ratings | movies | encoding |
|---|---|---|---|---|
| CSV | ml-latest-small, ml-latest, ml-20m, ml-25m, ml-32m | ratings.csv | movies.csv | UTF-8 |
| DAT | ml-1m; ml-10m | ratings.dat | movies.dat | ISO 8859-1 beside a users.dat; otherwise UTF-8 |
| TAB | ml-100k | u.data | u.item with the genre names of u.genre | ISO 8859-1 |

Titles are kept as they stand. Genres are joined by `|`; "(no genres listed)" and ml-100k's "unknown" mean that none
is known and become the empty string.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from batchscore.datasets.archive import NEXT_STEP, Archive
from batchscore.datasets.ratings import Catalogue, Ratings
from batchscore.errors import InputError

MAX_RATINGS_BYTES = 4 << 30
MAX_MOVIES_BYTES = 64 << 20

MIN_RATING, MAX_RATING = 0.5, 5.0

_USER, _MOVIE, _RATING, _TIMESTAMP = "userId", "movieId", "rating", "timestamp"
_RATING_TYPES = {_USER: pa.int32(), _MOVIE: pa.int32(), _RATING: pa.float32(), _TIMESTAMP: pa.int64()}
_NO_GENRES = ("(no genres listed)", "unknown")

_Row = tuple[int, str, str]
"""A movie: number, title, genres."""


@dataclass(frozen=True)
class Layout:
    """One way in which the files of an archive are laid out."""

    name: str
    ratings_file: str
    movies_file: str
    other_files: tuple[str, ...]
    ratings_columns: tuple[str, ...] | None
    """The columns of the ratings file; None if its first line names them."""
    ratings_format: csv.ParseOptions
    read_movies: Callable[[Archive], Iterable[_Row]]

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that must be there."""
        return (self.ratings_file, self.movies_file, *self.other_files)

    def read(self, archive: Archive) -> tuple[Catalogue, Ratings]:
        """All movies and all ratings of the archive. Raises InputError (E-ARCHIVE) if it is broken.

        Broken is: a line that cannot be understood, a missing value, a rating outside 0.5 to 5, a movie number
        that two movies share, a rating of a movie that is not listed, no ratings at all.
        """
        catalogue = _make_catalogue(archive, self.movies_file, self.read_movies(archive))
        return catalogue, _make_ratings(archive, self, catalogue, _read_ratings(archive, self))


def recognise(archive: Archive) -> Layout:
    """The layout of `archive`. Raises InputError (E-ARCHIVE) if it has the files of none, or of several."""
    fitting = [layout for layout in LAYOUTS if archive.has(layout.files)]
    if len(fitting) == 1:
        return fitting[0]
    names = sorted(archive.members)
    raise InputError(
        "E-ARCHIVE",
        "the archive does not have the layout of a MovieLens archive"
        if not fitting
        else "the archive has several layouts",
        where=archive.where,
        found=", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "no files",  # noqa: PLR2004
        expected="; or ".join(f"{', '.join(layout.files)} ({layout.name})" for layout in LAYOUTS),
        next_step=NEXT_STEP,
    )


def _read_ratings(archive: Archive, layout: Layout) -> pa.Table:
    with archive.reading(layout.ratings_file, max_bytes=MAX_RATINGS_BYTES) as stream:
        return csv.read_csv(
            stream,
            csv.ReadOptions(column_names=layout.ratings_columns),
            layout.ratings_format,
            csv.ConvertOptions(include_columns=list(_RATING_TYPES), column_types=_RATING_TYPES),
        )


def _make_ratings(archive: Archive, layout: Layout, catalogue: Catalogue, table: pa.Table) -> Ratings:
    name = layout.ratings_file
    if not table.num_rows:
        raise archive.broken(name, "holds no ratings", found="0 rows", expected="1 or more")
    for column in table.column_names:
        if table[column].null_count:
            row = pc.index(pc.is_null(table[column]), value=True).as_py()
            raise archive.broken(
                name,
                "holds ratings without a value",
                found=f"{table[column].null_count:,} rows without {column}, the first is rating {row + 1:,}",
                expected="a value in each",
            )
    rating = table[_RATING].to_numpy()
    wrong = ~((rating >= MIN_RATING) & (rating <= MAX_RATING))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise archive.broken(
            name,
            "holds values that are not ratings",
            found=f"{np.count_nonzero(wrong):,} rows, the first is rating {row + 1:,}: {rating[row]:g}",
            expected=f"{MIN_RATING:g} to {MAX_RATING:g}",
        )
    number = table[_MOVIE].to_numpy()
    movie = catalogue.find(number)
    if (movie < 0).any():
        missing = np.unique(number[movie < 0])
        raise archive.broken(
            name,
            f"rates movies that {layout.movies_file} does not list",
            found=f"{len(missing):,} movies, such as {', '.join(map(str, missing[:4]))}",
            expected=f"only movies of {layout.movies_file}",
        )
    return Ratings.ordered(table[_USER].to_numpy(), movie, table[_TIMESTAMP].to_numpy(), rating)


def _make_catalogue(archive: Archive, name: str, rows: Iterable[_Row]) -> Catalogue:
    movies = sorted(rows)
    number = np.array([movie for movie, _, _ in movies], np.int64)
    twice = number[:-1][number[1:] == number[:-1]]
    if len(twice):
        raise archive.broken(
            name, "lists movies twice", found=f"movie {', '.join(map(str, twice[:4]))}", expected="each once"
        )
    if len(number) and not 0 <= number[0] <= number[-1] <= np.iinfo(np.int32).max:
        raise archive.broken(
            name,
            "holds movie numbers out of range",
            found=f"{number[0]} to {number[-1]}",
            expected="0 to 2,147,483,647",
        )
    return Catalogue(
        number.astype(np.int32),
        pa.array([title for _, title, _ in movies], pa.string()),
        pa.array(["" if genres in _NO_GENRES else genres for _, _, genres in movies], pa.string()),
    )


def _read_csv_movies(archive: Archive) -> list[_Row]:
    types = {"movieId": pa.int64(), "title": pa.string(), "genres": pa.string()}
    with archive.reading("movies.csv", max_bytes=MAX_MOVIES_BYTES) as stream:
        table = csv.read_csv(
            stream, convert_options=csv.ConvertOptions(include_columns=list(types), column_types=types)
        )
    if table["movieId"].null_count:
        raise archive.broken("movies.csv", "lists movies without a number", found="an empty movieId")
    return list(zip(*(table[name].to_pylist() for name in types), strict=True))


def _read_dat_movies(archive: Archive) -> list[_Row]:
    encoding = "iso-8859-1" if "users.dat" in archive.members else "utf-8"
    rows = []
    for line, text in _lines(archive, "movies.dat", encoding):
        number, colons, rest = text.partition("::")
        title, more_colons, genres = rest.rpartition("::")
        if not (colons and more_colons and _is_number(number)):
            raise _broken_line(archive, "movies.dat", line, text, "MovieID::Title::Genres")
        rows.append((int(number), title, genres))
    return rows


def _read_tab_movies(archive: Archive) -> list[_Row]:
    genres = _read_genre_names(archive)
    rows = []
    for line, text in _lines(archive, "u.item", "iso-8859-1"):
        number, *fields = text.split("|")
        flags = fields[4:]
        if not _is_number(number) or len(flags) != len(genres) or not set(flags) <= {"0", "1"}:
            expected = f"id|title|release date|video release date|URL|{len(genres)} genre flags"
            raise _broken_line(archive, "u.item", line, text, expected)
        named = [genre for genre, flag in zip(genres, flags, strict=True) if flag == "1"]
        rows.append((int(number), fields[0], "|".join(named)))
    return rows


def _read_genre_names(archive: Archive) -> list[str]:
    names: list[str] = []
    for line, text in _lines(archive, "u.genre", "iso-8859-1"):
        name, bar, place = text.partition("|")
        if not bar or place != str(len(names)):
            raise _broken_line(archive, "u.genre", line, text, f"name|{len(names)}")
        names.append(name)
    return names


def _lines(archive: Archive, name: str, encoding: str) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of every line that is not empty. Lines end with LF or CRLF, and nothing else."""
    with archive.reading(name, max_bytes=MAX_MOVIES_BYTES) as stream:
        content = stream.read().decode(encoding)
    for line, text in enumerate(content.split("\n"), 1):
        if text.strip():
            yield line, text.removesuffix("\r")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _broken_line(archive: Archive, name: str, line: int, text: str, expected: str) -> InputError:
    shown = text if len(text) <= 80 else text[:80] + "..."  # noqa: PLR2004
    return archive.broken(
        name, "holds a line that cannot be understood", found=f"line {line:,}: {shown!r}", expected=expected
    )


LAYOUTS = (
    Layout("CSV", "ratings.csv", "movies.csv", (), None, csv.ParseOptions(), _read_csv_movies),
    Layout(
        "DAT",
        "ratings.dat",
        "movies.dat",
        (),
        # the fields are parted by two colons, which are two delimiters with an empty column between them
        (_USER, "", _MOVIE, "", _RATING, "", _TIMESTAMP),
        csv.ParseOptions(delimiter=":", quote_char=False),
        _read_dat_movies,
    ),
    Layout(
        "TAB",
        "u.data",
        "u.item",
        ("u.genre",),
        (_USER, _MOVIE, _RATING, _TIMESTAMP),
        csv.ParseOptions(delimiter="\t", quote_char=False),
        _read_tab_movies,
    ),
)
